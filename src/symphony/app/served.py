"""Models in GGUF files: the pool keeps their processes, the adapter for hosted models talks to them."""

import random
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from decimal import Decimal
from typing import Protocol

import msgspec

from symphony.commons.settings import ModelConfig, Price
from symphony.kit.instruments.hosted.models import HostedModels
from symphony.ports.clock import Clock
from symphony.ports.models import (
    UNMETERED,
    Caller,
    Estimate,
    ModelDied,
    ModelFailed,
    ModelLost,
    Models,
    ModelUnavailable,
    drawn_at_random,
)
from symphony.ports.values import Value

FIRST_BYTE_S = 3600.0
"""The longest wait for an answer: a small machine may read a long prompt for minutes. A node that
cannot wait sets a timeout.
"""
_KEY = "KEY"
_TRIES = 10
"""How many owners of the pool may die with a call under way, until the call fails."""
_FREE = Price(input=Decimal(0))


class Pool(Protocol):
    """Manages the processes."""

    def held(
        self, model: str, run: str | None = None, priority: int = 0
    ) -> AbstractAsyncContextManager[Mapping[str, Value]]: ...
    def fingerprint(self, model: str) -> str: ...


class ServedModels:
    """`symphony.ports.models.Models` over processes of our own that speak as OpenAI does.

    Each process answers as many calls at once as the model has slots, always as a stream: closing
    it is what ends the work.
    """

    def __init__(self, models: Mapping[str, ModelConfig], pool: Pool, *, currency: str, clock: Clock) -> None:
        """`pool` is closed by its owner."""
        self._models, self._pool, self._currency, self._clock = models, pool, currency, clock

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """Return the model's output ports. Raises as the pool and the adapter do.

        If the process goes with the owner of the pool, the next owner is asked: a model has no effects.
        If the process itself dies, it is asked once more.
        """
        lost: ModelLost | None = None
        for _ in range(_TRIES):
            try:
                async with (
                    self.address(model, caller.run, caller.priority) as (url, key),
                    self._adapter(model, url, key) as hosted,
                ):
                    return await hosted.invoke(model, inputs, config, caller)
            except ModelDied as error:
                if isinstance(lost, ModelDied):
                    raise ModelFailed(
                        f"{error.message} (twice, on the same input)", hint=error.hint
                    ) from error
                lost = error
            except ModelLost as error:
                lost = lost or error
        assert lost is not None
        raise lost

    @asynccontextmanager
    async def address(
        self, model: str, run: str | None = None, priority: int = 0
    ) -> AsyncIterator[tuple[str, str]]:
        """Yield the model's address and the key that it wants; its process stays until the block is left."""
        async with self._pool.held(model, run, priority) as told:
            yield str(told["url"]), str(told["key"])

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Return the tokens; money only if the settings set a price."""
        adapter = self._hosted(model, "http://127.0.0.1/v1", "")
        return adapter.estimate(model, inputs, config)

    def fingerprint(self, model: str) -> str:
        """Return the fingerprint of the weights, as the pool knows it."""
        return self._pool.fingerprint(model)

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """True for a chat at a temperature above 0; embeddings are never sampled."""
        found = self._models.get(model)
        return found is not None and found.kind == "chat" and drawn_at_random(inputs)

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Do nothing: the pool's owner announces it."""

    async def close(self) -> None:
        """Do nothing: nothing is open between calls."""

    @asynccontextmanager
    async def _adapter(self, model: str, url: str, key: str) -> AsyncIterator[Models]:
        hosted = self._hosted(model, url, key)
        try:
            yield hosted
        finally:
            await hosted.close()

    def _hosted(self, model: str, url: str, key: str) -> HostedModels:
        if model not in self._models:
            raise ModelUnavailable(f"there is no model {model!r}", hint=f"known: {', '.join(self._models)}")
        found = self._models[model]
        config = msgspec.structs.replace(
            found,
            provider="openai",
            url=url,
            key=_KEY,
            file=None,
            stream=True,
            retries=0,
            first_byte_timeout=max(found.first_byte_timeout, FIRST_BYTE_S),
            price=found.price or _FREE,
        )
        return HostedModels(
            {model: config},
            currency=self._currency,
            clock=self._clock,
            chance=random.Random(0),  # noqa: S311  (nothing is tried twice)
            environment={_KEY: key},
        )
