"""The tokens that a request may take, and the cost of tokens. Pure; money is decimal throughout."""

from collections.abc import Sequence
from decimal import Decimal

from symphony.commons.settings import Price
from symphony.ports.models import Estimate, Usage

BYTES_PER_TOKEN = 2
"""Bytes of UTF-8, at the least: prose has four to five, code three, digits and rare scripts two to three."""
TOKENS_PER_MESSAGE = 16
"""What an interface adds around each message, at the most."""
_MILLION = -6


def tokens_at_most(texts: Sequence[str]) -> int:
    """Return an upper estimate of the tokens of `texts`, each a message: no tokenizer of theirs is at
    hand.
    """
    return sum(
        -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE for text in texts
    )


def cost_of(price: Price | None, *, read: int, written: int, cached: int = 0) -> Decimal | None:
    """Return what tokens cost, exactly; `read` includes `cached`. None without a price."""
    if price is None:
        return None
    of_cached = price.input if price.cached is None else price.cached
    total = (read - cached) * price.input + cached * of_cached + written * price.output
    return total.scaleb(_MILLION).normalize()


def estimate(price: Price | None, *, read: int, written: int) -> Estimate:
    """Return an estimate with its cost."""
    return Estimate(tokens_in=read, tokens_out=written, cost=cost_of(price, read=read, written=written))


def usage(
    price: Price | None, currency: str, *, read: int, written: int, cached: int = 0, estimated: bool = False
) -> Usage:
    """Return what one answered request used up."""
    cached = min(max(cached, 0), read)
    cost = cost_of(price, read=read, written=written, cached=cached)
    return Usage(
        calls=1,
        tokens_in=read,
        tokens_out=written,
        tokens_cached=cached,
        cost=cost,
        currency=None if cost is None else currency,
        estimated=estimated,
    )
