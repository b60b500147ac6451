"""Reads queries as people type them. Pure.

    near duplicate               both words                "near duplicate"     one behind the other
    apple OR pear                one of them               apple -pear          the first alone
    dupl*  te?t  roam~           begun, wild, misspelt     "near dup"*  "a b"~3  begun and loose phrases
    type:text/markdown           in a field                name:(draft OR final)
    size:>10MB  created:2026-01  numbers and times         tag:*                anything at all

What is neither an operator nor a field is text: `std::vector`, `foo(bar)` and `12:30` are looked for as they
are. A field that does not exist is an error, and so is what has no end: each names its place.
"""

import re
from collections.abc import Mapping
from typing import Final

from symphony.commons.cutting import beginning
from symphony.pit.artifacts.search.core.fields import ALIASES, FIELDS, Span, span
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
from symphony.ports.search import QueryInvalid

CHARS_MAX: Final = 65_536
PARTS_MAX: Final = 1_000
WIDE_MAX: Final = 50
"""Each part that stands for many words is compared with all words of the index."""
DEPTH_MAX: Final = 50
_SHOWN: Final = 30

_FIELD: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*):(?![:\s]|//|$)")
_OPERATOR: Final = re.compile(r"(AND|OR|NOT|&&|\|\|)(?=[\s(\"]|$)")
_SLACK: Final = re.compile(r"~([0-9]{0,3})(?![^\s)^])")
_BOOST: Final = re.compile(r"\^([0-9]{1,4}(?:\.[0-9]{1,4})?)(?![^\s)])")
_COMPARED: Final = re.compile(r"(>=|<=|>|<|=)")
_REGEX: Final = re.compile(r"/((?:[^/\\]|\\.)+)/(?=[\s)^]|$)")
_RANGE: Final = re.compile(r"([\[{])\s*(\S+?)\s+TO\s+(\S+?)\s*([\]}])")
_WILD_INSIDE: Final = re.compile(r"\?(?=\w)")


_WILD_WORD: Final = re.compile(r"(?:\w|\0[*?])+")


def parse(text: str, *, now_s: float) -> Query:
    """Read a query; an empty one means everything. `now_s`: against which ages count.

    Raises QueryInvalid.
    """
    if len(text) > CHARS_MAX:
        raise QueryInvalid(f"the query has {len(text):,} characters", hint=f"use at most {CHARS_MAX:,}")
    return _Reader(text, now_s).all() if text.strip() else Everything()


class _Reader:
    """Reads one query once, from its beginning to its end."""

    def __init__(self, text: str, now_s: float) -> None:
        self._text, self._now_s, self._at, self._parts, self._wide = text, now_s, 0, 0, 0

    def all(self) -> Query:
        found = self._either("", 0)
        if self._at < len(self._text):
            raise self._invalid("this ) closes nothing", "delete it, or put the text in double quotes")
        return found

    # -- operators, the loosest first

    def _either(self, field: str, depth: int) -> Query:
        if depth > DEPTH_MAX:
            raise self._invalid(f"more than {DEPTH_MAX} parentheses are open", "nest less deeply")
        parts = [self._every(field, depth)]
        while self._took("OR", "||"):
            parts.append(self._every(field, depth))
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _every(self, field: str, depth: int) -> Query:
        parts, joined = list[Query](), False
        while True:
            self._skip()
            if self._ended() or self._text[self._at] == ")" or self._peeked("OR", "||"):
                if joined or (self._peeked("OR", "||") and not parts):
                    raise self._dangling()
                if not parts:
                    raise self._dangling()
                break
            if self._peeked("AND", "&&"):
                if not parts or joined:
                    raise self._dangling()
                self._took("AND", "&&")
                joined = True
                continue
            parts.append(self._unary(field, depth))
            joined = False
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def _unary(self, field: str, depth: int) -> Query:
        if depth > DEPTH_MAX:
            raise self._invalid(f"more than {DEPTH_MAX} parentheses are open", "nest less deeply")
        if self._took("NOT"):
            self._skip()
            if self._ended() or self._text[self._at] == ")" or self._peeked("AND", "OR", "&&", "||"):
                raise self._dangling()
            return Without(self._unary(field, depth + 1))
        sign = self._text[self._at]
        if sign in "-!+" and self._begins_clause(self._at + 1):
            self._at += 1
            part = self._unary(field, depth + 1)
            return part if sign == "+" else Without(part)
        return self._boosted(self._primary(field, depth))

    def _primary(self, field: str, depth: int) -> Query:
        self._parts += 1
        if self._parts > PARTS_MAX:
            raise self._invalid(f"the query has more than {PARTS_MAX:,} parts", "search for fewer words")
        if self._text[self._at] == "(":
            opened = self._at
            self._at += 1
            found = self._either(field, depth + 1)
            if self._ended():
                self._at = opened
                raise self._invalid("this ( is never closed", "close it, or put the text in double quotes")
            self._at += 1
            return found
        named = None if field else _FIELD.match(self._text, self._at)
        if named is not None:
            return self._in_field(self._field(named), named.end(), depth)
        if self._text[self._at] == '"':
            return self._phrase(field)
        if (regex := _REGEX.match(self._text, self._at)) is not None:
            at, self._at = self._at, regex.end()
            return self._of_many(TextMatch(regex[1].replace("\\/", "/"), "regex", field, at=at + 1))
        return self._word(field)

    # -- fields

    def _field(self, named: re.Match[str]) -> str:
        typed = named[1]
        name = ALIASES.get(typed.lower(), typed.lower())
        if name not in FIELDS:
            from symphony.workflow.problems import did_you_mean

            typed = beginning(typed, _SHOWN)
            hint = did_you_mean(typed, FIELDS, f"fields are {', '.join(FIELDS)}").rstrip("?")
            raise self._invalid(
                f"there is no field {typed}", f'{hint}? To search for the text, put it in quotes: "{typed}:…"'
            )
        return name

    def _in_field(self, name: str, start: int, depth: int) -> Query:
        at, self._at = self._at, start
        if self._text.startswith("(", start):
            return self._primary(name, depth)
        if FIELDS[name] in ("text", "label"):
            if self._text.startswith("*", start) and self._begins_nothing(start + 1):
                self._at += 1
                return Known(name, at + 1)
            if self._text.startswith('"', start):
                return self._phrase(name)
            if (regex := _REGEX.match(self._text, start)) is not None:
                self._at = regex.end()
                return self._of_many(TextMatch(regex[1].replace("\\/", "/"), "regex", name, at=at + 1))
            return self._word(name)
        return self._number(name, at)

    def _number(self, name: str, at: int) -> Query:
        if (ranged := _RANGE.match(self._text, self._at)) is not None:
            self._at = ranged.end()
            low = None if ranged[2] == "*" else self._span(name, ranged[2], at)
            high = None if ranged[3] == "*" else self._span(name, ranged[3], at)
            return _between(name, low, high, low_in=ranged[1] == "[", high_in=ranged[4] == "]", at=at + 1)
        compared = _COMPARED.match(self._text, self._at)
        if compared is not None:
            self._at = compared.end()
        value = self._value()
        if value == "*" and compared is None:
            return Known(name, at + 1)
        found = self._span(name, value, at)
        sign = compared[1] if compared is not None else "="
        return _between(
            name, found if sign in (">", ">=", "=") else None, found if sign in ("<", "<=", "=") else None,
            low_in=sign != ">", high_in=sign != "<", at=at + 1,
        )  # fmt: skip

    def _span(self, name: str, value: str, at: int) -> Span:
        try:
            return span(FIELDS[name], value, self._now_s)
        except ValueError as error:
            self._at = at
            raise self._invalid(f"{name}: {error}", f"such as {_EXAMPLES[FIELDS[name]]}") from None

    def _value(self) -> str:
        start = self._at
        if self._text.startswith('"', start):
            return self._quoted()
        while not self._ended() and not self._text[self._at].isspace() and self._text[self._at] != ")":
            self._at += 1
        return self._text[start : self._at]

    # -- texts

    def _quoted(self) -> str:
        start, pieces = self._at, list[str]()
        self._at += 1
        while not self._ended():
            sign = self._text[self._at]
            self._at += 1
            if sign == '"':
                return "".join(pieces)
            if sign == "\\" and not self._ended() and self._text[self._at] in '"\\':
                sign = self._text[self._at]
                self._at += 1
            pieces.append(sign)
        self._at = start
        raise self._invalid('this " is never closed', "close it, or write a backslash before it")

    def _phrase(self, field: str) -> Query:
        at, text, slack, begun = self._at, self._quoted(), 0, False
        if self._text.startswith("*", self._at) and self._begins_nothing(self._at + 1):
            self._at, begun = self._at + 1, True
        elif (found := _SLACK.match(self._text, self._at)) is not None:
            self._at, slack = found.end(), int(found[1] or 1)
        return TextMatch(text, "phrase", field, slack, begun, at + 1)

    def _word(self, field: str) -> Query:
        """Read up to the next space, or a ) that was not opened in the word itself."""
        at, pieces, wild, opened = self._at, list[str](), False, 0
        while not self._ended():
            sign = self._text[self._at]
            if sign.isspace() or (sign == ")" and not opened) or (sign == '"' and pieces):
                break
            if sign in "~^" and (_SLACK if sign == "~" else _BOOST).match(self._text, self._at) and pieces:
                break
            opened += (sign == "(") - (sign == ")")
            if sign == "\\" and self._at + 1 < len(self._text) and not self._text[self._at + 1].isspace():
                self._at += 1
                pieces.append(self._text[self._at])
            elif sign == "*" or _WILD_INSIDE.match(self._text, self._at):
                wild = True
                pieces.append(f"\0{sign}")
            else:
                pieces.append(sign)
            self._at += 1
        return self._of_word("".join(pieces), field, at, wild=wild)

    def _of_word(self, word: str, field: str, at: int, *, wild: bool) -> Query:
        if wild and FIELDS.get(field) != "label" and not _WILD_WORD.fullmatch(word):
            # The * and ? of a link or a path are text, but for a * at its end.
            body, star = (word[:-2], "\0*") if word.endswith("\0*") else (word, "")
            word, wild = body.replace("\0", "") + star, bool(star)
        if (found := _SLACK.match(self._text, self._at)) is not None and not wild:
            self._at = found.end()
            slack = min(int(found[1] or 1), 2)
            return self._of_many(TextMatch(word, "fuzzy", field, slack, at=at + 1))
        if not wild:
            return TextMatch(word, "words", field, at=at + 1)
        if word.strip("\0*") == "":
            return Known(field, at + 1) if field else Everything()
        if word.endswith("\0*") and "\0" not in word[:-2]:
            return self._of_many(TextMatch(word[:-2], "prefix", field, at=at + 1))
        return self._of_many(TextMatch(word, "wildcard", field, at=at + 1))

    def _of_many(self, part: TextMatch) -> TextMatch:
        """Return a part that stands for many words, of which there may not be too many."""
        self._wide += 1
        if self._wide > WIDE_MAX:
            self._at = part.at - 1
            raise self._invalid(
                f"more than {WIDE_MAX} parts are unfinished, misspelt or patterns", "search for whole words"
            )
        return part

    def _boosted(self, part: Query) -> Query:
        found = _BOOST.match(self._text, self._at)
        if found is None:
            return part
        self._at = found.end()
        return Boosted(part, float(found[1]))

    # -- places

    def _ended(self) -> bool:
        return self._at >= len(self._text)

    def _skip(self) -> None:
        while not self._ended() and self._text[self._at].isspace():
            self._at += 1

    def _begins_clause(self, at: int) -> bool:
        return at < len(self._text) and not self._text[at].isspace() and self._text[at] not in ")-+!"

    def _begins_nothing(self, at: int) -> bool:
        return at >= len(self._text) or self._text[at].isspace() or self._text[at] in ")^"

    def _peeked(self, *words: str) -> bool:
        found = _OPERATOR.match(self._text, self._at)
        return found is not None and found[1] in words

    def _took(self, *words: str) -> bool:
        self._skip()
        found = _OPERATOR.match(self._text, self._at)
        if found is None or found[1] not in words:
            return False
        self._at = found.end()
        return True

    def _dangling(self) -> QueryInvalid:
        return self._invalid(
            "something to search for is missing",
            'to search for the words AND, OR or NOT, put them in quotes: "AND"',
        )

    def _invalid(self, what: str, hint: str) -> QueryInvalid:
        rest = self._text[self._at :]
        place = f"at column {self._at + 1}, {beginning(rest, _SHOWN)!r}" if rest else "at its end"
        details: Mapping[str, int] = {"column": self._at + 1}
        return QueryInvalid(f"cannot read the query {place}: {what}", details=details, hint=hint)


def _between(
    name: str, low: Span | None, high: Span | None, *, low_in: bool, high_in: bool, at: int
) -> Between:
    """Return the range from `low` to `high`; a day or a month counts as a whole."""
    if low is not None and low.high is not None and not low_in:
        low, low_in = Span(low.high), True
    if high is not None and high.high is not None and high_in:
        high, high_in = Span(high.high), False
    return Between(
        name, None if low is None else low.low, None if high is None else high.low, low_in, high_in, at
    )


_EXAMPLES: Final[Mapping[str, str]] = {
    "size": "size:>10MB or size:[1KB TO 2MB]",
    "moment": "created:>7d, created:2026-01 or created:[2026-01-01 TO 2026-01-31]",
    "number": "quality:>=0.5",
}
