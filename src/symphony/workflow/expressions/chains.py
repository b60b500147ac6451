"""Regroups long sums, because the library reads `a + b + c` as nesting and stops at 32 levels. Pure.

Bracketed halves nest only as deep as the logarithm of the number of operands. For texts, lists and bytes the
result is the same, and for integers too, unless a partial sum exceeds 64 bits. A sum of doubles depends on
the order, so it is left as it is.
"""

from collections.abc import Mapping, Sequence

import msgspec

from symphony.workflow.expressions.errors import DOUBLES
from symphony.workflow.expressions.scan import Token, ends_operand, tokens

GUARDS = ('""', "0", "[]", "0u", 'b""')
"""What can be added to a sum of texts, of integers, of lists, or of bytes, but never to doubles."""

CHAINS_MAX = 8
"""The most sums that are regrouped in one expression. Each is checked by itself, which takes time."""
_LONG = 8
_LOOSE = "?:,|&<>=!"  # these end a sum; `!` may occur in it only before an operand
_OPEN, _CLOSE = "([{", ")]}"


class Chain(msgspec.Struct, frozen=True):
    """The operands of one sum: where each begins and ends."""

    operands: tuple[tuple[int, int], ...]


def chains(text: str) -> tuple[Chain, ...]:
    """Return the long sums of a CEL text, inner ones first."""
    found: list[Chain] = []
    levels: list[_Sum] = [_Sum()]
    before: Token | None = None
    for token in tokens(text):
        here = levels[-1]
        if token.kind == "op" and token.text in _OPEN:
            here.take(token)
            levels.append(_Sum())
        elif token.kind == "op" and token.text in _CLOSE and len(levels) > 1:
            found += levels.pop().ended()
            levels[-1].take(token)
        elif token.kind == "op" and token.text in "+-" and before is not None and ends_operand(before):
            found += here.sign(token.text)
        elif _ends_sum(token, text):
            found += here.ended()
        else:
            here.take(token)
        before = token
    for level in reversed(levels):
        found += level.ended()
    return tuple(found)


def _ends_sum(token: Token, text: str) -> bool:
    if token.kind == "ident":
        return token.text == "in"
    if token.kind != "op" or token.text not in _LOOSE:
        return False
    return token.text != "!" or text.startswith("=", token.end)


class _Sum:
    """The sum that is being read on one level of brackets."""

    def __init__(self) -> None:
        self._operands: list[tuple[int, int]] = []
        self._start: int | None = None
        self._end, self._only_plus = 0, True

    def take(self, token: Token) -> None:
        if self._start is None:
            self._start = token.start
        self._end = token.end

    def sign(self, sign: str) -> list[Chain]:
        """Start another operand. What was added before a minus is a sum of its own."""
        self._close()
        if sign == "+" or not self._only_plus:
            return []
        before = self.ended()
        self._only_plus = False
        return before

    def ended(self) -> list[Chain]:
        """Return the sum, if it is a long one; another begins."""
        self._close()
        operands, only_plus = self._operands, self._only_plus
        self._operands, self._only_plus = [], True
        return [Chain(tuple(operands))] if only_plus and len(operands) > _LONG else []

    def _close(self) -> None:
        if self._start is not None:
            self._operands.append((self._start, self._end))
        self._start = None


def regrouped(
    text: str,
    found: Sequence[Chain],
    around: Mapping[int, tuple[str, str]],
    more: tuple[int, str, int, str] = (0, "", 0, ""),
) -> str:
    """Return `text` with every sum in halves of halves.

    `around` gives, by the number of a sum, what is written before and behind it; `more` is text for two
    other places.
    """
    start, opening, end, closing = more
    edits = [(start, 0, opening), (end, 1, closing)]  # the position, the order at it, the text
    for number, chain in enumerate(found):
        before, behind = around.get(number, ("", ""))
        edits.append((chain.operands[0][0], 0, before))
        edits.append((chain.operands[-1][1], 1, behind))
        waiting = [(0, len(chain.operands))]
        while waiting:
            first, end = waiting.pop()
            if end - first > 2:
                middle = (first + end) // 2
                edits += [(chain.operands[middle][0], 0, "("), (chain.operands[end - 1][1], -1, ")")]
                waiting += [(first, middle), (middle, end)]
    out, at = list[str](), 0
    for place, _, piece in sorted(edits, key=lambda edit: edit[:2]):
        out += (text[at:place], piece)
        at = place
    return "".join((*out, text[at:]))


def guarded(text: str, found: Sequence[Chain], number: int, guard: str) -> str:
    """Return `text` with its sums regrouped, one of which is only `guard` added to its first operand.

    The result has the right type only if the sum has the type of `guard`, or a dynamic type.
    """
    chain = found[number]
    (start, first), end = chain.operands[0], chain.operands[-1][1]
    others = [one for one in found if one is not chain and not first <= one.operands[0][0] < end]
    short = text[:first] + " " * (end - first) + text[end:]  # places stay
    around = (start, f"dyn({guard} + (", first, "))")
    return regrouped(short, others, {}, around)


def unless_doubles(text: str, chain: Chain) -> tuple[str, str]:
    """Return what to write around a sum whose type is known only when it is evaluated."""
    start, end = chain.operands[0]
    return f'(type({text[start:end]}) == double ? dyn({{}}["{DOUBLES}"]) : (', "))"
