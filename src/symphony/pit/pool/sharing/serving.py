"""The owner's side: answers what the other processes of the home ask of this one's pool."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Final

import msgspec

from symphony.bus.owning import ENTER, LEAVING
from symphony.commons.errors import SymphonyError
from symphony.ipc.envelope import MessageEnvelope, RequestPayload
from symphony.ipc.frames import FRAME_BYTES_MAX
from symphony.ipc.model_calls import pack_values, unpack_values
from symphony.pit.pool.core.splitting import ChildSpec
from symphony.pit.pool.local import LocalModels
from symphony.pit.pool.sharing import messages
from symphony.pit.pool.sharing.messages import (
    ForeseeCall,
    Greeting,
    HoldCall,
    InvokeCall,
    ModelCall,
    ModelWanted,
    PoolDiffers,
    ReleaseCall,
)
from symphony.ports.models import ModelFailed, ModelUnavailable, Unmetered
from symphony.ports.pool import SharedPool
from symphony.ports.values import Value

ABSENT_S: Final = 3.0
"""How long a process may take to greet again after the hub of the bus changed, before it counts as gone."""
_ENVELOPE_BYTES: Final = 4096
"""More than what an envelope adds to an answer."""


class PoolService:
    """Serves `pool` to others. `answer` is the handler of the endpoint; `gone` frees what a process held."""

    def __init__(self, pool: LocalModels, build: Callable[[str, bytes], ChildSpec]) -> None:
        """`build` makes the process of a model out of its name and settings."""
        self._pool, self._build = pool, build
        self._names: dict[ModelWanted, str] = {}
        self._askers: dict[str, _Asker] = {}
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
                return self._invoke(self._asker(sender), messages.read(InvokeCall, request.arguments))
            case messages.HOLD:
                return self._hold(self._asker(sender), messages.read(HoldCall, request.arguments))
            case messages.RELEASE:
                self._asker(sender).release(messages.read(ReleaseCall, request.arguments).lease)
            case messages.HOLDS:
                return self._holds(sender, messages.read(ReleaseCall, request.arguments).lease)
            case messages.FORESEE:
                self._foresee(sender, messages.read(ForeseeCall, request.arguments))
            case messages.WARM:
                return self._warm(self._asker(sender), messages.read(ModelCall, request.arguments))
            case messages.UNLOAD:
                return self._unload(self._asker(sender), messages.read(ModelCall, request.arguments))
            case messages.STATUS:
                return messages.value_of(self.status())
            case _ if request.method == ENTER:
                return self._enter(sender, messages.read(Greeting, request.arguments))
            case other:
                raise SymphonyError(f"the pool of models has no {other!r:.100}", code="method-unknown")
        return None

    def gone(self, sender: str | None) -> None:
        """A process has left the bus; None: the hub is gone, and those that are left greet again."""
        if sender is not None:
            asker = self._askers.pop(sender, None)
            if asker is not None:
                self._forget(asker)
            return
        for asker in self._askers.values():
            asker.present = False
            asker.abandon()  # their answers would reach nobody: they ask again
        if self._absent is not None:
            self._absent.cancel()
        self._absent = asyncio.get_running_loop().call_later(ABSENT_S, self._drop_absent)

    def status(self) -> SharedPool:
        """Return the state of the pool, for all processes of the home."""
        present = sum(asker.present for asker in self._askers.values())
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
        asker.present = True
        for run, needs in greeting.needs.items():
            self._foresee(sender, ForeseeCall(run=run, needs=needs))
        return {"pid": os.getpid()}

    async def _invoke(self, asker: "_Asker", call: InvokeCall) -> Value:
        model = self._name(call.wanted)
        with asker.working(self._ended):
            try:
                inputs, config = (unpack_values(msgspec.Raw(one)) for one in (call.inputs, call.config))
                outputs = await self._pool.invoke(model, inputs, config, CallerOf(call.run, call.priority))
            except ModelUnavailable as error:
                raise self._or_leaving(error) from error
            return _packed(outputs)

    async def _warm(self, asker: "_Asker", call: ModelCall) -> Value:
        with asker.working(self._ended):
            await self._pool.warm(self._name(call.wanted))
        return messages.value_of(self.status())

    async def _unload(self, asker: "_Asker", call: ModelCall) -> Value:
        with asker.working(self._ended):
            await self._pool.unload(self._name(call.wanted))
        return messages.value_of(self.status())

    async def _hold(self, asker: "_Asker", call: HoldCall) -> Value:
        model = self._name(call.wanted)
        asker.release(call.lease)  # asked for before: the answer did not arrive
        lease = asker.leases[call.lease] = _Lease()

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
                lease.granted.cancel()
                if asker.leases.get(call.lease) is lease:
                    del asker.leases[call.lease]
                self._ended()

        lease.task = asyncio.get_running_loop().create_task(keep(), name=f"lease {call.lease}")
        try:
            return await asyncio.shield(lease.granted)
        except ModelUnavailable as error:
            raise self._or_leaving(error) from error
        except asyncio.CancelledError:
            lease.task.cancel()
            raise

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

    def _asker(self, sender: str) -> "_Asker":
        return self._askers.setdefault(sender, _Asker())

    def _forget(self, asker: "_Asker") -> None:
        asker.end()
        for run in asker.runs:
            self._pool.foresee(run, None)
        self._ended()

    def _drop_absent(self) -> None:
        self._absent = None
        for sender in [name for name, asker in self._askers.items() if not asker.present]:
            self.gone(sender)

    def _ended(self) -> None:
        self._idle.set()


class _Lease:
    """A lease of another process."""

    def __init__(self) -> None:
        self.granted: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.over = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.model = ""
        self.pid: int | None = None


class _Asker:
    """Another process: what it asks and holds now, and the runs that it has announced."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[object]] = set()
        self.leases: dict[str, _Lease] = {}
        self.runs: set[str] = set()
        self.present = False
        """True once it has greeted; others ask once, such as commands that show the state."""

    @property
    def busy(self) -> bool:
        """True if it waits for something, or holds a model."""
        return bool(self.tasks or self.leases)

    def working(self, ended: Callable[[], None]) -> "_Working":
        """While it is open, the present task works for this process."""
        return _Working(self, ended)

    def release(self, lease: str) -> None:
        """A lease is over. Nothing happens if there is none of this name."""
        found = self.leases.pop(lease, None)
        if found is not None:
            found.over.set()
            if not found.granted.done() and found.task is not None:
                found.task.cancel()

    def abandon(self) -> list[asyncio.Task[object]]:
        """Stop what it waits for. Leases hold on."""
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        return tasks

    def end(self) -> list[asyncio.Task[object]]:
        """Stop everything. Return what has yet to come to its end."""
        leases = [lease.task for lease in self.leases.values() if lease.task is not None]
        for task in leases:
            task.cancel()
        return [*self.abandon(), *leases]


class _Working:
    """See `_Asker.working`."""

    def __init__(self, asker: _Asker, ended: Callable[[], None]) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._asker, self._task, self._ended = asker, task, ended

    def __enter__(self) -> None:
        self._asker.tasks.add(self._task)

    def __exit__(self, *_: object) -> None:
        self._asker.tasks.discard(self._task)
        self._ended()


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
