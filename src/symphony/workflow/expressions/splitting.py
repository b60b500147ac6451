"""Finds `${{ … }}` in strings and nested values. Pure."""

import re
from collections.abc import Iterator
from functools import lru_cache

from symphony.ports.values import Value
from symphony.workflow.expressions.errors import BadExpression
from symphony.workflow.expressions.scan import Read, reference_in, scan, string_end

_OPEN, _CLOSE = "${{", "}}"
_NOTABLE = re.compile(r"[\"'{}]|//|`[A-Za-z0-9_.\-/ ]+`")
_CACHED_LENGTH_MAX = 256  # longer texts are rare, and a cache of them would be large


def split(text: str) -> tuple[tuple[bool, str], ...]:
    """Return the parts of a string: (is it an expression, its text), in order, without empty texts.

    `$${{` is a literal `${{`. Raises BadExpression for an expression that does not end.
    """
    parts: list[tuple[bool, str]] = []
    plain: list[str] = []
    at = 0
    while (found := text.find(_OPEN, at)) >= 0:
        if found > at and text[found - 1] == "$":
            plain += (text[at : found - 1], _OPEN)
            at = found + len(_OPEN)
            continue
        plain.append(text[at:found])
        end = _expression_end(text, found + len(_OPEN))
        if before := "".join(plain):
            parts.append((False, before))
        plain.clear()
        parts.append((True, text[found + len(_OPEN) : end]))
        at = end + len(_CLOSE)
    plain.append(text[at:])
    if rest := "".join(plain):
        parts.append((False, rest))
    return tuple(parts)


def _expression_end(text: str, start: int) -> int:
    """Return the index of the first `}}` outside CEL strings and braces.

    Quotes and braces in a `//` comment are not CEL's; a `}}` there does end the expression.
    """
    at, depth = start, 0
    while match := _NOTABLE.search(text, at):
        at, char = match.start(), match[0]
        if char == "//":
            at = _comment_end(text, at)
        elif char[0] == "`":
            at = match.end()
        elif char in "\"'":
            at = string_end(text, _with_prefix(text, start, at))
            if at < 0:
                raise BadExpression("a string inside the expression does not end", hint="close the quote")
        elif char == "{":
            at, depth = at + 1, depth + 1
        elif depth == 0 and text.startswith(_CLOSE, at):
            return at
        else:
            at, depth = at + 1, max(0, depth - 1)
    raise BadExpression(
        "the expression does not end", hint="close it with }}, or write $${{ for a literal ${{"
    )


def _comment_end(text: str, at: int) -> int:
    """Return where the comment at `at` ends: at its line's end, or before a `}}`."""
    ends = [found for mark in ("\n", _CLOSE) if (found := text.find(mark, at)) >= 0]
    return min(ends, default=len(text))


def _with_prefix(text: str, start: int, quote: int) -> int:
    """Return where the string literal with this quote begins: `r` and `b` may stand before it."""
    first = quote
    while first > start and text[first - 1] in "rRbB" and quote - first < 2:
        first -= 1
    if first > start and (text[first - 1].isalnum() or text[first - 1] == "_"):
        return quote  # the letters belong to a name
    if text[first:quote].lower() in ("rr", "bb"):
        return first + 1
    return first


def bare(text: str) -> str:
    """Return CEL without the optional `${{ }}` around it. Raises BadExpression."""
    stripped = text.strip()
    if not stripped.startswith(_OPEN):
        return text
    parts = split(stripped)
    if len(parts) != 1 or not parts[0][0]:
        raise BadExpression("only one expression may stand here", hint="write plain CEL, or one ${{ … }}")
    return parts[0][1]


def strings(value: Value) -> Iterator[str]:
    """Yield every string of a nested value that holds an expression or its literal form."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _OPEN in item:
                yield item
        elif isinstance(item, list):
            stack.extend(reversed(item))
        elif isinstance(item, dict):
            stack.extend(reversed(list(item.values())))


def value_reads(value: Value) -> tuple[Read, ...]:
    """Return what the expressions in a nested value read, without duplicates. Raises BadExpression."""
    if isinstance(value, str):
        return _string_reads(value) if _OPEN in value else ()
    if not isinstance(value, list | dict):
        return ()
    reads: dict[Read, None] = {}
    for text in strings(value):
        for read in _string_reads(text):
            reads[read] = None
    return tuple(reads)


def _string_reads(text: str) -> tuple[Read, ...]:
    return _reads(text) if len(text) <= _CACHED_LENGTH_MAX else _reads.__wrapped__(text)


@lru_cache(maxsize=65_536)
def _reads(text: str) -> tuple[Read, ...]:
    read = reference_in(text)
    if read is not None:
        return (read,)
    reads: dict[Read, None] = {}
    for is_expression, part in split(text):
        if is_expression:
            reads.update(dict.fromkeys(scan(part)))
    return tuple(reads)


def condition_reads(text: str, *, value: bool = False) -> tuple[Read, ...]:
    """Return what a condition reads, which is CEL with or without `${{ }}`. Raises BadExpression.

    `value`: the text is an edge's `transform`, where `value` is what the edge carries.
    """
    return scan(bare(text), value=value)
