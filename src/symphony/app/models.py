"""Puts the models of the settings and of the kit together; each provider starts when first needed."""

import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from symphony.commons.settings import Config, ModelConfig
from symphony.ports.clock import Clock
from symphony.ports.models import UNMETERED, Caller, Estimate, Models
from symphony.ports.values import Value

if TYPE_CHECKING:
    from symphony.app.circuits import CircuitNews
    from symphony.bus import Bus
    from symphony.pit.pool import LocalModels
    from symphony.pit.pool.keeping import KeptModel
    from symphony.pit.pool.sharing import SharedModels

Provided: TypeAlias = Literal["hosted", "llama", "pool"]
HOSTED = ("openai", "anthropic")


def keys_of(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of all models and of the bus, by the names of their variables: no run may write
    them down.
    """
    return {name: environment[name] for name in sorted(config.key_names) if environment.get(name)}


class AllModels:
    """`symphony.ports.models.Models` over all providers: each id goes to the provider that serves it."""

    def __init__(
        self,
        config: Config,
        home: Path | None,
        clock: Clock,
        environment: Mapping[str, str],
        reach: "Callable[[], Awaitable[Bus | None]] | None" = None,
    ) -> None:
        """`environment` is where the keys are looked up, at each call.

        `reach` puts this process on the bus of its home, where all share one pool.
        """
        self._reach = reach
        self._config, self._home, self._clock, self._environment = config, home, clock, environment
        self._served: dict[Provided, Models] = {}
        self._local: LocalModels | SharedModels | None = None
        self._circuits: CircuitNews | None = None

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """Ask the provider that serves the model."""
        return await self.served_by(model).invoke(model, inputs, config, caller)

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Return the estimate of the provider that serves the model."""
        return self.served_by(model).estimate(model, inputs, config)

    def fingerprint(self, model: str) -> str:
        """Return the fingerprint that the model's provider gives."""
        return self.served_by(model).fingerprint(model)

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """True if the model's provider says that answers differ from call to call."""
        return self.served_by(model).sampled(model, inputs)

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Tell the pool which of its models `run` needs soon."""
        local = {name: stages for name, stages in (needs or {}).items() if self._provider(name) != "hosted"}
        if local or self._local is not None:
            self._pool().foresee(run, None if needs is None else local)

    def local_among(self, models: Collection[str]) -> frozenset[str]:
        """Return those that run on this machine, or that nobody knows."""
        return frozenset(model for model in models if self._provider(model) != "hosted")

    async def keep(self, models: Collection[str]) -> "list[KeptModel]":
        """Return models of this machine once all are loaded, which they stay until they are released.

        Raises ModelUnavailable, PoolTooSmall.
        """
        return await self._pool().keep(models)

    async def close(self) -> None:
        """Close everything that was opened."""
        for one in self._served.values():
            await one.close()
        if self._local is not None:
            await self._local.close()
        if self._circuits is not None:
            await self._circuits.close()

    def served_by(self, model: str) -> Models:
        """Return the provider that serves the model. It starts at its first call."""
        provider = self._provider(model)
        if provider not in self._served:
            self._served[provider] = self._made(provider)
        return self._served[provider]

    def _provider(self, model: str) -> Provided:
        found = self._config.models.get(model)
        if found is not None and found.provider in HOSTED:
            return "hosted"
        return "llama" if model in self._llamas() else "pool"

    def _made(self, provider: Provided) -> Models:
        if provider == "pool":
            return self._pool()
        if provider == "hosted":
            return self._hosted()
        from symphony.app.served import ServedModels

        return ServedModels(
            self._llamas(), self._pool(), currency=self._config.budget.currency, clock=self._clock
        )

    def _llamas(self) -> dict[str, ModelConfig]:
        """Return the models in GGUF files."""
        from symphony.kit.instruments import llamas

        return llamas(self._config.models)

    def _hosted(self) -> Models:
        from symphony.kit.instruments.hosted.models import HostedModels

        if self._reach is not None and self._config.pool.metrics_enabled:
            from symphony.app.circuits import CircuitNews

            self._circuits = CircuitNews(self._reach)
        models = {name: one for name, one in self._config.models.items() if one.provider in HOSTED}
        return HostedModels(
            models,
            currency=self._config.budget.currency,
            clock=self._clock,
            chance=random.Random(),  # noqa: S311  (jitter, not a secret)
            environment=self._environment,
            tell=None if self._circuits is None else self._circuits.tell,
        )

    def _pool(self) -> "LocalModels | SharedModels":
        """Return every model that runs on this machine; one pool for all processes of the home."""
        if self._local is None:
            from symphony.app.local_models import own_pool, shared_pool

            if self._home is None or self._reach is None or not self._config.pool.enabled:
                self._local = own_pool(self._config, self._home)
            else:
                self._local = shared_pool(self._config, self._home, self._reach)
        return self._local
