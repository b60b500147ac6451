"""Heavy expressions, evaluated in worker processes while the loop goes on.

A template that is rendered on the loop returns its value at once if that is cheap. Otherwise `Deferred` is
raised through the code that was about to use the value. Nothing has happened by then, because every
expression of a command is rendered before the command changes anything. The value is then made elsewhere
and kept for the slot; the command is performed again and gets further.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping
from concurrent.futures import Executor as Pool
from types import TracebackType
from typing import TYPE_CHECKING, Final, TypeAlias

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.nodes.evaluating import expression
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.failures import too_late
from symphony.pit.tracker.nodes.work import Work
from symphony.ports.values import ArtifactRef, Value
from symphony.sdk.sizes import ValueTooLarge
from symphony.workflow.expressions import Read, ValueTemplate
from symphony.workflow.expressions.effort import LIGHT_STEPS, Sizes

if TYPE_CHECKING:
    from symphony.pit.workers import Task

TURN_STEPS: Final = 20_000
"""The steps that the loop evaluates before others have a turn."""
MEMORY_PER_VALUE: Final = 8
"""The memory that an expression may take, as a multiple of the size that a value may have."""
MEMORY_MB_MIN: Final = 1_024
END: Final = -1
"""The slot of the workflow's own outputs."""
_RESULT: Final = "the result of an expression"

Key: TypeAlias = int | str
Load: TypeAlias = Callable[[], Value]
"""Loads a stored value; may be called in any thread."""


class Deferred(BaseException):
    """A requested value takes long to make. This is not a failure: ask again once the value is there."""

    def __init__(self, key: Key, what: "ValueTemplate | Load", values: Mapping[Read, Value]) -> None:
        super().__init__(key)
        self.key, self.what, self.values = key, what, values


class Aside:
    """The values that are made elsewhere, by slot. Use from the run's loop."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._active = executor.expressions is not None
        self.light = executor.heavy_steps >= LIGHT_STEPS  # else not even light ones are evaluated on the loop
        self.slot: int | None = None
        """The slot that is rendered for. If None, values are made at once, for nobody would ask again."""
        self.found: dict[int, dict[Key, tuple[Value, Exception | None]]] = {}
        """The values that were made, or the reasons that there are none, by the slots that they are for."""
        self.tired = False
        """True if the loop has evaluated so much in this turn that others should have theirs."""
        self._spent = 0
        self._turn = asyncio.Event()
        self._sizes: Sizes = {}  # of the values measured in this turn

    # ---- rendering --------------------------------------------------------------------------

    @property
    def heeded(self) -> bool:
        """True if somebody would ask again for a value that is deferred."""
        return self._active and self.slot is not None

    async def rest(self) -> None:
        """Wait for a turn in which the loop may evaluate more."""
        while self.tired:
            await self._turn.wait()

    def at(self, slot: int) -> "_At":
        """Return a context manager for a block that renders for `slot` and is repeated after Deferred."""
        return _At(self, slot)

    def render(self, template: ValueTemplate, values: Mapping[Read, Value]) -> Value:
        """Return the template's value. Raises Deferred, ExpressionFailed, ValueTooLarge."""
        if self.made(template):
            return self._given(id(template), template, values)
        most = self._executor.value_bytes_max
        if template.least_chars(values) > most:
            raise ValueTooLarge(_RESULT, most)
        if not self.heeded:
            return template.render(values.__getitem__)
        most = self._executor.heavy_steps
        steps = template.effort(values, most, self._sizes)
        self._spend(min(steps, most))
        if steps <= most:
            return template.render(values.__getitem__)
        return self._given(id(template), template, values)  # it lives as long as the run: its id is unique

    def made(self, template: ValueTemplate) -> bool:
        """True if the template's value, or the reason that there is none, has been made elsewhere."""
        return bool(self.found) and self.slot is not None and id(template) in self.found.get(self.slot, ())

    def loaded(self, ref: ArtifactRef) -> Value:
        """Return a large stored value. Raises Deferred, ArtifactMissing, ArtifactCorrupt."""
        return self.elsewhere(ref.identity, lambda: self._executor.store.load(ref))

    def elsewhere(self, key: str, load: "Load") -> Value:
        """Return the result of `load`, run in a thread. `key` identifies the value.

        Raises Deferred, and what `load` raises.
        """
        return self._given(key, load, {})

    def _given(self, key: Key, what: "ValueTemplate | Load", values: Mapping[Read, Value]) -> Value:
        assert self.slot is not None
        found = self.found.get(self.slot, {}).get(key)
        if found is None:
            raise Deferred(key, what, values)
        value, error = found
        if error is not None:
            raise error
        return value

    def _spend(self, steps: int) -> None:
        if not self._spent and steps:
            self._turn.clear()
            asyncio.get_running_loop().call_soon(self._rested)
        self._spent += steps
        self.tired = self._spent > TURN_STEPS

    def _rested(self) -> None:
        self._spent, self.tired = 0, False
        self._sizes.clear()
        self._turn.set()

    # ---- elsewhere --------------------------------------------------------------------------

    async def make(self, slot: int, deferred: Deferred, node: str, pool: Pool, work: Work | None) -> None:
        """Make the deferred value, and keep it or the error of making it for `slot`.

        It may take as long as an attempt of the node of `work`. When cancelled, nothing goes on.
        """
        timeout_s = None if work is None else work.timeout_s
        try:
            if isinstance(deferred.what, ValueTemplate):
                value = await self._evaluated(deferred.what, deferred.values, node, timeout_s)
            else:
                value = await asyncio.get_running_loop().run_in_executor(pool, deferred.what)
        except TimeoutError as error:
            self._keep(slot, deferred.key, None, error if work is None else too_late(work))
        except Exception as error:  # noqa: BLE001  (it is raised where the value is asked for)
            self._keep(slot, deferred.key, None, error)
        else:
            self._keep(slot, deferred.key, value, None)

    def _keep(self, slot: int, key: Key, value: Value, error: Exception | None) -> None:
        self.found.setdefault(slot, {})[key] = (value, error)

    def forget(self, slot: int) -> None:
        """Drop what was made for the slot: it has been used or is no longer wanted."""
        if self.found:
            self.found.pop(slot, None)

    async def _evaluated(
        self, template: ValueTemplate, values: Mapping[Read, Value], node: str, timeout_s: float | None
    ) -> Value:
        from symphony.pit.workers import WorkerDied

        assert self._executor.expressions is not None
        task = self._task(template, values, node)
        try:
            given = await self._executor.expressions().call(task, _nowhere, timeout_s=timeout_s)
        except WorkerDied as error:
            if error.status == -signal.SIGABRT:  # the library ends so when it runs out of memory
                raise _needs_memory(task) from error
            raise
        except SymphonyError as error:
            if "limit_bytes" in error.details:
                raise ValueTooLarge(_RESULT, self._executor.value_bytes_max) from error
            if error.code == ValueTooLarge.code:
                raise _needs_memory(task) from error
            raise
        return given["result"]

    def _task(self, template: ValueTemplate, values: Mapping[Read, Value], node: str) -> "Task":
        from symphony.pit.workers import Task
        from symphony.sdk.origins import origin_of

        origin = origin_of(expression)
        assert origin is not None
        executor = self._executor
        return Task(
            origin=origin,
            source=None,
            operator=expression.info.name,
            fingerprint=expression.fingerprint,
            listens=False,
            inputs={
                "source": template.source,
                "form": template.form,
                "values": [values[read] for read in template.asks],
                "most": executor.value_bytes_max,
            },
            run_id=executor.run_id,
            node=node,
            attempt=1,
            cwd=executor.cwd,
            base=executor.base,
            environment={},
            memory_mb=self._memory_mb,
            marks=executor.marks,
        )

    @property
    def _memory_mb(self) -> int:
        return max(MEMORY_MB_MIN, MEMORY_PER_VALUE * (self._executor.value_bytes_max >> 20))


class _At:
    __slots__ = ("_aside", "_outer", "_slot")

    def __init__(self, aside: Aside, slot: int) -> None:
        self._aside, self._slot = aside, slot

    def __enter__(self) -> None:
        self._outer, self._aside.slot = self._aside.slot, self._slot

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._aside.slot = self._outer


def _needs_memory(task: "Task") -> SymphonyError:
    return SymphonyError(
        f"an expression needs more than {task.memory_mb:,} MiB of memory",
        code=ValueTooLarge.code,
        hint="give it less, or compute it in an operator",
    )


def _nowhere(text: str, stream: str) -> None:
    """Drop what is printed: expressions print nothing."""
