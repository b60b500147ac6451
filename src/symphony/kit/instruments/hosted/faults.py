"""An error as a provider tells it. Pure."""

from dataclasses import dataclass

UNPAID = "model-unpaid"
"""Code of a refusal that only money, or a higher limit of it, can lift."""
UNPAID_HINT = "add credit or raise the spending limit at the provider; asking again does not help"
_UNPAID_CODES = frozenset({
    "insufficient_quota", "billing_error", "billing_not_active", "billing_hard_limit_reached",
    "insufficient_balance", "insufficient_credits", "insufficient_funds", "exceeded_current_quota_error",
    "arrearage", "credit_balance_too_low", "payment_required", "quota_exhausted",
})  # fmt: skip
_UNPAID_WORDS = (
    "credit balance is too low", "insufficient balance", "insufficient credit", "insufficient funds",
    "insufficient_quota", "billing hard limit", "account is not active, please check your billing",
    "requires more credits", "out of credits", "payment required",
)  # fmt: skip


_OVERLOADED_CODES = frozenset(
    {"resource_exhausted", "unavailable", "service_unavailable", "too_many_requests"}
)


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as a provider tells it."""

    words: str = ""
    codes: frozenset[str] = frozenset()
    status: int | None = None

    @property
    def overloaded(self) -> bool:
        """True if the provider says that it is overloaded, or that a rate limit was reached."""
        said = {code.lower() for code in self.codes}
        return bool(said & _OVERLOADED_CODES) or any("overload" in c or "rate_limit" in c for c in said)

    @property
    def limited(self) -> bool:
        """True if the provider says that a rate limit was reached: it is well, and asked too often."""
        said = {code.lower() for code in self.codes}
        return "too_many_requests" in said or any("rate_limit" in code for code in said)

    @property
    def unpaid(self) -> bool:
        """True if the provider refuses for lack of credit, or because of a limit on spending."""
        said = self.words.lower()
        return bool(self.codes & _UNPAID_CODES) or any(words in said for words in _UNPAID_WORDS)
