"""One index of Tantivy's, in a folder or in memory: what is asked of it, and how it is written."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from symphony.pit.artifacts.search.core.entry import Entry, StoredHit
from symphony.pit.artifacts.search.files import SearchIndexBroken
from symphony.pit.artifacts.search.schema import (
    ARTIFACT,
    HAS,
    KEY,
    MARK,
    PRINT,
    TOLD,
    IndexMark,
    document,
    mark_document,
    mark_of,
    opened,
    schema,
)
from symphony.ports.search import Sorting
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from tantivy import DocAddress, IndexWriter, Searcher, SearchResult, SnippetGenerator
    from tantivy import Query as Compiled

_stored = msgspec.msgpack.Decoder(StoredHit)

_ALL: Final = 1 << 30
_SORTED: Final = {
    "newest": ("created", True), "oldest": ("created", False), "largest": ("size", True),
    "smallest": ("size", False), "quality": ("quality", True),
}  # fmt: skip


@contextmanager
def broken() -> Iterator[None]:
    """Turn what Tantivy raises into SearchIndexBroken: it panics over damaged files."""
    try:
        yield
    except (ValueError, OSError, KeyError, IndexError) as error:
        raise SearchIndexBroken(str(error)) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise SearchIndexBroken(str(error)) from error
        raise


class Candidate(NamedTuple):
    """A document that was found. `rank`: by what it is sorted, None if it has no such thing."""

    rank: float | None
    score: float | None
    stored: StoredHit


class Indexed:
    """An index as it was when it was opened, or refreshed. Raises SearchIndexBroken if it is damaged."""

    def __init__(self, folder: Path | None) -> None:
        with broken():
            self._index = opened(folder)
            self._searcher: Searcher = self._index.searcher()

    def refresh(self) -> None:
        """See what was committed since."""
        with broken():
            self._index.reload()
            self._searcher = self._index.searcher()

    def writer(self, heap_bytes: int) -> "IndexWriter":
        """Return what writes; there is one at a time."""
        with broken():
            return self._index.writer(heap_bytes, 1)

    def mark(self) -> IndexMark | None:
        """Return up to where the index has read the store; None of an index without that."""
        found = self._addresses(self._term(HAS, MARK), 2)
        if len(found) != 1:
            return None
        try:
            return mark_of(bytes(self._searcher.doc(found[0])[MARK][0]))
        except ValueError:
            return None

    def count(self) -> int:
        """Return how many artifacts it has."""
        with broken():
            return _count(self._searcher.search(self._term(HAS, ARTIFACT), 1))

    def rarity(self, field: str, word: str) -> tuple[int, int]:
        """Return in how many documents a word is, of how many."""
        with broken():
            return self._searcher.doc_freq(field, word), self._searcher.num_docs

    def has(self, digest: Digest) -> bool:
        """Return whether it has an artifact."""
        with broken():
            return _count(self._searcher.search(self._term("digest", digest), 1)) > 0

    def having(self, field: str, label: str) -> Iterator[Digest]:
        """Return the artifacts with a label."""
        for address in self._addresses(self._term(field, label), _ALL):
            with broken():
                yield Digest(str(self._searcher.doc(address)["digest"][0]))

    def prints(self) -> list[tuple[int, int]]:
        """Return the key and the print of every artifact."""
        found = self._addresses(self._term(HAS, ARTIFACT), _ALL)
        with broken():
            keys = self._searcher.fast_field_values(KEY, found)
            prints = self._searcher.fast_field_values(PRINT, found)
        return [(int(key or 0), int(value or 0)) for key, value in zip(keys, prints, strict=True)]

    def best(self, query: "Compiled", sort: Sorting, limit: int) -> tuple[list[Candidate], int]:
        """Return the first `limit` documents, and how many there are in all."""
        from tantivy import Order

        ranked: list[tuple[float | None, float | None, DocAddress]]
        with broken():
            if sort == "score":
                found = self._searcher.search(query, limit)
                ranked = [(score, float(score), address) for score, address in found.hits]
            else:
                field, falling = _SORTED[sort]
                found = self._searcher.search(
                    query, limit, order_by_field=field, order=Order.Desc if falling else Order.Asc
                )
                ranked = [(value, None, address) for value, address in found.hits]
            return [self._candidate(*one) for one in ranked], _count(found)

    def words_with(self, word: str, limit: int) -> list[str]:
        """Return words of texts that begin so."""
        with broken():
            return [found for found, _ in self._searcher.terms_with_prefix("text", word, limit=limit)]

    def snippets_for(self, query: "Compiled", chars: int) -> "SnippetGenerator":
        """Return what finds the best part of a text for a query."""
        from tantivy import SnippetGenerator

        with broken():
            made = SnippetGenerator.create(self._searcher, query, schema(), "text")
            made.set_max_num_chars(chars)
            return made

    def _candidate(self, rank: float | None, score: float | None, address: "DocAddress") -> Candidate:
        return Candidate(rank, score, _stored.decode(bytes(self._searcher.doc(address)[TOLD][0])))

    def _addresses(self, query: "Compiled", limit: int) -> list["DocAddress"]:
        with broken():
            most = max(min(self._searcher.num_docs, limit), 1)
            return [address for _, address in self._searcher.search(query, most, count=False).hits]

    def _term(self, field: str, label: str) -> "Compiled":
        from tantivy import Query as Compiled

        return Compiled.term_query(schema(), field, label)


def replace(writer: "IndexWriter", digest: Digest, entry: Entry | None) -> None:
    """Have a document take the place of that of the artifact, if it has one; None: have it gone."""
    with broken():
        writer.delete_documents_by_term("digest", digest)
        if entry is not None:
            writer.add_document(document(entry))


def commit(writer: "IndexWriter", mark: IndexMark | None) -> None:
    """Make what was written visible to those who open the index from now on, with its mark."""
    with broken():
        if mark is not None:
            writer.delete_documents_by_term(HAS, MARK)
            writer.add_document(mark_document(mark))
        writer.commit()


def forget(writer: "IndexWriter", keys: Sequence[int]) -> None:
    """Have the documents with these keys gone."""
    with broken():
        for key in keys:
            writer.delete_documents_by_term(KEY, key)


def _count(found: "SearchResult") -> int:
    return int(getattr(found, "count", 0) or 0)  # absent from the library's type hints
