"""Local models in supervised processes: started when first asked, restarted, ended when idle."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal

from symphony.pit.pool.child import READY_S, ChildDied, ModelProcess
from symphony.pit.pool.core.splitting import ChildSpec, joined, parts
from symphony.pit.processes import Restarts
from symphony.ports.clock import Clock
from symphony.ports.models import UNMETERED, Caller, Estimate, ModelFailed, ModelUnavailable, Usage
from symphony.ports.values import Value

IDLE_S = 60.0
FREE = Estimate(cost=Decimal(0))
_REFUSAL_S = 1.0
_TRIES = 2


class LocalModels:
    """`symphony.ports.models.Models` over child processes. Use from one event loop; `close` it.

    Knows no model: which there are, and how to start them, comes in as `specs`.
    """

    def __init__(
        self,
        specs: Mapping[str, ChildSpec],
        *,
        clock: Clock,
        idle_s: float = IDLE_S,
        ready_s: float = READY_S,
    ) -> None:
        """`idle_s`: seconds without a call after which a process ends. `ready_s`: time to load a model."""
        self._supervisors = {
            name: _Supervisor(name, spec, clock=clock, idle_s=idle_s, ready_s=ready_s)
            for name, spec in specs.items()
        }
        self._closed = False

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
        supervisor = self._supervisor(model)
        rule = supervisor.spec.elementwise
        if rule is not None and inputs.get(rule.input) == []:
            return {rule.output: []}
        await caller.reserve(model, FREE)
        try:
            outputs = [await supervisor.call(part, config) for part in parts(inputs, rule)]
        finally:
            caller.used(Usage(calls=1))
        return joined(outputs, rule)

    @contextlib.asynccontextmanager
    async def held(self, model: str) -> AsyncIterator[Mapping[str, Value]]:
        """What the model's process answers to an empty call, and the process until the block is left.

        For those that serve more than the pool carries: it says where. Raises as `invoke`.
        """
        async with self._supervisor(model).held() as outputs:
            yield outputs

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        """Nothing: what runs here costs no money, and its tokens are nobody's to count."""
        return FREE

    def fingerprint(self, model: str) -> str:
        """Of the model's weights and code. Raises ModelUnavailable if the model is unknown."""
        return self._supervisor(model).spec.fingerprint

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        """Never: what the pool carries gives the same vectors for the same texts."""
        return False

    def pids(self) -> dict[str, int]:
        """Process ids of the models that are loaded now."""
        return {name: pid for name, s in self._supervisors.items() if (pid := s.pid) is not None}

    async def close(self) -> None:
        """End every process and wait for it; at most about 2 s. Calls made later are refused."""
        self._closed = True
        for supervisor in self._supervisors.values():
            supervisor.close()
        for supervisor in self._supervisors.values():
            await supervisor.stopped()

    def _supervisor(self, model: str) -> "_Supervisor":
        if self._closed:
            raise ModelUnavailable(f"model {model}: the pool is closed")
        supervisor = self._supervisors.get(model)
        if supervisor is None:
            known = ", ".join(sorted(self._supervisors)) or "none"
            raise ModelUnavailable(f"there is no model {model!r}", hint=f"models here: {known}")
        return supervisor


class _Supervisor:
    """Keeps at most one process of one model, and one call at a time in it.

    One at a time costs under a hundredth of the throughput and means that when the process
    dies it is known whose call it died of.
    """

    def __init__(self, name: str, spec: ChildSpec, *, clock: Clock, idle_s: float, ready_s: float) -> None:
        self.spec = spec
        self._name, self._clock, self._idle_s, self._ready_s = name, clock, idle_s, ready_s
        self._turn = asyncio.Lock()
        self._child: ModelProcess | None = None
        self._started: list[ModelProcess] = []
        self._restarts = Restarts()
        self._idle: asyncio.TimerHandle | None = None
        self._refusal: tuple[float, str, str | None] | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        return self._child.pid if self._child is not None and self._child.alive else None

    async def call(self, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> dict[str, Value]:
        async with self._held():
            return await self._call(inputs, config)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[dict[str, Value]]:
        """The process, and nobody else gets it."""
        async with self._held():
            yield await self._call({}, {})

    @contextlib.asynccontextmanager
    async def _held(self) -> AsyncIterator[None]:
        async with self._turn:
            self._stay()
            try:
                yield
            finally:
                self._idle = asyncio.get_running_loop().call_later(self._idle_s, self.retire)

    async def _call(self, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> dict[str, Value]:
        died: ChildDied | None = None
        for _ in range(_TRIES):
            child = await self._running()
            try:
                outputs = await child.call(inputs, config)
            except ChildDied as error:
                died = error
                if not self._closed:
                    self._restarts.died()
                continue
            except ModelFailed:
                self._restarts.worked()
                raise
            self._restarts.worked()
            return outputs
        assert died is not None
        raise ModelFailed(
            f"{died.message} (twice, on the same input)",
            hint="this input may be too much for the machine's memory",
        ) from died

    async def _running(self) -> ModelProcess:
        """A living child, a fresh one if need be. Raises ModelUnavailable."""
        if self._child is not None and self._child.alive:
            return self._child
        self._child = None
        self._recall_refusal()
        while True:
            if (delay_s := self._restarts.delay_s()) > 0:
                await self._clock.sleep(delay_s)
            self._refuse_when_closed()
            child = ModelProcess(self._name)
            self._started = [other for other in self._started if not other.ended]
            self._started.append(child)
            try:
                await child.start(self.spec.argv, ready_s=self._ready_s)
            except ModelUnavailable as error:
                self._refusal = (self._clock.monotonic_s() + _REFUSAL_S, error.message, error.hint)
                raise
            except ChildDied as error:
                self._restarts.died()
                if self._restarts.deaths > _TRIES:
                    raise ModelUnavailable(f"{error.message} (while starting)") from error
                continue
            self._refuse_when_closed()  # it may have been closed while this one was loading
            self._child = child
            return child

    def _refuse_when_closed(self) -> None:
        if self._closed:
            self.retire()
            raise ModelUnavailable(f"model {self._name}: the pool is closed")

    def _recall_refusal(self) -> None:
        """A thousand elements of a fan-out must not start a thousand processes to hear the same."""
        if self._refusal is not None:
            until_s, message, hint = self._refusal
            if self._clock.monotonic_s() < until_s:
                raise ModelUnavailable(message, hint=hint)
            self._refusal = None

    def retire(self) -> None:
        """Let the process end; the next call starts another."""
        self._stay()
        self._child = None
        for child in self._started:
            child.retire()

    def close(self) -> None:
        """Refuse further starts and end what runs."""
        self._closed = True
        self.retire()

    async def stopped(self) -> None:
        """Wait for every process ever started; `close` first."""
        for child in self._started:
            await child.stopped()

    def _stay(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
