"""Which model is served by what: the settings and the kit put together, everything started late."""

import random
from collections.abc import Mapping
from pathlib import Path

from symphony.commons.settings import Config
from symphony.ports.clock import Clock
from symphony.ports.models import UNMETERED, Caller, Estimate, Models
from symphony.ports.values import Value

HOSTED = ("openai", "anthropic")


def keys_of(config: Config, environment: Mapping[str, str]) -> dict[str, str]:
    """The keys of all models, by the names of their variables: no run may write them down."""
    names = {model.key for model in config.models.values() if model.key is not None}
    return {name: environment[name] for name in sorted(names) if environment.get(name)}


class AllModels:
    """`symphony.ports.models.Models` over everything there is: each id goes to who serves it."""

    def __init__(
        self, config: Config, home: Path | None, clock: Clock, environment: Mapping[str, str]
    ) -> None:
        """`environment` is where the keys are looked up, at each call."""
        self._config, self._home, self._clock, self._environment = config, home, clock, environment
        self._served: dict[str, Models] = {}

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """As whoever serves the model does it."""
        return await self._by(model).invoke(model, inputs, config, caller)

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """As whoever serves the model estimates it."""
        return self._by(model).estimate(model, inputs, config)

    def fingerprint(self, model: str) -> str:
        """As whoever serves the model gives it."""
        return self._by(model).fingerprint(model)

    async def close(self) -> None:
        """Close everything that was opened."""
        for one in self._served.values():
            await one.close()

    def _by(self, model: str) -> Models:
        found = self._config.models.get(model)
        provider = "kit" if found is None else found.provider or ""
        kind = "hosted" if provider in HOSTED else "local"
        if kind not in self._served:
            self._served[kind] = self._hosted() if kind == "hosted" else self._local()
        return self._served[kind]

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

    def _local(self) -> Models:
        from symphony.kit import instruments
        from symphony.pit.pool import ChildSpec, Elementwise, LocalModels

        specs = {
            name: ChildSpec(
                argv=instruments.child_argv(name, home=self._home),
                fingerprint=instruments.fingerprint(name),
                elementwise=Elementwise(*instruments.ELEMENTWISE[name])
                if name in instruments.ELEMENTWISE
                else None,
            )
            for name in instruments.models()
        }
        return LocalModels(specs, clock=self._clock)
