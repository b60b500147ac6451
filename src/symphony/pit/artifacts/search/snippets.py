"""The part of a text that shows best why it was found."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from symphony.pit.artifacts.search.compiling import words_of
from symphony.pit.artifacts.search.core.syntax import Query, TextMatch
from symphony.pit.artifacts.search.core.words import prepared, shown
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
        from tantivy import Occur
        from tantivy import Query as Compiled

        words = dict.fromkeys(word for match in words_of(query).values() for word in _words(match, indexed))
        self._generator: SnippetGenerator | None = None
        if words:
            parts = [(Occur.Should, Compiled.term_query(schema(), "text", word)) for word in words]
            self._generator = indexed.snippets_for(Compiled.boolean_query(parts), CHARS)

    @property
    def wanted(self) -> bool:
        """True if the query has words to be found in texts."""
        return self._generator is not None

    def of(self, text: str) -> Snippet | None:
        """Return the best part of a prepared text; None if no word of the query is in it."""
        if self._generator is None:
            return None
        for part in (text[:_FIRST_CHARS], text) if len(text) > _FIRST_CHARS else (text,):
            with broken():
                from tantivy import Document

                found = self._generator.snippet_from_doc(Document.from_dict({"text": part}, schema()))
                fragment, marks = found.fragment(), [(one.start, one.end) for one in found.highlighted()]
            if marks:
                return shown(fragment, marks) if fragment.isascii() else _of_bytes(fragment, marks)
        return None


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
