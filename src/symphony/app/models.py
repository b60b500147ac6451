"""Puts the models of the settings and of the kit together; each provider starts when first needed."""

import contextlib
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from symphony.commons.settings import Config, ModelConfig
from symphony.ports.clock import Clock
from symphony.ports.models import UNMETERED, Caller, Estimate, Models
from symphony.ports.values import Value

if TYPE_CHECKING:
    from symphony.pit.pool import ChildSpec, LocalModels, PoolBudget

Provided: TypeAlias = Literal["hosted", "llama", "pool"]
HOSTED = ("openai", "anthropic")
MEGABYTE = 1_000_000
MINILM_BYTES = 250 * MEGABYTE
LLAMA_BYTES = 250 * MEGABYTE
"""Estimates from measured processes, for the time until a process can be measured."""


def keys_of(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of all models and of the bus, by the names of their variables: no run may write
    them down.
    """
    return {name: environment[name] for name in sorted(config.key_names) if environment.get(name)}


class AllModels:
    """`symphony.ports.models.Models` over all providers: each id goes to the provider that serves it."""

    def __init__(
        self, config: Config, home: Path | None, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        """`environment` is where the keys are looked up, at each call."""
        self._config, self._home, self._clock, self._environment = config, home, clock, environment
        self._served: dict[Provided, Models] = {}
        self._local: LocalModels | None = None

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

    async def close(self) -> None:
        """Close everything that was opened."""
        for one in self._served.values():
            await one.close()
        if self._local is not None:
            await self._local.close()

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
        from symphony.kit import instruments

        own = {name: one for name, one in self._config.models.items() if one.provider == "llama"}
        demo = instruments.SMOLLM2
        return own if demo in self._config.models else {demo: instruments.SMOLLM2_CONFIG, **own}

    def _hosted(self) -> Models:
        from symphony.kit.instruments.hosted.models import HostedModels

        models = {name: one for name, one in self._config.models.items() if one.provider in HOSTED}
        return HostedModels(
            models,
            currency=self._config.budget.currency,
            clock=self._clock,
            chance=random.Random(),  # noqa: S311  (jitter, not a secret)
            environment=self._environment,
        )

    def _pool(self) -> "LocalModels":
        """Return every model that runs in a process of ours; one pool for all."""
        if self._local is None:
            from symphony.pit.pool import LocalModels

            specs = dict(self._specs())
            self._local = LocalModels(specs, budget=self._budget(specs))
        return self._local

    def _budget(self, specs: "Mapping[str, ChildSpec]") -> "PoolBudget":
        """Return what the settings say, else four fifths of the memory; any one model may be loaded then."""
        from symphony.pit.pool import PoolBudget, memory_here

        pool = self._config.pool
        if pool.memory_mb is not None:
            return PoolBudget(bytes_max=pool.memory_mb * MEGABYTE, models_max=pool.models)
        largest = max(spec.size_bytes for spec in specs.values())
        return PoolBudget(bytes_max=max(memory_here() * 4 // 5, largest), models_max=pool.models)

    def _specs(self) -> "Iterator[tuple[str, ChildSpec]]":
        from symphony.kit import instruments
        from symphony.kit.instruments.hosted.catalog import fingerprint
        from symphony.pit.pool import ChildSpec, Elementwise

        minilm = ChildSpec(
            argv=instruments.child_argv(instruments.MINILM, home=self._home),
            fingerprint=instruments.fingerprint(instruments.MINILM),
            elementwise=Elementwise(*instruments.ELEMENTWISE[instruments.MINILM]),
            size_bytes=MINILM_BYTES,
        )
        yield instruments.MINILM, minilm
        for name, one in self._config.models.items():
            if one.provider == "minilm":
                yield name, minilm
        for name, one in self._llamas().items():
            print_of = fingerprint(name, one) if one.file else instruments.fingerprint(name)
            argv = instruments.llama_argv(one, home=self._home)
            yield name, ChildSpec(argv=argv, fingerprint=print_of, size_bytes=_size_of(one))


def _size_of(one: ModelConfig) -> int:
    """Estimate the memory of a GGUF model: its weights and a little; that of a demo if it names no file."""
    if not one.file:
        return LLAMA_BYTES
    with contextlib.suppress(OSError):
        return Path(one.file).stat().st_size + LLAMA_BYTES
    return LLAMA_BYTES
