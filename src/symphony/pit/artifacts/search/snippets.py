"""The part of a text that shows best why it was found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from symphony.pit.artifacts.search.compiling import words_of
from symphony.pit.artifacts.search.core.syntax import Query, TextMatch
from symphony.pit.artifacts.search.core.words import apart, identifiers, prepared, shown
from symphony.pit.artifacts.search.indexed import Indexed, broken
from symphony.pit.artifacts.search.schema import analyzer, schema
from symphony.ports.search import Snippet

if TYPE_CHECKING:
    from tantivy import SnippetGenerator

CHARS: Final = 160
_EXPANDED_MAX: Final = 50
_FIRST_CHARS: Final = 200_000


class Snippets:
    """Finds parts of texts for one query; `indexed` tells which of its words are rare."""

    def __init__(self, query: Query, indexed: Indexed) -> None:
        matches = words_of(query).values()
        self._indexed = indexed
        sought = [_lower(match.text) for match in matches if match.how in ("words", "prefix")]
        self._sought = [words for words in sought if words.strip()]
        words = list(dict.fromkeys(word for match in matches for word in _words(match, indexed)))
        self._generator = _generator(indexed, words) if words else None

    @property
    def wanted(self) -> bool:
        """True if the query has words to be found in texts."""
        return self._generator is not None

    def of(self, text: str) -> Snippet | None:
        """Return the best part of a prepared text; None if no word of the query is in it."""
        if self._generator is None:
            return None
        for part in (text[:_FIRST_CHARS], text) if len(text) > _FIRST_CHARS else (text,):
            if (found := _snippet(self._generator, part)) is not None:
                return found
        holders = [
            one for one, parts in identifiers(text).items() if any(x in _lower(parts) for x in self._sought)
        ]
        if not holders:
            return None
        words = [word for one in holders[:_EXPANDED_MAX] for word in analyzer().analyze(one)]
        return _snippet(_generator(self._indexed, words), text)


def _generator(indexed: Indexed, words: Sequence[str]) -> "SnippetGenerator":
    from tantivy import Occur
    from tantivy import Query as Compiled

    parts = [(Occur.Should, Compiled.term_query(schema(), "text", word)) for word in words]
    return indexed.snippets_for(Compiled.boolean_query(parts), CHARS)


def _snippet(generator: "SnippetGenerator", text: str) -> Snippet | None:
    with broken():
        from tantivy import Document

        found = generator.snippet_from_doc(Document.from_dict({"text": text}, schema()))
        fragment, marks = found.fragment(), [(one.start, one.end) for one in found.highlighted()]
    if not marks:
        return None
    return shown(fragment, marks) if fragment.isascii() else _of_bytes(fragment, marks)


def _lower(text: str) -> str:
    """Return the words of an identifier, as those of a query are compared with them."""
    return f" {' '.join(analyzer().analyze(apart(text)))}"


def _of_bytes(fragment: str, marks: Sequence[tuple[int, int]]) -> Snippet:
    """Return a snippet whose marks count bytes."""
    body = fragment.encode()
    places = [(len(body[:start].decode()), len(body[:stop].decode())) for start, stop in marks]
    return shown(fragment, places)


def _words(match: TextMatch, indexed: Indexed) -> list[str]:
    """Return the words of texts that a part of a query may have found."""
    words = analyzer().analyze(prepared(match.text.replace("\0", "")))
    if not words:
        return []
    if match.how == "prefix" or match.open:
        return [*words[:-1], *indexed.words_with(words[-1], _EXPANDED_MAX)]
    return words if match.how in ("words", "phrase", "fuzzy") else []
