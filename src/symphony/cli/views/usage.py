"""The usage of models, past or expected, in a few words."""

from decimal import Decimal

from symphony.cli.console import output
from symphony.ports.models import Estimate, Usage


def usage_text(usage: Usage) -> str:
    """`3 calls, 1,200 + 80 tokens, 0.0021 USD`: tokens read and written, and what they cost."""
    parts = [output.count(usage.calls, "call")]
    if usage.tokens:
        parts.append(tokens_text(usage))
    if usage.cost is not None:
        parts.append(cost_text(usage.cost, usage.currency))
    return ", ".join(parts) + (" (estimated)" if usage.estimated else "")


def tokens_text(used: Usage | Estimate) -> str:
    """`1,200 + 80 tokens`: read and written."""
    return f"{used.tokens_in:,} + {used.tokens_out:,} tokens"


def cost_text(cost: Decimal, currency: str | None) -> str:
    """`0.0021 USD`; the amount alone where its currency is not known."""
    return f"{cost.normalize():f} {currency or ''}".rstrip()
