"""Finds `${{ … }}` in strings and nested values. Pure."""

from collections.abc import Iterator

from symphony.ports.values import Value
from symphony.workflow.expressions.errors import BadExpression
from symphony.workflow.expressions.scan import Read, scan, string_end

_OPEN, _CLOSE, _LITERAL = "${{", "}}", "$${{"


def split(text: str) -> tuple[tuple[bool, str], ...]:
    """The parts of a string: (is it an expression, its text), in order, without empty texts.

    `$${{` is a literal `${{`. Raises BadExpression for an expression that does not end.
    """
    parts: list[tuple[bool, str]] = []
    plain, at = "", 0
    while (found := text.find(_OPEN, at)) >= 0:
        if found > 0 and text[found - 1] == "$" and found - 1 >= at:
            plain += text[at : found - 1] + _OPEN
            at = found + len(_OPEN)
            continue
        plain += text[at:found]
        end = _expression_end(text, found + len(_OPEN))
        if plain:
            parts.append((False, plain))
            plain = ""
        parts.append((True, text[found + len(_OPEN) : end]))
        at = end + len(_CLOSE)
    plain += text[at:]
    if plain:
        parts.append((False, plain))
    return tuple(parts)


def _expression_end(text: str, start: int) -> int:
    """The index of the first `}}` outside CEL strings and braces."""
    at, depth = start, 0
    while at < len(text):
        char = text[at]
        if char in "\"'":
            first = at
            while first > start and text[first - 1] in "rRbB" and at - first < 2:
                first -= 1
            if first > start and (text[first - 1].isalnum() or text[first - 1] == "_"):
                first = at  # the letters belong to a name
            at = string_end(text, first)
            if at < 0:
                raise BadExpression("a string inside the expression does not end", hint="close the quote")
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            if depth == 0 and text.startswith(_CLOSE, at):
                return at
            depth = max(0, depth - 1)
        at += 1
    raise BadExpression("the expression does not end", hint="close it with }}, or write $${{ for a literal ${{")


def bare(text: str) -> str:
    """CEL that may stand with or without `${{ }}`, without them. Raises BadExpression."""
    stripped = text.strip()
    if not stripped.startswith(_OPEN):
        return text
    parts = split(stripped)
    if len(parts) != 1 or not parts[0][0]:
        raise BadExpression("only one expression may stand here", hint="write plain CEL, or one ${{ … }}")
    return parts[0][1]


def strings(value: Value) -> Iterator[str]:
    """Every string of a nested value that holds an expression or its literal form."""
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
    """What the expressions in a nested value read, each once. Raises BadExpression."""
    reads: dict[Read, None] = {}
    for text in strings(value):
        for is_expression, part in split(text):
            if is_expression:
                reads.update(dict.fromkeys(scan(part)))
    return tuple(reads)


def condition_reads(text: str) -> tuple[Read, ...]:
    """What a condition reads: CEL with or without `${{ }}`. Raises BadExpression."""
    return scan(bare(text))
