"""The pit of a home, seen and asked from other processes, and a process that stays to own it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from symphony.app.arbitration import arbiter_of, limits_anything
from symphony.app.beyond import beyond_of
from symphony.app.bus_places import RETAINED, bus_address, passing_name
from symphony.app.circuits import CIRCUIT_TOPIC
from symphony.app.live import LiveBus
from symphony.app.local_models import local_specs, policy_of, pool_lock, shared_pool
from symphony.bus import Bus, Endpoint, Mailbox, Policy, join
from symphony.bus.core.retention import Replay
from symphony.bus.errors import EndpointUnknown, RequestTimedOut
from symphony.bus.owning import LEAVING, lock_holder
from symphony.commons.components import Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.commons.time import SystemClock
from symphony.ipc import EventPayload
from symphony.ipc.transports.errors import ConnectFailed
from symphony.pit.arbitration.sharing import SharedArbiter
from symphony.pit.arbitration.sharing import messages as arbiter_messages
from symphony.pit.arbitration.sharing.messages import ARBITER
from symphony.pit.pool.sharing import SharedSpec, messages
from symphony.pit.pool.sharing.messages import POOL, ModelCall, ModelWanted
from symphony.ports.arbitration import ArbiterStatus
from symphony.ports.models import ModelUnavailable
from symphony.ports.pool import CircuitChanged, SharedPool
from symphony.workflow.problems import did_you_mean

STATUS_S: Final = 5.0
KEEP_S: Final = 900.0
"""How long `PitServer` keeps a model that nobody uses, seconds."""

M = TypeVar("M", bound=msgspec.Struct)


class PitAbsent(SymphonyError):
    """No process of the home owns a pool of models."""

    code = "pit-absent"


class OpenCircuit(CircuitChanged, frozen=True, kw_only=True, tag="circuit-changed"):
    """The last that process `pid` said of the circuit of a hosted model."""

    pid: int


class PitClient:
    """Asks the owner of a home's pool, and never becomes it. Made by `reached`."""

    def __init__(self, home: Path, config: Config, endpoint: Endpoint) -> None:
        self._home, self._config, self._endpoint = home, config, endpoint

    async def pool(self) -> SharedPool | None:
        """Return the pool of the home; None if no process owns one.

        Raises SymphonyError `pit-silent` for an owner that does not answer.
        """
        try:
            answer = await self._endpoint.request(POOL, messages.STATUS, timeout_s=STATUS_S)
        except EndpointUnknown as error:
            holder = lock_holder(pool_lock(self._home))
            if holder is None:
                return None
            raise silent(holder) from error
        except SymphonyError as error:
            if error.code == LEAVING:
                return None
            raise
        return msgspec.convert(answer, SharedPool)

    async def arbiter(self) -> ArbiterStatus | None:
        """Return the arbiter of the home; None if no process owns one.

        Raises SymphonyError `pit-silent` for an owner that does not answer.
        """
        lock = self._home / "run" / arbiter_messages.LOCK
        try:
            answer = await self._endpoint.request(ARBITER, arbiter_messages.STATUS, timeout_s=STATUS_S)
        except EndpointUnknown as error:
            if (holder := lock_holder(lock)) is None:
                return None
            raise silent(holder, "the arbiter") from error
        except SymphonyError as error:
            if error.code == LEAVING:
                return None
            if error.code == RequestTimedOut.code and (holder := lock_holder(lock)) is not None:
                raise silent(holder, "the arbiter") from error
            raise
        return arbiter_messages.read(ArbiterStatus, answer)

    async def warm(self, model: str) -> SharedPool:
        """Have the owner load a model; returns when it is loaded.

        Raises PitAbsent, ModelUnavailable, and as `local_model`.
        """
        return await self._ask(messages.WARM, model)

    async def unload(self, model: str) -> SharedPool:
        """Have the owner end a model once nobody uses it; returns then. Raises as `warm`."""
        return await self._ask(messages.UNLOAD, model)

    async def circuits(self) -> list[OpenCircuit]:
        """Return the circuits of hosted models that are not closed, of processes that are alive."""
        import psutil

        news = await self._endpoint.mailbox(CIRCUIT_TOPIC, replay=Replay(), policy=Policy.DROP_OLDEST)
        await self.pool()  # its answer comes after what is replayed
        latest: dict[tuple[int, str], OpenCircuit] = {}
        while len(news):
            event = (await news.receive()).payload
            if isinstance(event, EventPayload):
                one = msgspec.convert(event.data, OpenCircuit)
                latest[one.pid, one.model] = one
        self._endpoint.unsubscribe(news.subscription)
        return [one for one in latest.values() if one.after != "closed" and psutil.pid_exists(one.pid)]

    async def events(self) -> Mailbox:
        """Return a mailbox of the events of the pit, beginning with those that are kept."""
        return await self._endpoint.mailbox(RETAINED, replay=Replay(), policy=Policy.DROP_OLDEST)

    async def _ask(self, method: str, model: str) -> SharedPool:
        found = local_model(self._config, self._home, model)
        wanted = ModelWanted(model=model, fingerprint=found.spec.fingerprint, settings=found.settings)
        call = messages.value_of(ModelCall(wanted=wanted))
        try:
            answer = await self._endpoint.request(POOL, method, call, timeout_s=None)
        except EndpointUnknown as error:
            if (holder := lock_holder(pool_lock(self._home))) is not None:
                raise silent(holder) from error
            raise absent(self._home) from error
        return msgspec.convert(answer, SharedPool)


def local_model(config: Config, home: Path, model: str) -> SharedSpec:
    """Return a model that runs on this machine.

    Raises ModelUnavailable for a hosted one, SymphonyError `unknown-model` if there is none of this name.
    """
    found = dict(local_specs(config, home))
    if model in found:
        return found[model]
    if model in config.models:
        raise ModelUnavailable(
            f"{model} is a hosted model: there is nothing to load or to end here",
            hint=f"these run on this machine: {', '.join(found)}",
        )
    hint = did_you_mean(model, [*found], f"these run on this machine: {', '.join(found)}")
    raise SymphonyError(f"there is no model {model!r}", code="unknown-model", hint=hint)


def require_no_arbiter(home: Path) -> None:
    """Raise SymphonyError `pit-silent` if a process owns the arbiter, though none could be reached."""
    if (holder := lock_holder(home / "run" / arbiter_messages.LOCK)) is not None:
        raise silent(holder, "the arbiter")


def absent(home: Path) -> PitAbsent:
    """Return the error for a home in which no process owns a pool."""
    return PitAbsent(
        f"no process of {home} has a pool of models",
        hint="start one that stays: symphony pit serve",
    )


def silent(holder: int, what: str = "the pool of models") -> SymphonyError:
    """Return the error for an owner that does not answer."""
    return SymphonyError(
        f"process {holder} owns {what} and does not answer",
        code="pit-silent",
        hint=f"is it stopped? `kill -CONT {holder}` lets it go on, `kill -9 {holder}` ends it",
    )


@asynccontextmanager
async def reached(home: Path, config: Config) -> AsyncIterator[PitClient | None]:
    """Open a way to ask the owner of the pool of `home`; None if no process of it is on the bus.

    Raises SymphonyError `pit-silent` if nobody answers, but a process owns the pool: it is stopped.
    """
    bus = Bus()
    joined = None
    try:
        try:
            joined = await join(bus, bus_address(home), serve=False)
        except ConnectFailed as error:
            if (holder := lock_holder(pool_lock(home))) is not None:
                raise silent(holder) from error
        yield None if joined is None else PitClient(home, config, await bus.endpoint(passing_name("pit")))
    finally:
        if joined is not None:
            await joined.close()
        await bus.close()


class PitServer:
    """Owns the pool and the arbiter of a home for as long as it runs: an `AsyncComponent`.

    The arbiter only if the settings limit something: otherwise nobody asks one.
    """

    def __init__(
        self, home: Path, config: Config, environment: Mapping[str, str], *, keep_s: float = KEEP_S
    ) -> None:
        """`keep_s`: how long a model stays that nobody uses and no running workflow needs."""
        self._live = LiveBus(home, lambda: beyond_of(config.bus, environment))
        policy = policy_of(config)
        policy = replace(policy, keep_s=keep_s, keep_min_s=keep_s, keep_max_s=max(keep_s, policy.keep_max_s))
        self.models = shared_pool(config, home, self._live.reach, policy)
        self.arbiter: SharedArbiter | None = None
        if limits_anything(config):
            arbiter = arbiter_of(config, home, SystemClock(), self._live.reach)
            self.arbiter = arbiter if isinstance(arbiter, SharedArbiter) else None
        self._taking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Be on the bus, and own pool and arbiter as soon as no other process does: see `owned`."""
        if await self._live.reach() is None:
            raise SymphonyError("this process cannot be on the bus of the home", code="bus-absent")
        if self.arbiter is not None:
            self._taking = asyncio.get_running_loop().create_task(self.arbiter.own(), name="own the arbiter")

    async def owned(self) -> None:
        """Wait until this process owns the pool."""
        await self.models.own()

    async def stop(self) -> None:
        """End the models, leave pool and arbiter to others, and the bus."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)
        if self.arbiter is not None:
            await self.arbiter.stop()
        await self.models.close()
        await self._live.close()

    async def health_check(self) -> HealthStatus:
        """The health of the pool, or of the arbiter if that is worse."""
        found = await self.models.health_check()
        if self.arbiter is None or found.health is not Health.HEALTHY:
            return found
        arbiter = await self.arbiter.health_check()
        return found if arbiter.health is Health.HEALTHY else arbiter
