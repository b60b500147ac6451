"""The model seam: run an instrument's model with a node's inputs, and know what it used up."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Protocol

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value


class ModelUnavailable(SymphonyError):
    """The model is unknown, not installed, damaged, or does not start."""

    code = "model-unavailable"


class ModelFailed(SymphonyError):
    """The model was asked and could not answer. A narrower `code` may say why (`type-mismatch`, …)."""

    code = "model-failed"


class ModelLost(ModelFailed):
    """The process of the model ended during the call, for no fault of the call: it may be asked again."""

    code = "model-lost"


class ModelDied(ModelLost):
    """The process of the model died or hung during the call, perhaps because of it: ask once more at most."""

    code = "model-died"


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The usage of calls of models, with tokens as the provider counts them.

    `tokens_in` includes `tokens_cached`, those that the provider had seen before. `cost` is None where
    no price is known. `estimated`: the provider did not say, as when an answer broke off.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost: Decimal | None = None
    currency: str | None = None
    estimated: bool = False

    @property
    def tokens(self) -> int:
        """Read and written together."""
        return self.tokens_in + self.tokens_out

    def __add__(self, other: "Usage") -> "Usage":
        known = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            calls=self.calls + other.calls,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_out=self.tokens_out + other.tokens_out,
            tokens_cached=self.tokens_cached + other.tokens_cached,
            cost=sum(known, Decimal(0)) if known else None,
            currency=self.currency or other.currency,
            estimated=self.estimated or other.estimated,
        )


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """The most that one request is likely to use up. `cost` is None where no price is known."""

    tokens_in: int = 0
    tokens_out: int = 0
    cost: Decimal | None = None

    @property
    def tokens(self) -> int:
        """Read and written together."""
        return self.tokens_in + self.tokens_out


class Caller(Protocol):
    """The caller of a model: grants each request, learns its usage, and gets the text as it comes."""

    @property
    def run(self) -> str | None:
        """The id of the run that asks; None outside of runs."""
        ...

    @property
    def priority(self) -> int:
        """The priority of the run: of two that wait for one model, the higher one goes first."""
        ...

    async def reserve(self, model: str, most: Estimate) -> None:
        """Wait until the request may be made. Raises SymphonyError `budget-exceeded`."""
        ...

    def used(self, usage: Usage) -> None:
        """Note that the request that was reserved is over, however it ended. Called exactly once for each."""
        ...

    def token(self, text: str) -> None:
        """A piece of the answer. What came before an error is void."""
        ...


class Unmetered:
    """A caller without limits who reads only the whole answer."""

    run: str | None = None
    priority: int = 0

    async def reserve(self, model: str, most: Estimate) -> None:
        """Granted."""

    def used(self, usage: Usage) -> None:
        """Not counted."""

    def token(self, text: str) -> None:
        """Not looked at."""


UNMETERED = Unmetered()


class Models(Protocol):
    """Local or remote models by id. Errors: `ModelUnavailable`, `ModelFailed`."""

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """Return the model's output ports for `inputs`; cancelling the task ends the call.

        What `caller.reserve` raises goes through.
        """
        ...

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Return the most that the call is likely to use up; inputs that are not known yet are left out."""
        ...

    def fingerprint(self, model: str) -> str:
        """Changes whenever the model's weights or code change: part of the cache key."""
        ...

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """True if the caller wants a new answer each time, so that an earlier one must not replace it.

        Of `inputs`, large values may be given as references.
        """
        ...

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Announce the models that `run` will need: for each, in how many stages (1: the next one).

        None means that the run has ended. Replaces what was announced for `run` before. The models may be
        loaded ahead. Call on the loop.
        """
        ...

    async def close(self) -> None: ...


def drawn_at_random(inputs: Mapping[str, object]) -> bool:
    """True if a chat is asked at a `temperature` above 0, so that its words are drawn at random."""
    temperature = inputs.get("temperature")
    return isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature > 0


def usage_value(usage: Usage) -> dict[str, Value]:
    """Return the usage as a value: counts as numbers, and money as text, which loses nothing."""
    shown: dict[str, Value] = {
        "calls": usage.calls,
        "tokens_in": usage.tokens_in,
        "tokens_out": usage.tokens_out,
        "tokens_cached": usage.tokens_cached,
    }
    if usage.cost is not None:
        shown |= {"cost": f"{usage.cost:f}", "currency": usage.currency}
    return {**shown, "estimated": True} if usage.estimated else shown
