"""The models that run on this machine: which there are, and how the process of each is started."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from symphony.app.bus_places import passing_name
from symphony.bus import Bus
from symphony.commons.settings import Config, ModelConfig
from symphony.kit import instruments
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels, PoolBudget, PoolPolicy, memory_here
from symphony.pit.pool.sharing import SharedModels, SharedSpec
from symphony.pit.pool.sharing.messages import LOCK, PoolDiffers

MEGABYTE: Final = 1_000_000
MINILM_BYTES: Final = 250 * MEGABYTE
MINILM_STEP_CPU_S: Final = 15.0
"""A window of a text takes less than a tenth of a second, on a slow machine a second."""
LLAMA_BYTES: Final = 250 * MEGABYTE
"""Estimates from measured processes, for the time until a process can be measured."""
MINILM_CONFIG: Final = ModelConfig(provider="minilm")


def own_pool(config: Config, home: Path | None) -> LocalModels:
    """Return a pool of this process alone."""
    specs = {name: one.spec for name, one in local_specs(config, home)}
    return LocalModels(specs, budget=budget_of(config, specs.values()), policy=policy_of(config))


def shared_pool(
    config: Config, home: Path, reach: Callable[[], Awaitable[Bus | None]], policy: PoolPolicy | None = None
) -> SharedModels:
    """Return the pool of all processes of a home. `reach` puts this process on the bus of the home."""
    found = dict(local_specs(config, home))
    return SharedModels(
        found,
        lambda name, settings: spec_of(name, settings, home),
        budget=budget_of(config, [one.spec for one in found.values()]),
        policy=policy or policy_of(config),
        component=config.pool,
        lock=pool_lock(home),
        bus=reach,
        asking=passing_name("pool"),
    )


def policy_of(config: Config) -> PoolPolicy:
    """Return the rules for loading ahead, and for how long idle models stay."""
    pool = config.pool
    keep_s, default = pool.keep_s, PoolPolicy()
    return PoolPolicy(
        lookahead=pool.lookahead,
        markov=pool.markov,
        histogram=pool.histogram,
        keep_s=keep_s,
        keep_min_s=min(default.keep_min_s, keep_s),
        keep_max_s=max(default.keep_max_s, keep_s),
        load_s=pool.load_s,
    )


def pool_lock(home: Path) -> Path:
    """Return the lock that the owner of a home's pool holds."""
    return home / "run" / LOCK


def local_specs(config: Config, home: Path | None) -> Iterator[tuple[str, SharedSpec]]:
    """Yield every model of this machine by name."""
    minilms = [name for name, one in config.models.items() if one.provider == "minilm"]
    for name in dict.fromkeys([instruments.MINILM, *minilms]):
        yield name, _shared(name, MINILM_CONFIG, home)
    for name, one in instruments.llamas(config.models).items():
        yield name, _shared(name, one, home)


def spec_of(name: str, settings: bytes, home: Path | None) -> ChildSpec:
    """Return the process of a model of another process, from its settings as that one sent them.

    Raises PoolDiffers if they are those of another version of Symphony.
    """
    try:
        return _spec(name, msgspec.msgpack.decode(settings, type=ModelConfig), home)
    except (msgspec.DecodeError, ValueError) as error:
        raise PoolDiffers(f"model {name}: its settings are of another version of Symphony") from error


def budget_of(config: Config, specs: Iterable[ChildSpec]) -> PoolBudget:
    """Return what the settings say, else four fifths of the memory; any one model may be loaded then."""
    pool = config.pool
    if pool.memory_mb is not None:
        return PoolBudget(bytes_max=pool.memory_mb * MEGABYTE, models_max=pool.models)
    largest = max(spec.size_bytes for spec in specs)
    return PoolBudget(bytes_max=max(memory_here() * 4 // 5, largest), models_max=pool.models)


def _shared(name: str, config: ModelConfig, home: Path | None) -> SharedSpec:
    return SharedSpec(_spec(name, config, home), msgspec.msgpack.encode(config))


def _spec(name: str, config: ModelConfig, home: Path | None) -> ChildSpec:
    from symphony.kit.instruments.hosted.catalog import fingerprint

    if config.provider == "minilm":
        return ChildSpec(
            argv=instruments.child_argv(instruments.MINILM, home=home),
            fingerprint=instruments.fingerprint(instruments.MINILM),
            elementwise=Elementwise(*instruments.ELEMENTWISE[instruments.MINILM]),
            size_bytes=MINILM_BYTES,
            step_cpu_s=MINILM_STEP_CPU_S,
        )
    print_of = fingerprint(name, config) if config.file else instruments.fingerprint(instruments.SMOLLM2)
    argv = instruments.llama_argv(config, home=home)
    return ChildSpec(argv=argv, fingerprint=print_of, size_bytes=_size_of(config), slots=config.slots)


def _size_of(one: ModelConfig) -> int:
    """Estimate the memory of a GGUF model: its weights and a little; that of a demo if it names no file."""
    if not one.file:
        return LLAMA_BYTES
    with contextlib.suppress(OSError):
        return Path(one.file).stat().st_size + LLAMA_BYTES
    return LLAMA_BYTES
