"""Splits long `c ? x : d ? y : … : z`, which the library reads as nesting, up to 32 levels. Pure.

The upper half is guarded by all of its conditions joined by `||`. The result is the same as testing the
conditions one after the other: `||` ignores a failure only if a later condition is true, and then the upper
half meets that failure again.
"""

from typing import TypeAlias

import msgspec

from symphony.workflow.expressions.scan import Token, tokens

Span: TypeAlias = tuple[int, int]

_LONG = 8
_SHORT = 4
_RUNGS_MAX = 200
_LADDERS_MAX = 16
_OPEN, _CLOSE = "([{", ")]}"


class _Ladder(msgspec.Struct):
    """Conditions and values of one bracket level, as far as they are read."""

    spans: list[Span] = msgspec.field(default_factory=list)
    """Condition, value, condition, value, …, and what is left."""
    start: int | None = None
    end: int = 0

    def take(self, token: Token) -> None:
        if self.start is None:
            self.start = token.start
        self.end = token.end

    def cut(self) -> None:
        """End a condition or a value."""
        if self.start is not None:
            self.spans.append((self.start, self.end))
        self.start = None


def halved(text: str) -> str:
    """Return `text` with every long ladder in halves of halves."""
    for _ in range(_LADDERS_MAX):
        spans = _innermost(text)
        if not spans:
            break
        rungs = [(text[slice(*spans[i])], text[slice(*spans[i + 1])]) for i in range(0, len(spans) - 1, 2)]
        text = text[: spans[0][0]] + f"({_built(rungs, text[slice(*spans[-1])])})" + text[spans[-1][1] :]
    return text


def _built(rungs: list[tuple[str, str]], otherwise: str) -> str:
    if len(rungs) <= _SHORT:
        return "".join(f"({condition}) ? ({value}) : " for condition, value in rungs) + f"({otherwise})"
    upper, lower = rungs[: len(rungs) // 2], rungs[len(rungs) // 2 :]
    any_of = " || ".join(f"({condition})" for condition, _ in upper)
    return f"({any_of}) ? ({_built(upper[:-1], upper[-1][1])}) : ({_built(lower, otherwise)})"


def _innermost(text: str) -> list[Span]:
    """Return the spans of a long ladder that contains no other; none if there is none."""
    levels = [_Ladder()]
    found = tokens(text)
    for i, token in enumerate(found):
        here = levels[-1]
        if token.kind == "op" and token.text in _OPEN:
            here.take(token)
            levels.append(_Ladder())
            continue
        closing = token.kind == "op" and token.text in _CLOSE and len(levels) > 1
        between = len(here.spans) % 2 == 1  # behind a question mark
        if closing or token.text == "," or (token.text == ":" and not between):
            if spans := _long(here):
                return spans
            if closing:
                levels.pop()
                levels[-1].take(token)
            else:
                levels[-1] = _Ladder()
        elif token.text == ":" or (token.text == "?" and found[i - 1].text != "."):
            here.cut()
        else:
            here.take(token)
    return _long(levels[-1])


def _long(ladder: _Ladder) -> list[Span]:
    ladder.cut()
    count = len(ladder.spans)
    return ladder.spans if count % 2 == 1 and 2 * _LONG < count < 2 * _RUNGS_MAX else []
