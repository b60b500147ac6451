"""Local models, in one pool for all processes of a home: here, or at its owner over the bus."""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping
from functools import partial
from pathlib import Path
from typing import Final, TypeVar, assert_never

import msgspec

from symphony.bus import Bus
from symphony.bus.core.owning import PATIENCE_S, OwnerRole, OwnerSearch
from symphony.bus.errors import EndpointBusy, EndpointLost, EndpointUnknown, SenderUnknown
from symphony.bus.owning import LEAVING, Ownership
from symphony.commons.components import ComponentConfig, Health, HealthStatus, RetryPolicy
from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.ipc.model_calls import pack_values, unpack_values
from symphony.pit.pool.core.budget import PoolBudget, PoolPolicy
from symphony.pit.pool.core.splitting import ChildSpec, joined, parts
from symphony.pit.pool.keeping import KeptModel, PoolTooSmall
from symphony.pit.pool.local import FREE, LocalModels
from symphony.pit.pool.sharing import messages
from symphony.pit.pool.sharing.keeping import Acquired, KeptGroup
from symphony.pit.pool.sharing.messages import (
    POOL,
    ForeseeCall,
    Greeting,
    HoldCall,
    InvokeCall,
    KeepAnswer,
    KeepCall,
    ModelWanted,
    PoolDiffers,
    ReleaseCall,
)
from symphony.pit.pool.sharing.serving import CallerOf, PoolService
from symphony.ports.models import (
    UNMETERED,
    Caller,
    Estimate,
    ModelDied,
    ModelFailed,
    ModelLost,
    ModelUnavailable,
    Usage,
)
from symphony.ports.pit import ModelHandle
from symphony.ports.pool import LeaseLost, ModelChanged, ModelPrewarmed, PoolEvent, SharedPool
from symphony.ports.values import Value

logger = logging.getLogger(__name__)

COMPONENT: Final = ComponentConfig(
    timeout_s=PATIENCE_S, retry_policy=RetryPolicy(attempts=10, initial_s=0.02, max_s=0.2)
)
LEAVE_S: Final = 2.0
"""How long an owner that ends lets the calls of other processes go on."""
_BUSY_S: Final = 0.05
_LOOK_S: Final = 1.0
_NOT_SERVED: Final = frozenset({EndpointUnknown.code, SenderUnknown.code, LEAVING, "request-timed-out"})
"""Codes of requests that the owner did not take: nothing was done."""

T = TypeVar("T")


class SharedSpec(msgspec.Struct, frozen=True):
    """A model's process, and the settings that it is made of, for the owner of the pool to make it."""

    spec: ChildSpec
    settings: bytes


class SharedModels:
    """`symphony.ports.models.Models` over one pool for all processes of a home.

    Nothing is joined, locked or started before a model is asked or foreseen. Use from one event loop.
    """

    def __init__(
        self,
        specs: Mapping[str, SharedSpec],
        build: Callable[[str, bytes], ChildSpec],
        *,
        budget: PoolBudget,
        policy: PoolPolicy | None = None,
        component: ComponentConfig = COMPONENT,
        lock: Path,
        bus: Callable[[], Awaitable[Bus | None]],
        asking: str,
    ) -> None:
        """`build` makes the process of a model of another process's settings. `asking`: see `Ownership`.

        `component`: an owner that does not answer is waited for `timeout_s`. A call is asked of
        `retry_policy.attempts` owners that die with it, then it fails. With `metrics_enabled`, the
        events of the pool are published on the bus.
        """
        self._component = component
        self._wanted = {
            name: ModelWanted(model=name, fingerprint=one.spec.fingerprint, settings=one.settings)
            for name, one in specs.items()
        }
        self._specs = {name: one.spec for name, one in specs.items()}
        tell = self._publish if component.metrics_enabled else None
        self._own = LocalModels(self._specs, budget=budget, policy=policy, tell=tell)
        self._service = PoolService(self._own, build)
        self._ownership = Ownership(
            POOL,
            lock,
            handler=self._service.answer,
            bus=bus,
            asking=asking,
            greeting=self._greeting,
            changed=self._changed,
            lost=self._service.lost,
            left=self._service.left,
            search=OwnerSearch(patience_s=component.timeout_s, again=component.retry_policy),
        )
        self._moved = asyncio.Event()
        self._asking = asking
        self._needs: dict[str, Mapping[str, int]] = {}
        self._news: dict[str, Mapping[str, int] | None] = {}
        self._telling: asyncio.Task[None] | None = None
        self._groups: set[KeptGroup] = set()
        self._errands: set[asyncio.Task[None]] = set()
        self._numbers = 0
        self._differing: set[str] = set()
        self._warned = False
        self._closed = False

    @property
    def standing(self) -> OwnerRole:
        """What this process is with regard to the pool of its home."""
        return self._ownership.standing

    # What is asked.

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        """The model's output ports. Cancelling the task ends the call, wherever the model is.

        A call under way when the owner of the pool dies is asked again of the next one: a model has no
        effects. Raises as `LocalModels.invoke`.
        """
        rule = self._spec(model).elementwise
        if rule is not None and inputs.get(rule.input) == []:
            return {rule.output: []}
        if await self._ownership.find() is not OwnerRole.MEMBER:
            return await self._own.invoke(model, inputs, config, caller)
        await caller.reserve(model, FREE)
        try:
            outputs = [await self._invoke_part(model, part, config, caller) for part in parts(inputs, rule)]
        finally:
            caller.used(Usage(calls=1))
        return joined(outputs, rule)

    @contextlib.asynccontextmanager
    async def held(
        self, model: str, run: str | None = None, priority: int = 0
    ) -> AsyncIterator[Mapping[str, Value]]:
        """Yield the process's answer to an empty call, and keep the process until the block ends.

        Raises ModelLost if the block fails because the process went with the owner of the pool, ModelDied
        if it does because the process died or hung.
        """
        self._spec(model)
        async with contextlib.AsyncExitStack() as stack:
            lease = self._number()
            remote = False

            async def here() -> Mapping[str, Value]:
                return await stack.enter_async_context(self._own.held(model, run, priority))

            def there(answer: Value) -> Mapping[str, Value]:
                nonlocal remote
                remote = True
                return _unpacked(answer)

            stack.callback(self._release, lease)
            call = HoldCall(wanted=self._wanted[model], lease=lease, run=run, priority=priority)
            outputs = await self._asked(model, messages.HOLD, lambda: messages.value_of(call), here, there)
            tenure = self._ownership.search.tenure
            try:
                yield outputs
            except ModelFailed as error:
                held = await self._still_held(lease) if remote else True
                if not held:
                    same = held is False and tenure == self._ownership.search.tenure
                    kind = ModelDied if same else ModelLost
                    raise kind(
                        f"the process of model {model} ended during the call: {error.message}"
                    ) from error
                raise

    async def keep(
        self, models: Collection[str], *, run: str | None = None, priority: int = 0
    ) -> list[KeptModel]:
        """Return the models once the owner of the pool has loaded all of them; see `LocalModels.keep`.

        When the owner ends, the next one is asked to load them again.
        """
        for model in models:
            self._spec(model)
        if not models:
            return []
        group = KeptGroup(
            {model: self._number() for model in sorted(set(models))},
            partial(self._acquire_kept, run=run, priority=priority),
        )
        self._groups.add(group)
        try:
            kept = await group.begin()
        except BaseException:
            self._let_go(group, *models)
            raise
        return [KeptModel(one.handle, partial(self._let_go, group, model)) for model, one in kept.items()]

    def _let_go(self, group: KeptGroup, *models: str) -> None:
        for model in models:
            group.release(model)
        if group.over:
            self._groups.discard(group)

    async def _acquire_kept(self, leases: Mapping[str, str], *, run: str | None, priority: int) -> Acquired:
        """Have the owner keep the models, or the pool of this process. Raises as `keep`."""

        async def here() -> Acquired:
            kept = await self._own.keep(leases, run=run, priority=priority)
            return Acquired({one.handle.model: one for one in kept}, own=True)

        def there(answer: Value) -> Acquired:
            warmed_ms = messages.read(KeepAnswer, answer).warmed_ms
            kept = {
                model: KeptModel(
                    ModelHandle(model=model, lease=lease, warmed_ms=warmed_ms.get(lease, 0.0)),
                    partial(self._release, lease),
                )
                for model, lease in leases.items()
            }
            return Acquired(kept, own=False)

        wanted = {lease: self._wanted[model] for model, lease in leases.items()}
        call = KeepCall(wanted=wanted, run=run, priority=priority)
        try:
            return await self._asked(min(leases), messages.KEEP, lambda: messages.value_of(call), here, there)
        except asyncio.CancelledError:
            for lease in leases.values():
                self._release(lease)  # they may have been granted just now
            raise

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Nothing: what runs here costs no money, and its tokens are nobody's to count."""
        return FREE

    def fingerprint(self, model: str) -> str:
        """Return the fingerprint of the model's weights and code.

        Raises ModelUnavailable for an unknown model.
        """
        return self._spec(model).fingerprint

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """Never: what the pool carries gives the same vectors for the same texts."""
        return False

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        """Tell the owner of the pool what `run` needs soon, this one and each that follows it."""
        if self._closed:
            return
        if needs is None:
            self._needs.pop(run, None)
        else:
            self._needs[run] = dict(needs)
        match self._ownership.standing:
            case OwnerRole.MEMBER:
                self._news[run] = needs
                if self._telling is None:
                    self._telling = asyncio.get_running_loop().create_task(self._tell(), name="pool news")
            case OwnerRole.SEEKING:
                if self._needs:
                    self._ownership.look()  # whoever is found is told in the greeting
            case _:
                self._own.foresee(run, needs)

    # As a component.

    async def start(self) -> None:
        """Do nothing: the pool begins with the first model that is asked or foreseen."""

    async def stop(self) -> None:
        """See `close`."""
        await self.close()

    async def health_check(self) -> HealthStatus:
        """Degraded: models that fail, or an owner that does not answer."""
        search = self._ownership.search
        if search.standing is OwnerRole.ALONE:
            detail = f"the owner of the pool, process {search.holder}, does not answer: {search.why}"
            return HealthStatus(health=Health.DEGRADED, detail=detail)
        if self._closed or search.standing is not OwnerRole.OWNER:
            return HealthStatus(detail=f"this process is {search.standing}")
        failing = [one for one in self._own.status().models if one.failures]
        if failing:
            detail = "; ".join(f"{one.model}: {one.reason}" for one in failing)
            return HealthStatus(health=Health.DEGRADED, detail=detail)
        return HealthStatus(detail="this process owns the pool")

    async def own(self) -> None:
        """Wait until this process owns the pool. It does so until `close`."""
        while await self._ownership.find() is not OwnerRole.OWNER:
            self._moved.clear()
            await self._moved.wait()

    async def warm(self, model: str) -> None:
        """Load a model into the pool of this process, as `LocalModels.warm`."""
        self._spec(model)
        await self._own.warm(model)

    def status(self) -> SharedPool:
        """Return the state of the pool of this process."""
        return self._service.status()

    def pids(self) -> dict[str, int]:
        """Process ids of the models that are loaded in this process's own pool."""
        return self._own.pids()

    async def close(self) -> None:
        """Leave; as the owner, once the calls of other processes have ended, after 2 s at most.

        Calls made later are refused.
        """
        if self._closed:
            return
        self._closed = True
        if self._ownership.standing is OwnerRole.OWNER:
            if self._component.metrics_enabled:
                self._ownership.publish(f"{POOL}.owner", {"pid": os.getpid(), "state": "leaves"})
            await self._service.leave(LEAVE_S)
        await self._own.close()
        for group in self._groups:
            group.close()
        if self._telling is not None:
            self._telling.cancel()
            await asyncio.gather(self._telling, return_exceptions=True)
        if self._errands:
            await asyncio.wait(self._errands, timeout=_LOOK_S)
        await self._ownership.close()
        for errand in self._errands:
            errand.cancel()

    # Calls.

    def _spec(self, model: str) -> ChildSpec:
        if self._closed:
            raise ModelUnavailable(f"model {model}: the pool is closed")
        found = self._specs.get(model)
        if found is None:
            known = ", ".join(sorted(self._specs)) or "none"
            raise ModelUnavailable(f"there is no model {model!r}", hint=f"models here: {known}")
        return found

    async def _invoke_part(
        self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value], caller: Caller
    ) -> Mapping[str, Value]:
        name = self._number()

        def message() -> Value:
            try:
                call = InvokeCall(
                    call=name,
                    wanted=self._wanted[model],
                    inputs=bytes(pack_values(inputs)),
                    config=bytes(pack_values(config)),
                    run=caller.run,
                    priority=caller.priority,
                )
            except SerializationFailed as error:
                why = f"model {model}: {error.message}"
                raise ModelFailed(why, code=error.code, hint=error.hint) from error
            return messages.value_of(call)

        async def here() -> Mapping[str, Value]:
            return await self._own.invoke(model, inputs, config, CallerOf(caller.run, caller.priority))

        return await self._asked(model, messages.INVOKE, message, here, _unpacked)

    def _number(self) -> str:
        """Return a name that no other call or lease has, in this process or another."""
        self._numbers += 1
        return f"{self._asking}.{self._numbers}"

    async def _asked(
        self,
        model: str,
        method: str,
        message: Callable[[], Value],
        here: Callable[[], Awaitable[T]],
        there: Callable[[Value], T],
    ) -> T:
        """Ask the owner, and the next one if it ends meanwhile; do it `here` if there is no other.

        Raises ModelFailed, ModelUnavailable.
        """
        lost = set[int | None]()
        while True:
            if await self._ownership.find() is not OwnerRole.MEMBER or model in self._differing:
                return await here()
            tenure, owner = self._ownership.search.tenure, self._ownership.search.holder
            try:
                return there(await self._ownership.request(method, message()))
            except (ModelFailed, ModelUnavailable):
                raise
            except EndpointBusy:
                await asyncio.sleep(_BUSY_S)
            except EndpointLost as error:
                lost.add(owner)  # one that was only out of reach still has the call
                if len(lost) >= self._component.retry_policy.attempts:
                    raise ModelFailed(
                        f"model {model}: {len(lost)} owners of the pool of models, one after the other, ended"
                        f" during the call: {error.message}"
                    ) from error
                self._ownership.lost(tenure)
            except SymphonyError as error:
                if error.code == PoolDiffers.code:
                    self._differs(model, error)
                elif error.code in _NOT_SERVED:
                    self._ownership.lost(tenure)
                else:
                    raise _model_error(error) from error

    async def _still_held(self, lease: str) -> bool | None:
        """Return whether the owner has the lease, and the process lives; None if the owner is gone."""
        try:
            call = messages.value_of(ReleaseCall(lease=lease))
            return await self._ownership.request(messages.HOLDS, call, timeout_s=_LOOK_S) is True
        except SymphonyError:
            return None

    def _release(self, lease: str) -> None:
        """Tell the owner that a lease is over; one that is being looked for may turn out to be the same."""

        async def tell() -> Value:
            if await self._ownership.find() is not OwnerRole.MEMBER:
                return None
            return await self._ownership.request(
                messages.RELEASE, messages.value_of(ReleaseCall(lease=lease))
            )

        if self._ownership.standing in (OwnerRole.MEMBER, OwnerRole.SEEKING) and not self._closed:
            self._errand(tell())

    def _errand(self, request: Coroutine[object, object, Value]) -> None:
        """Send a request whose answer nobody needs."""

        async def run() -> None:
            with contextlib.suppress(SymphonyError):
                await request

        task = asyncio.get_running_loop().create_task(run(), name="pool errand")
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    # Owners.

    def _changed(self, standing: OwnerRole) -> None:
        """For the ownership. An own pool knows what the runs of this process need while it is used."""
        search = self._ownership.search
        self._differing.clear()
        self._moved.set()
        if standing is not OwnerRole.SEEKING:
            for group in self._groups:
                group.renew(own=standing is not OwnerRole.MEMBER)
        if standing is OwnerRole.OWNER and self._component.metrics_enabled:
            self._ownership.publish(f"{POOL}.owner", {"pid": os.getpid(), "state": "took over"})
        match standing:
            case OwnerRole.OWNER | OwnerRole.ALONE:
                for run, needs in self._needs.items():
                    self._own.foresee(run, needs)
            case OwnerRole.MEMBER:
                for run in self._needs:
                    self._own.foresee(run, None)
        if standing is OwnerRole.ALONE and not self._warned:
            self._warned = True
            holder = "another process" if search.holder is None else f"process {search.holder}"
            logger.warning(
                "the models of this home belong to %s, which does not answer (%s): models are loaded here, "
                "too, until it does, and `pool.memory_mb` counts for each process",
                holder,
                search.why,
            )
        elif standing is OwnerRole.MEMBER:
            self._warned = False

    def _publish(self, event: PoolEvent) -> None:
        """Tell everybody on the bus. The owner's events are those of the home's pool."""
        match event:
            case ModelChanged():
                name = str(event.after)
            case LeaseLost():
                name = "lease-lost"
            case ModelPrewarmed():
                name = "prewarmed"
            case _:
                assert_never(event)
        found = messages.value_of(event)
        assert isinstance(found, dict)
        self._ownership.publish(f"{POOL}.{name}", {**found, "pid": os.getpid()})

    def _differs(self, model: str, error: SymphonyError) -> None:
        self._differing.add(model)
        logger.warning("model %s is loaded here, too: %s", model, error.message)

    def _greeting(self) -> Value:
        needs = {run: self._listed(needs) for run, needs in self._needs.items()}
        self._news.clear()
        return messages.value_of(Greeting(pid=os.getpid(), needs=needs))

    def _listed(self, needs: Mapping[str, int]) -> list[tuple[ModelWanted, int]]:
        return [(self._wanted[name], stages) for name, stages in needs.items() if name in self._wanted]

    async def _tell(self) -> None:
        """Tell the owner the latest of what runs need. Its successor gets it all as a greeting."""
        try:
            while self._news:
                run = next(iter(self._news))
                needs = self._news.pop(run)
                call = ForeseeCall(run=run, needs=None if needs is None else self._listed(needs))
                with contextlib.suppress(SymphonyError):
                    await self._ownership.request(
                        messages.FORESEE, messages.value_of(call), timeout_s=_LOOK_S
                    )
        finally:
            self._telling = None


def _unpacked(answer: Value) -> Mapping[str, Value]:
    if not isinstance(answer, bytes):
        raise ModelFailed("the owner of the pool of models gave an answer without ports")
    return unpack_values(msgspec.Raw(answer))


def _model_error(error: SymphonyError) -> SymphonyError:
    """Return what the owner's pool raised, of the class that it has there."""
    if error.code == PoolTooSmall.code:
        return PoolTooSmall(error.message, details=error.details, hint=error.hint)
    if error.code == ModelUnavailable.code:
        return ModelUnavailable(error.message, details=error.details, hint=error.hint)
    return ModelFailed(error.message, code=error.code, details=error.details, hint=error.hint)
