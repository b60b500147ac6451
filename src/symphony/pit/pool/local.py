"""Local models in supervised processes: the shell around the pool's machine.

It starts and ends processes as the machine says, and tells it what became of them.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from decimal import Decimal
from functools import partial
from typing import Final

from symphony.commons.time import SystemClock
from symphony.pit.pool.child import ChildDied, ModelProcess
from symphony.pit.pool.core.actions import (
    GrantLease,
    LeaseRequest,
    LoseLease,
    PoolAction,
    RefuseLease,
    RefuseWarm,
    StartModel,
    StopModel,
)
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.lifecycle import PhaseChanged
from symphony.pit.pool.core.machine import PoolMachine
from symphony.pit.pool.core.splitting import ChildSpec, joined, parts
from symphony.pit.pool.events import event_of
from symphony.pit.pool.heartbeat import Heartbeat
from symphony.pit.pool.host import ModelHost
from symphony.pit.pool.keeping import Gathering, KeptModel
from symphony.pit.pool.leases import ModelLease
from symphony.pit.pool.memory import memory_of
from symphony.ports.clock import Clock
from symphony.ports.models import UNMETERED, Caller, Estimate, ModelDied, ModelFailed, ModelUnavailable, Usage
from symphony.ports.pool import ModelPhase, PoolEvent, PoolStatus
from symphony.ports.values import Value

logger = logging.getLogger(__name__)

FREE = Estimate(cost=Decimal(0))
UNBOUNDED: Final = PoolBudget(bytes_max=2**63)
MEASURED_EVERY_S: Final = 5.0
"""What a process takes grows as it is used."""
REFUSAL_S = 1.0
"""A thousand elements of a fan-out must not start a thousand processes to hear the same."""
_TRIES = 2
_CUT_OFF: Final = frozenset({"model-unreachable", "model-answer-broken"})
"""How those who talk to a process by another way see its end, perhaps before its supervisor does."""
_LOST_S: Final = 0.5


class LocalModels:
    """`symphony.ports.models.Models` over child processes. Use from one event loop; `close` it.

    Knows no model: which there are, and how to start them, comes in as `specs`.
    """

    def __init__(
        self,
        specs: Mapping[str, ChildSpec],
        *,
        budget: PoolBudget = UNBOUNDED,
        policy: PoolPolicy | None = None,
        refusal_s: float = REFUSAL_S,
        tell: Callable[[PoolEvent], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """For `refusal_s` seconds a model that refuses is not asked again.

        `tell` is called on the loop with each event, once it has happened. It must not wait or raise.
        """
        self._hosts = {name: ModelHost(name, spec) for name, spec in specs.items()}
        self._budget, self._policy = budget, policy or PoolPolicy()
        self._refusal_s = refusal_s
        self._begun: PoolMachine | None = None
        self._tell, self._clock = tell, clock or SystemClock()
        self._asked: dict[str, asyncio.Future[ModelLease]] = {}
        self._kept: dict[str, LeaseRequest] = {}
        self._gathering = Gathering(budget, self._bytes_of)
        self._warming: dict[str, asyncio.Future[None]] = {}
        self._unloading: dict[str, asyncio.Future[None]] = {}
        self._leases = 0
        self._heartbeat = Heartbeat()
        self._due: asyncio.TimerHandle | None = None
        self._closed = False

    def adopt(self, name: str, spec: ChildSpec) -> str:
        """Add a model, which another process of the home has named; return what it is called here.

        That is `name`, unless another model has it already.
        """
        for called in (name, f"{name}~{spec.fingerprint[:8]}"):
            found = self._hosts.get(called)
            if found is None:
                self._hosts[called] = ModelHost(called, spec)
                if self._begun is not None:
                    self._begun.add(_pooled(called, spec), self._now_s())
            elif found.spec != spec:
                continue
            return called
        digest = hashlib.sha256("\0".join((spec.fingerprint, *spec.argv)).encode()).hexdigest()
        return self.adopt(f"{name}~{digest[:12]}", spec)

    # What is asked.

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """The model's output ports. Cancelling the task ends the call within one element.

        A long list that the model takes element by element travels in parts. A part whose
        process dies is asked once more, of a fresh process. Raises ModelUnavailable if the
        model is unknown, refuses or does not start; ModelFailed otherwise.
        """
        rule = self._host(model).spec.elementwise
        if rule is not None and inputs.get(rule.input) == []:
            return {rule.output: []}
        await caller.reserve(model, FREE)
        try:
            outputs = [await self._call(model, part, config, caller) for part in parts(inputs, rule)]
        finally:
            caller.used(Usage(calls=1))
        return joined(outputs, rule)

    @contextlib.asynccontextmanager
    async def lease(
        self, model: str, *, run: str | None = None, priority: int = 0
    ) -> AsyncIterator[ModelLease]:
        """Yield the model, loaded, with one of its slots, which is yours until the block ends.

        Requests of higher `priority` go first. Cancelling the task frees the slot at once, or takes the
        request back. A request for another model inside the block waits forever if the budget has no
        room for both: a model in use is never stopped. Raises ModelUnavailable if the model is unknown,
        refuses or does not start.

        Example: `async with pool.lease("minilm", run=run) as lease: await lease.call({"texts": texts}, {})`
        """
        host = self._host(model)
        request = LeaseRequest(lease=self._number(), model=model, run=run, priority=priority)
        try:
            yield await self._granted(request)
        finally:
            self._asked.pop(request.lease, None)
            self._act(self._machine.release(request.lease, self._now_s()))
            self._measure(host)

    async def keep(
        self, models: Collection[str], *, run: str | None = None, priority: int = 0
    ) -> list[KeptModel]:
        """Return the models once all of them are loaded, which they stay until they are released.

        Cancelling the task, or an error, releases those that were loaded by then. Raises PoolTooSmall if the
        budget cannot hold all of them, ModelUnavailable as `lease`. Others who keep models are waited for: do
        not keep some and ask for more, ask for all at once.
        """
        kept: list[KeptModel] = []
        names = sorted(set(models))
        for model in names:
            self._host(model)
        try:
            async with self._gathering.turn(names):
                for model in names:
                    kept.append(await self._keep(model, run, priority))  # noqa: PERF401  (released on errors)
        except BaseException:
            for one in kept:
                one.release()
            raise
        return kept

    async def _keep(self, model: str, run: str | None, priority: int) -> KeptModel:
        request = LeaseRequest(lease=self._number(), model=model, run=run, priority=priority, keeps=True)

        def release() -> None:
            self._kept.pop(request.lease, None)
            self._act(self._machine.release(request.lease, self._now_s()))

        try:
            lease = await self._granted(request)
        except BaseException:
            release()
            raise
        finally:
            self._asked.pop(request.lease, None)
        self._kept[request.lease] = request
        return KeptModel(lease.handle, release)

    async def _granted(self, request: LeaseRequest) -> ModelLease:
        granted: asyncio.Future[ModelLease] = asyncio.get_running_loop().create_future()
        self._asked[request.lease] = granted
        self._act(self._machine.acquire(request, self._now_s()))
        return await granted

    def _bytes_of(self, model: str) -> int:
        return self._machine.bytes_of(model)

    def _number(self) -> str:
        self._leases += 1
        return str(self._leases)

    @contextlib.asynccontextmanager
    async def held(
        self, model: str, run: str | None = None, priority: int = 0
    ) -> AsyncIterator[Mapping[str, Value]]:
        """Yield the process's answer to an empty call, and keep the process until the block ends.

        For those that serve more than the pool carries: it says where. Raises as `lease`, and ModelDied
        if the block fails because the process died or hung.
        """
        async with self._answered(model, {}, {}, run, priority) as (lease, outputs):
            try:
                yield outputs
            except ModelFailed as error:
                if error.code in _CUT_OFF and (died := await lease.death(_LOST_S)) is not None:
                    raise ModelDied(died.message, hint=died.hint) from error
                raise

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Nothing: what runs here costs no money, and its tokens are nobody's to count."""
        return FREE

    def fingerprint(self, model: str) -> str:
        """Return the fingerprint of the model's weights and code.

        Raises ModelUnavailable for an unknown model.
        """
        return self._host(model).spec.fingerprint

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """Never: what the pool carries gives the same vectors for the same texts."""
        return False

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Load what `run` needs soon, if there is room that nobody needs sooner; keep what is loaded."""
        if self._closed:
            return
        if needs is None:
            self._act(self._machine.forget(run, self._now_s()))
        else:
            self._act(self._machine.announce(run, needs, self._now_s()))

    async def warm(self, model: str) -> None:
        """Load the model, unless it is loaded, and return once it is.

        Raises ModelUnavailable if it is unknown or cannot be loaded, or if there is no room without
        stopping models that are in use or needed as soon. Cancelling the task ends only the wait.
        """
        host = self._host(model)
        waiting = self._warming.setdefault(model, asyncio.get_running_loop().create_future())
        self._act(self._machine.warm(model, self._now_s()))
        if self._machine.phase(model) is ModelPhase.HOT and not self._machine.wanted(model):
            self._ended(self._warming, host.name)
        await asyncio.shield(waiting)

    async def unload(self, model: str) -> None:
        """End the model's process as soon as nobody uses it, and return once it has ended.

        Calls that have begun get their answers. Calls made meanwhile wait, and then have it loaded again.
        Raises ModelUnavailable if the model is unknown. Cancelling the task ends only the wait.
        """
        host = self._host(model)
        waiting = self._unloading.setdefault(model, asyncio.get_running_loop().create_future())
        self._act(self._machine.unload(model, self._now_s()))
        if self._machine.phase(model) in (ModelPhase.COLD, ModelPhase.FAILED):
            self._ended(self._unloading, host.name)
        await asyncio.shield(waiting)

    def status(self) -> PoolStatus:
        """Return the state of each model and of the whole pool. Raises ModelUnavailable once closed."""
        if self._closed:
            raise ModelUnavailable("the pool of models is closed")
        return self._machine.status(self._now_s(), self._clock.now_s(), self.pids())

    def pids(self) -> dict[str, int]:
        """Process ids of the models that are loaded now."""
        return {name: pid for name, host in self._hosts.items() if (pid := host.pid) is not None}

    async def close(self) -> None:
        """End every process and wait for it; at most about 2 s. Calls made later are refused."""
        self._closed = True
        self._heartbeat.close()
        if self._due is not None:
            self._due.cancel()
        for future in self._asked.values():
            if not future.done():
                future.set_exception(ModelUnavailable("the pool of models is closed"))
        for waiting in (self._warming, self._unloading):
            for model in list(waiting):
                self._ended(waiting, model, ModelUnavailable("the pool of models is closed"))
        for host in self._hosts.values():
            host.end()
        for host in self._hosts.values():
            await host.ended()

    # Calls.

    async def _call(
        self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value], caller: Caller
    ) -> dict[str, Value]:
        async with self._answered(model, inputs, config, caller.run, caller.priority) as (_, outputs):
            return outputs

    @contextlib.asynccontextmanager
    async def _answered(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        run: str | None,
        priority: int,
    ) -> AsyncIterator[tuple[ModelLease, dict[str, Value]]]:
        """Ask the model; its slot is the caller's until the block is left."""
        host = self._host(model)
        died: ChildDied | None = None
        for _ in range(_TRIES):
            async with self.lease(model, run=run, priority=priority) as lease:
                try:
                    outputs = await lease.call(inputs, config)
                except ChildDied as error:
                    died = error
                    continue
                except ModelFailed:
                    host.restarts.worked()
                    raise
                host.restarts.worked()
                yield lease, outputs
                return
        assert died is not None
        raise ModelFailed(
            f"{died.message} (twice, on the same input)",
            hint=died.hint or "this input may be too much for the machine's memory",
        ) from died

    def _host(self, model: str) -> ModelHost:
        self._refuse_when_closed(model)
        host = self._hosts.get(model)
        if host is None:
            known = ", ".join(sorted(self._hosts)) or "none"
            raise ModelUnavailable(f"there is no model {model!r}", hint=f"models here: {known}")
        return host

    def _refuse_when_closed(self, model: str) -> None:
        if self._closed:
            raise ModelUnavailable(f"model {model}: the pool is closed")

    # The machine and what it wants.

    @property
    def _machine(self) -> PoolMachine:
        """The pool's decisions. Made at the first call, because it takes the time from the running loop."""
        if self._begun is None:
            models = [_pooled(name, host.spec) for name, host in self._hosts.items()]
            self._begun = PoolMachine(models, self._budget, self._policy, now_s=self._now_s())
        return self._begun

    @staticmethod
    def _now_s() -> float:
        return asyncio.get_running_loop().time()

    def _act(self, actions: tuple[PoolAction, ...]) -> None:
        """Do what the machine says, and look again when something is due."""
        if self._closed:
            return
        for action in actions:
            match action:
                case StartModel():
                    self._begin(self._hosts[action.model])
                case StopModel():
                    self._hosts[action.model].end()
                case GrantLease():
                    self._grant(action)
                case RefuseLease():
                    self._refuse(action)
                case LoseLease() if action.lease in self._kept:
                    self._act(self._machine.acquire(self._kept[action.lease], self._now_s()))
                case RefuseWarm():
                    known = self._hosts[action.model].refusal
                    refusal = _refusal(action.model, action.reason, known, full=action.full)
                    self._ended(self._warming, action.model, refusal)
                case PhaseChanged(after=ModelPhase.HOT):
                    self._ended(self._warming, action.model)
                case PhaseChanged(after=ModelPhase.COLD | ModelPhase.FAILED):
                    self._ended(self._unloading, action.model)
                case _:
                    pass  # the call itself learns that its lease is lost
            if self._tell is not None:
                self._told(action, self._tell)
        self._look_again()

    def _told(self, action: PoolAction, tell: Callable[[PoolEvent], None]) -> None:
        event = event_of(action, self._machine.bytes_of(action.model), self._clock.now_s())
        if event is not None:
            tell(event)

    @staticmethod
    def _ended(
        waiting: dict[str, asyncio.Future[None]], model: str, error: ModelUnavailable | None = None
    ) -> None:
        """Those who wait for the model to be loaded, or to be gone, wait no more."""
        future = waiting.pop(model, None)
        if future is None or future.done():
            return
        if error is None:
            future.set_result(None)
        else:
            future.set_exception(error)
            future.exception()  # nobody may be waiting any more

    def _look_again(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        due_s = self._machine.due_s(self._now_s())
        if due_s is not None:
            self._due = asyncio.get_running_loop().call_at(due_s, self._tick)

    def _tick(self) -> None:
        self._due = None
        self._act(self._machine.tick(self._now_s()))

    def _grant(self, granted: GrantLease) -> None:
        waiting = self._asked.get(granted.lease)
        child = self._hosts[granted.model].child
        assert child is not None
        if waiting is not None and not waiting.done():
            waiting.set_result(ModelLease(granted, child))

    def _refuse(self, refused: RefuseLease) -> None:
        waiting = self._asked.get(refused.lease)
        if self._kept.pop(refused.lease, None) is not None:
            logger.warning("model %s is not kept loaded any more: %s", refused.model, refused.reason)
        if waiting is not None and not waiting.done():
            known = self._hosts[refused.model].refusal
            waiting.set_exception(_refusal(refused.model, refused.reason, known, full=True))

    # Processes.

    def _begin(self, host: ModelHost) -> None:
        child = ModelProcess(
            host.name,
            lost=partial(self._lost, host),
            gone=partial(self._gone, host),
            step_cpu_s=host.spec.step_cpu_s,
        )
        host.begin(child, self._load(host, child))

    async def _load(self, host: ModelHost, child: ModelProcess) -> None:
        """Load the model, and tell the machine what became of it."""
        try:
            self._heartbeat.watch(child, partial(self._used, host))
            await child.start(host.spec.argv, ready_s=self._policy.load_s)
            child.check()
        except ModelUnavailable as error:
            self._failed(host, error, self._refusal_s, refused=True)
        except ChildDied as error:
            host.restarts.died()
            dead = ModelUnavailable(f"{error.message} (while starting)")
            self._failed(host, dead, host.restarts.delay_s())
        except asyncio.CancelledError:
            self._stopped(host)
        except BaseException as error:  # a bug: those who wait must hear of it
            self._failed(
                host, ModelUnavailable(f"model {host.name}: {error!r}"), self._refusal_s, refused=True
            )
            raise
        else:
            host.loading = False
            self._act(self._machine.ready(host.name, self._now_s()))
            self._measure(host)

    def _used(self, host: ModelHost) -> bool:
        """Return whether the model may have something to compute."""
        return host.loading or self._machine.users(host.name) > 0

    def _measure(self, host: ModelHost) -> None:
        """Look how much memory the process takes; later, if that was done a moment ago."""
        now_s = self._now_s()
        if host.child is None or self._closed:
            return
        if now_s >= host.measured_s + MEASURED_EVERY_S:
            host.measured_s = now_s
            host.measure(self._measured(host, host.child))
        else:
            host.measure_at(host.measured_s + MEASURED_EVERY_S, partial(self._measure, host))

    async def _measured(self, host: ModelHost, child: ModelProcess) -> None:
        """Count what the process takes in memory from now on, where the system tells."""
        found = None if child.pid is None else await asyncio.to_thread(memory_of, child.pid)
        if found is not None and host.child is child:
            if found > self._budget.bytes_max and not host.warned:
                host.warned = True
                logger.warning(
                    "model %s takes %s bytes, and all models together may take %s: it is alone from now on, "
                    "and ends when another is asked for; raise `pool.memory_mb` if that is too little",
                    host.name,
                    f"{found:,}",
                    f"{self._budget.bytes_max:,}",
                )
            self._act(self._machine.measured(host.name, found, self._now_s()))
            self._gathering.measured()
            if self._machine.users(host.name):
                self._measure(host)

    def _lost(self, host: ModelHost, child: ModelProcess) -> None:
        """Note that a process takes no more calls. If its model is hot, nobody ended it: the model failed."""
        if host.child is child and not self._closed and self._machine.phase(host.name) is ModelPhase.HOT:
            host.restarts.died()
            self._failed(host, None, host.restarts.delay_s(), reason=child.death().message)

    def _gone(self, host: ModelHost, child: ModelProcess) -> None:
        """A process has ended. If it was still loading, `_load` reports how."""
        if host.child is child and not host.loading:
            self._stopped(host)

    def _ended_with(self, host: ModelHost) -> None:
        if host.child is not None:
            self._heartbeat.forget(host.child)
            host.child = None

    def _failed(
        self,
        host: ModelHost,
        error: ModelUnavailable | None,
        delay_s: float,
        *,
        reason: str = "",
        refused: bool = False,
    ) -> None:
        self._ended_with(host)
        host.refusal = error
        reason = reason if error is None else error.message
        now_s = self._now_s()
        self._act(self._machine.died(host.name, reason, now_s + delay_s, now_s, refused=refused))

    def _stopped(self, host: ModelHost) -> None:
        """The process that was asked to end has ended."""
        self._ended_with(host)
        now_s = self._now_s()
        self._act(self._machine.died(host.name, "it was told to end", now_s, now_s))


def _refusal(model: str, reason: str, known: ModelUnavailable | None, *, full: bool) -> ModelUnavailable:
    """The error for one who asked. `known`: why the model failed last, if that is the reason."""
    if known is not None and known.message == reason:
        return ModelUnavailable(known.message, hint=known.hint)
    hint = "raise `pool.memory_mb` in the settings" if full else None
    return ModelUnavailable(f"model {model}: {reason}", hint=hint)


def _pooled(name: str, spec: ChildSpec) -> PooledModel:
    return PooledModel(name=name, size_bytes=spec.size_bytes, slots=spec.slots)
