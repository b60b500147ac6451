"""Warnings of comparisons that cannot hold: what a command prints ends with a newline, the literal not."""

import re
from collections.abc import Iterator
from typing import Final

from symphony.workflow.expressions.scan import Token, references, tokens
from symphony.workflow.expressions.splitting import bare, split
from symphony.workflow.model import CommandNode
from symphony.workflow.validation.scope import Scope

_WITHOUT: Final = re.compile(
    r"printf|\becho\s+-\w*n|\btr\s+-|\bhead\s+-c|\bend\s*=|\.write\(|\bjq\s+-\w*j|\\c"
)
"""Commands that may print no newline at the end."""
_COMPARING: Final = ("==", "!=")


def newline_fault(text: str, scope: Scope) -> tuple[str, str] | None:
    """Return what is wrong with a comparison in a condition, or in the `${{ }}` of a text, and what to write.

    Only literals without a newline at their end count; `== ''` asks whether anything was printed.
    """
    parts = [part for is_expression, part in split(text) if is_expression] or [bare(text)]
    for port, sign, literal in (found for part in parts for found in _compared(part, scope)):
        message = f"{port} is compared with {literal}, but what a command prints ends with a newline"
        test = f"{'!' if sign == '!=' else ''}{port}.startsWith({literal})"
        hint = f"write {test}, or let the command print no newline: printf"
        return message, hint
    return None


def _compared(text: str, scope: Scope) -> Iterator[tuple[str, str, str]]:
    """Yield the ports of commands that are compared with literals, each with the operator and the literal."""
    found = tokens(text)
    number = {token.start: at for at, token in enumerate(found)}
    ends = {token.end: at for at, token in enumerate(found)}
    for one in references(text):
        read = one.read
        if read.kind != "port" or read.port not in ("stdout", "stderr") or not _prints(read.name, scope):
            continue
        first, last = number.get(one.start), ends.get(one.end)
        if first is None or last is None:
            continue
        compared = _behind(found, last) or _before(found, first)
        if compared is not None:
            yield str(read), *compared


def _prints(name: str, scope: Scope) -> bool:
    level = scope.level_of(name)
    node = None if level is None else level.nodes.get(name)
    return isinstance(node, CommandNode) and node.for_each is None and not _WITHOUT.search(node.command)


def _behind(found: list[Token], at: int) -> tuple[str, str] | None:
    """Return the operator behind `at`, and the literal: of `== 'yes'`, or the first of `in ['yes']`."""
    texts = [token.text for token in found[at + 1 : at + 3]]  # the signs of an operator are tokens
    sign = "in" if texts == ["in", "["] else "".join(texts)
    literal = _literal(found, at + 3) if sign == "in" or sign in _COMPARING else None
    return None if literal is None else (sign, literal)


def _before(found: list[Token], at: int) -> tuple[str, str] | None:
    """Return the operator and the literal before `at`: of `'yes' ==`."""
    sign = "".join(token.text for token in found[max(0, at - 2) : at])
    literal = _literal(found, at - 3) if sign in _COMPARING else None
    return None if literal is None else (sign, literal)


def _literal(found: list[Token], at: int) -> str | None:
    """Return the text literal at `at`, if it holds something and ends without a newline."""
    if not 0 <= at < len(found) or found[at].kind != "string":
        return None
    written = found[at].text
    inner = written.strip("rRbB").strip("\"'")
    return None if not inner or inner.endswith(("\\n", "\n")) else written
