"""Turns a query into one of Tantivy's."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, assert_never

from symphony.pit.artifacts.search.core.fields import FIELDS, USUAL, WEIGHTS
from symphony.pit.artifacts.search.core.syntax import (
    Between,
    Boosted,
    Either,
    Every,
    Everything,
    Known,
    Query,
    TextMatch,
    Without,
)
from symphony.pit.artifacts.search.core.words import apart, prepared, term
from symphony.pit.artifacts.search.schema import ARTIFACT, HAS, analyzer, schema
from symphony.ports.search import QueryInvalid

if TYPE_CHECKING:
    from tantivy import Query as Compiled

_PHRASE_WORDS_MAX: Final = 500
_WILD: Final = re.compile(r"\0([*?])")


class QueryCompiler:
    """Compiles for one index. `rarity` gives what to multiply the score of a word in a field by."""

    def __init__(self, rarity: Callable[[str, str], float] | None = None) -> None:
        from tantivy import Occur
        from tantivy import Query as Compiled

        self._made, self._occur, self._rarity = Compiled, Occur, rarity

    def compiled(self, query: Query) -> "Compiled":
        """Return what finds the artifacts that `query` means. Raises QueryInvalid."""
        found = self._part(query)
        if found is None:
            raise QueryInvalid(
                "there is no word in the query",
                hint="words have letters or digits; punctuation is not searched",
            )
        return found

    def _part(self, query: Query) -> "Compiled | None":
        """Return what finds a part of a query; None of one without a word, which changes nothing."""
        match query:
            case Everything():
                return self.labelled(HAS, ARTIFACT)
            case Known(field):
                return self.labelled(HAS, field)
            case Every(parts):
                must = self._parts([part for part in parts if not isinstance(part, Without)])
                never = self._parts([part.part for part in parts if isinstance(part, Without)])
                if not must and not never:
                    return None
                return self.all_of(*(must or [self.labelled(HAS, ARTIFACT)]), never=never)
            case Either(parts):
                return self.any_of(found) if (found := self._parts(parts)) else None
            case Without(part):
                one = self._part(part)
                return None if one is None else self.all_of(self.labelled(HAS, ARTIFACT), never=[one])
            case Boosted(part, by):
                one = self._part(part)
                return None if one is None else self._made.boost_query(one, by)
            case Between():
                return self._between(query)
            case TextMatch(field=""):
                # What is in quotes is not looked for inside of identifiers.
                usual = [name for name in USUAL if name != "identifier" or query.how != "phrase"]
                found_in = [(name, self._match(query, name)) for name in usual]
                weighed = [self._weighed(name, one) for name, one in found_in if one is not None]
                return self.any_of(weighed) if weighed else None
            case TextMatch():
                return self._match(query, query.field)
            case _:
                assert_never(query)

    def _parts(self, parts: Sequence[Query]) -> "list[Compiled]":
        return [found for part in parts if (found := self._part(part)) is not None]

    def labelled(self, field: str, label: str) -> "Compiled":
        """Return what finds a label."""
        return self._made.const_score_query(self._made.term_query(schema(), field, label), 0.0)

    def one_of_labels(self, field: str, labels: Sequence[str]) -> "Compiled":
        """Return what finds any of several labels."""
        return self._made.const_score_query(self._made.term_set_query(schema(), field, list(labels)), 0.0)

    def any_of(self, parts: Sequence["Compiled"]) -> "Compiled":
        """Return what finds one of `parts`; nothing without any."""
        if len(parts) == 1:
            return parts[0]
        return self._made.boolean_query([(self._occur.Should, part) for part in parts])

    def all_of(self, *parts: "Compiled", never: Sequence["Compiled"] = ()) -> "Compiled":
        """Return what finds all of `parts` and none of `never`."""
        return self._made.boolean_query(
            [*((self._occur.Must, part) for part in parts), *((self._occur.MustNot, part) for part in never)]
        )

    def _weighed(self, name: str, part: "Compiled") -> "Compiled":
        weight = WEIGHTS.get(name, 1.0)
        return part if weight == 1.0 else self._made.boost_query(part, weight)

    def _between(self, query: Between) -> "Compiled":
        from tantivy import FieldType

        if query.low is None and query.high is None:
            return self.labelled(HAS, query.field)
        found = self._made.range_query(
            schema(), query.field, FieldType.Float, query.low, query.high,
            query.low is None or query.low_in, query.high is None or query.high_in,
        )  # fmt: skip  # Tantivy refuses an open end that is not part of the range
        return self._made.const_score_query(found, 0.0)

    def _match(self, query: TextMatch, field: str) -> "Compiled | None":
        """Return what finds `query` in a field; None if nothing in it is a word."""
        if query.how == "regex":
            return self._regex(field, query.text, query)
        if query.how == "wildcard":
            return self._wildcard(field, query)
        if FIELDS[field] == "label":
            return self._label(field, query)
        text = apart(query.text) if field == "identifier" else query.text
        words = analyzer().analyze(prepared(text))[:_PHRASE_WORDS_MAX]
        if not words:
            # A word that is too long for the index is not there; punctuation is nothing at all.
            return self._made.empty_query() if re.search(r"\w", query.text) else None
        if query.how == "prefix" or query.open:
            return self._begun(field, words)
        if query.how == "fuzzy":
            parts = [self._made.fuzzy_term_query(schema(), field, word, query.slack) for word in words]
            return self.all_of(*parts)
        return self._phrase(field, words, query.slack)

    def _label(self, field: str, query: TextMatch) -> "Compiled | None":
        label = term(query.text)
        if query.how == "prefix" or (field in ("run", "digest") and len(label) >= 4):
            found = self._made.fuzzy_term_query(schema(), field, label, 0, prefix=True)
        elif query.how == "fuzzy":
            found = self._made.fuzzy_term_query(schema(), field, label, query.slack)
        elif not label:
            return None
        else:
            return self.labelled(field, label)
        return self._made.const_score_query(found, 0.0)

    def _phrase(self, field: str, words: Sequence[str], slack: int) -> "Compiled":
        if len(words) == 1:
            found = self._made.term_query(schema(), field, words[0])
        else:
            found = self._made.phrase_query(schema(), field, list(words), slack)
        if self._rarity is None:
            return found
        return self._made.boost_query(found, _mean([self._rarity(field, word) for word in words]))

    def _begun(self, field: str, words: Sequence[str]) -> "Compiled":
        if len(words) == 1:
            return self._made.fuzzy_term_query(schema(), field, words[0], 0, prefix=True)
        return self._made.phrase_prefix_query(schema(), field, list(words))

    def _wildcard(self, field: str, query: TextMatch) -> "Compiled":
        text = query.text if FIELDS[field] == "label" else prepared(query.text)
        pieces = _WILD.split(text)
        plain = [term(piece) if FIELDS[field] == "label" else _folded(piece) for piece in pieces[::2]]
        signs = [{"*": ".*", "?": "."}[sign] for sign in pieces[1::2]]
        pattern = "".join(re.escape(one) + sign for one, sign in zip(plain, [*signs, ""], strict=True))
        return self._regex(field, pattern, query)

    def _regex(self, field: str, pattern: str, query: TextMatch) -> "Compiled":
        try:
            found = self._made.regex_query(schema(), field, pattern)
        except ValueError as error:
            why = " ".join(str(error).partition("RegexQueryError:")[2].split()).strip("'") or str(error)
            raise QueryInvalid(
                f"cannot read the query at column {query.at}: {why}", details={"column": query.at},
                hint="to search for the text itself, put it in quotes",
            ) from None  # fmt: skip
        return self._made.const_score_query(found, 1.0)


def words_of(query: Query) -> Mapping[str, TextMatch]:
    """Return the parts of a query that match texts of bodies, each once; none of what is excluded."""
    match query:
        case TextMatch(field=field) if field in ("", "text"):
            return {f"{query.how} {query.text}": query}
        case Every(parts) | Either(parts):
            return {key: one for part in parts for key, one in words_of(part).items()}
        case Boosted(part):
            return words_of(part)
        case _:
            return {}


def _folded(piece: str) -> str:
    """Return part of a word as the index has it."""
    return "".join(analyzer().analyze(piece))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
