"""The owner's side: answers what the other processes of the home ask of this one's pool."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

import msgspec

from symphony.bus.owning import ENTER, LEAVING
from symphony.commons.errors import SymphonyError
from symphony.commons.processes import lives
from symphony.ipc.envelope import MessageEnvelope, RequestPayload
from symphony.ipc.frames import FRAME_BYTES_MAX
from symphony.ipc.model_calls import pack_values, unpack_values
from symphony.pit.pool.core.splitting import ChildSpec
from symphony.pit.pool.local import LocalModels
from symphony.pit.pool.sharing import messages
from symphony.pit.pool.sharing.askers import Asker, HeldLease
from symphony.pit.pool.sharing.messages import (
    ForeseeCall,
    Greeting,
    HoldCall,
    InvokeCall,
    KeepAnswer,
    KeepCall,
    ModelCall,
    ModelWanted,
    PoolDiffers,
    ReleaseCall,
)
from symphony.ports.models import ModelFailed, ModelUnavailable, Unmetered
from symphony.ports.pool import SharedPool
from symphony.ports.values import Value

ABSENT_S: Final = 3.0
"""How long a process that the bus has lost, and that lives, may take to greet again."""
_LOOK_S: Final = 0.05
_ENVELOPE_BYTES: Final = 4096
"""More than what an envelope adds to an answer."""


class PoolService:
    """Serves `pool` to others: `answer` handles requests; `lost` and `left` free what a process held."""

    def __init__(self, pool: LocalModels, build: Callable[[str, bytes], ChildSpec]) -> None:
        """`build` makes the process of a model out of its name and settings."""
        self._pool, self._build = pool, build
        self._names: dict[ModelWanted, str] = {}
        self._askers: dict[str, Asker] = {}
        self._absent: asyncio.TimerHandle | None = None
        self._leaving = False
        self._idle = asyncio.Event()

    def answer(self, envelope: MessageEnvelope) -> Value | Coroutine[object, None, Value]:
        """The handler of the endpoint."""
        request, sender = envelope.payload, envelope.header.sender
        assert isinstance(request, RequestPayload)
        if self._leaving and request.method not in (messages.RELEASE, messages.HOLDS):
            raise SymphonyError("the owner of the pool of models is about to end", code=LEAVING)
        match request.method:
            case messages.INVOKE:
                call = messages.read(InvokeCall, request.arguments)
                return self._asker(sender).call(call.call, lambda: self._invoke(call))
            case messages.HOLD:
                return self._hold(self._asker(sender), messages.read(HoldCall, request.arguments))
            case messages.RELEASE:
                self._asker(sender).release(messages.read(ReleaseCall, request.arguments).lease)
            case messages.HOLDS:
                return self._holds(sender, messages.read(ReleaseCall, request.arguments).lease)
            case messages.KEEP:
                return self._keep(self._asker(sender), messages.read(KeepCall, request.arguments))
            case messages.FORESEE:
                self._foresee(sender, messages.read(ForeseeCall, request.arguments))
            case messages.WARM:
                model = messages.read(ModelCall, request.arguments)
                return self._asker(sender).call(envelope.header.message_id, lambda: self._warm(model))
            case messages.UNLOAD:
                model = messages.read(ModelCall, request.arguments)
                return self._asker(sender).call(envelope.header.message_id, lambda: self._unload(model))
            case messages.STATUS:
                return messages.value_of(self.status())
            case _ if request.method == ENTER:
                return self._enter(sender, messages.read(Greeting, request.arguments))
            case other:
                raise SymphonyError(f"the pool of models has no {other!r:.100}", code="method-unknown")
        return None

    def left(self, sender: str) -> None:
        """A process has said goodbye to the bus."""
        if sender in self._askers:
            self._forget(sender)

    def lost(self, sender: str | None) -> None:
        """The bus has lost a process; None: it has lost its hub, and perhaps others.

        What a process that ended has asked and held is over at once. One that lives, and was only out of
        reach, greets again soon, and finds its calls under way.
        """
        loop = asyncio.get_running_loop()
        for name, asker in list(self._askers.items()) if sender is None else self._known(sender):
            if asker.pid is None:
                self._forget(name)
            elif asker.absent_until_s is None:
                asker.absent_until_s = loop.time() + ABSENT_S
        self._drop_absent()

    def status(self) -> SharedPool:
        """Return the state of the pool, for all processes of the home."""
        present = sum(one.pid is not None and one.absent_until_s is None for one in self._askers.values())
        return SharedPool(owner=os.getpid(), processes=present, pool=self._pool.status())

    async def leave(self, patience_s: float) -> None:
        """Take nothing more, and let what is under way end, for `patience_s` at most."""
        self._leaving = True
        if self._absent is not None:
            self._absent.cancel()
        try:
            async with asyncio.timeout(patience_s):
                while any(asker.busy for asker in self._askers.values()):
                    self._idle.clear()
                    await self._idle.wait()
        except TimeoutError:
            pass
        left = [task for asker in self._askers.values() for task in asker.end()]
        await asyncio.gather(*left, return_exceptions=True)
        self._askers.clear()

    # What is asked.

    def _enter(self, sender: str, greeting: Greeting) -> Value:
        asker = self._asker(sender)
        asker.absent_until_s, asker.pid = None, greeting.pid
        for run, needs in greeting.needs.items():
            self._foresee(sender, ForeseeCall(run=run, needs=needs))
        return {"pid": os.getpid()}

    async def _invoke(self, call: InvokeCall) -> Value:
        model = self._name(call.wanted)
        try:
            inputs, config = (unpack_values(msgspec.Raw(one)) for one in (call.inputs, call.config))
            outputs = await self._pool.invoke(model, inputs, config, CallerOf(call.run, call.priority))
        except ModelUnavailable as error:
            raise self._or_leaving(error) from error
        return _packed(outputs)

    async def _warm(self, call: ModelCall) -> Value:
        await self._pool.warm(self._name(call.wanted))
        return messages.value_of(self.status())

    async def _unload(self, call: ModelCall) -> Value:
        await self._pool.unload(self._name(call.wanted))
        return messages.value_of(self.status())

    async def _hold(self, asker: Asker, call: HoldCall) -> Value:
        lease = asker.leases.get(call.lease)
        if lease is None:
            lease = self._begin_lease(asker, call)
        try:
            return await asyncio.shield(lease.granted)
        except ModelUnavailable as error:
            raise self._or_leaving(error) from error
        except asyncio.CancelledError:
            if lease.task is not None:
                lease.task.cancel()
            raise

    def _begin_lease(self, asker: Asker, call: HoldCall) -> HeldLease:
        model = self._name(call.wanted)
        lease = asker.leases[call.lease] = HeldLease()

        async def keep() -> None:
            try:
                async with self._pool.held(model, call.run, call.priority) as outputs:
                    lease.model, lease.pid = model, self._pool.pids().get(model)
                    if not lease.granted.done():
                        lease.granted.set_result(_packed(outputs))
                    await lease.over.wait()
            except Exception as error:  # noqa: BLE001  (it is for the process that asked)
                if not lease.granted.done():
                    lease.granted.set_exception(error)
            finally:
                asker.freed(call.lease, lease)

        lease.task = asyncio.get_running_loop().create_task(keep(), name=f"lease {call.lease}")
        return lease

    async def _keep(self, asker: Asker, call: KeepCall) -> Value:
        name = f"keep {min(call.wanted, default='')}"
        return await asker.call(name, lambda: self._kept(asker, call))

    async def _kept(self, asker: Asker, call: KeepCall) -> Value:
        """Keep those models that the process does not keep already: it asks again if an answer was lost."""
        leases = {
            self._name(wanted): lease for lease, wanted in call.wanted.items() if lease not in asker.kept
        }
        if leases:
            try:
                kept = await self._pool.keep(leases, run=call.run, priority=call.priority)
            except ModelUnavailable as error:
                raise self._or_leaving(error) from error
            if asker.gone:  # while the last one was granted
                for one in kept:
                    one.release()
                raise SymphonyError("the process that asked is gone", code=LEAVING)
            asker.kept |= {leases[one.handle.model]: one for one in kept}
        warmed_ms = {lease: asker.kept[lease].handle.warmed_ms for lease in call.wanted}
        return messages.value_of(KeepAnswer(warmed_ms=warmed_ms))

    def _holds(self, sender: str, lease: str) -> Value:
        """Return whether a lease holds on a process that lives."""
        asker = self._askers.get(sender)
        found = None if asker is None else asker.leases.get(lease)
        return found is not None and found.pid is not None and self._pool.pids().get(found.model) == found.pid

    def _foresee(self, sender: str, call: ForeseeCall) -> None:
        asker = self._asker(sender)
        if call.needs is None:
            asker.runs.discard(call.run)
            self._pool.foresee(call.run, None)
            return
        needs: dict[str, int] = {}
        for wanted, stages in call.needs:
            try:
                needs[self._name(wanted)] = stages
            except SymphonyError:
                continue  # those who ask for it hear why it cannot be had here
        asker.runs.add(call.run)
        self._pool.foresee(call.run, needs)

    def _name(self, wanted: ModelWanted) -> str:
        """Return what the pool calls the model, which it gets to know if need be.

        Raises PoolDiffers, ModelUnavailable.
        """
        found = self._names.get(wanted)
        if found is None:
            spec = self._build(wanted.model, wanted.settings)
            if spec.fingerprint != wanted.fingerprint:
                raise PoolDiffers(
                    f"model {wanted.model}: its files or its code are others in process {os.getpid()}, which"
                    " owns the pool of models",
                    hint="end that process if it is of an older version of Symphony",
                )
            found = self._names[wanted] = self._pool.adopt(wanted.model, spec)
        return found

    def _or_leaving(self, error: SymphonyError) -> SymphonyError:
        return SymphonyError(error.message, code=LEAVING) if self._leaving else error

    # Processes.

    def _asker(self, sender: str) -> Asker:
        found = self._askers.get(sender)
        if found is None:
            found = self._askers[sender] = Asker(self._idle.set)
        return found

    def _forget(self, sender: str) -> None:
        asker = self._askers.pop(sender)
        asker.end()
        for run in asker.runs:
            self._pool.foresee(run, None)
        self._idle.set()

    def _known(self, sender: str) -> list[tuple[str, Asker]]:
        return [(sender, self._askers[sender])] if sender in self._askers else []

    def _drop_absent(self) -> None:
        """Forget those that have ended, or have been away for too long. Look again while some are away."""
        if self._absent is not None:
            self._absent.cancel()
            self._absent = None
        loop = asyncio.get_running_loop()
        away = [(name, one) for name, one in self._askers.items() if one.absent_until_s is not None]
        for name, asker in away:
            assert asker.absent_until_s is not None
            if loop.time() >= asker.absent_until_s or (asker.pid is not None and not lives(asker.pid)):
                self._forget(name)
        if any(name in self._askers for name, _ in away):
            self._absent = loop.call_later(_LOOK_S, self._drop_absent)


class CallerOf(Unmetered):
    """The caller of a run in another process, which is metered there."""

    def __init__(self, run: str | None, priority: int) -> None:
        self.run, self.priority = run, priority


def _packed(outputs: Mapping[str, Value]) -> bytes:
    """Return outputs as they travel. Raises ModelFailed for more than a message carries."""
    packed = bytes(pack_values(outputs))
    if len(packed) > FRAME_BYTES_MAX - _ENVELOPE_BYTES:
        raise ModelFailed(
            f"the answer of {len(packed):,} bytes exceeds the limit of {FRAME_BYTES_MAX:,} of a message",
            code="limit-exceeded",
            hint="ask for less at once",
        )
    return packed
