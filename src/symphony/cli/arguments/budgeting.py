"""Budgets as they are typed: `money=0.5,calls=20`."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from symphony.cli.console.failures import BadUsage

if TYPE_CHECKING:
    from symphony.app import Limits

_NUMBER_MAX = 10**15


def limits(typed: Sequence[str]) -> "Limits":
    """Return the limits that were typed, the strictest where one is typed twice. Raises BadUsage."""
    from symphony.app import Limits

    found = Limits()
    for text in (part.strip() for one in typed for part in one.split(",")):
        name, _, value = text.partition("=")
        if name == "money":
            found = found.strictest(Limits(money=_money(text, value)))
        elif name == "tokens":
            found = found.strictest(Limits(tokens=_count(text, value)))
        elif name == "calls":
            found = found.strictest(Limits(calls=_count(text, value)))
        else:
            raise _wrong(text, "limits are money, tokens and calls")
    return found


def _money(text: str, value: str) -> Decimal:
    try:
        amount = Decimal(value)
    except InvalidOperation:
        raise _wrong(text, "money is an amount such as 0.50") from None
    if not amount.is_finite() or not 0 <= amount <= _NUMBER_MAX:
        raise _wrong(text, "money is an amount of 0 or more")
    return amount


def _count(text: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:20]) <= _NUMBER_MAX):
        raise _wrong(text, "tokens and calls are whole numbers of 1 or more")
    return int(value)


def _wrong(text: str, why: str) -> BadUsage:
    return BadUsage(f"--budget {text!r}: {why}", hint="such as --budget money=0.5,calls=20")
