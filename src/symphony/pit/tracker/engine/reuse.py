"""Which results of a run another one may take: all that nothing comes before which runs again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.codec import encode_value, value_digest
from symphony.pit.tracker.core.afresh import behind
from symphony.pit.tracker.core.machine import Frame, Status
from symphony.pit.tracker.core.names import parent_of, parts_of
from symphony.pit.tracker.core.records import FinishedRecord, Record, Reused, encode_reused
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.unknown_steps import unknown_step
from symphony.pit.tracker.engine.recovery import SECRET_MISSING, recovering
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import ArtifactRef, StoredValue, Value

_ASKED, _ASKED_INSIDE = "it was asked for", "a part of it was asked for"
_INPUT, _AFTER = "it reads an input that changed", "it depends on what runs again"
_CLOSED = "what it gave cannot be opened"
_INSIDE = "failures inside of it were handled"
_WHY = {
    Status.PENDING: "it had not begun",
    Status.READY: "it had not begun",
    Status.SUCCEEDED: "its failure was handled",
    Status.SKIPPED: "its failure was handled",
    Status.FAILED: "it failed",
    Status.CANCELLED: "it was cancelled",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunScope:
    """What shall run though it succeeded: the steps `first`, by full name, and what reads one of `inputs`."""

    first: tuple[str, ...] = ()
    inputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusedResult:
    """What a node gave, the branch that it took, and the run that it ran in."""

    outputs: Mapping[str, StoredValue]
    taken: str | None
    run: str

    def kept(self, executor: Executor) -> "ReusedResult":
        """The result with large values in the store."""
        outputs = {port: executor.store.keep_large(value) for port, value in self.outputs.items()}
        return replace(self, outputs=outputs)

    def references(self) -> Iterator[tuple[str, ArtifactRef]]:
        """The ports that hold artifacts."""
        for port, value in self.outputs.items():
            if isinstance(value, ArtifactRef):
                yield port, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Reusable:
    """What another run may take: results by full name, and in a few words what that comes to."""

    results: Mapping[str, ReusedResult]
    summary: ReuseSummary

    def kept(self, executor: Executor) -> "Reusable":
        """The same with large values in the store: rounds of loops hold their own."""
        kept = {name: result.kept(executor) for name, result in self.results.items()}
        return replace(self, results=kept)


def changed_inputs(before: Mapping[str, Value], after: Mapping[str, Value]) -> frozenset[str]:
    """The inputs of a run whose values are others than `before`: in types and orders of keys, too."""
    return frozenset(
        name for name, value in after.items() if value_digest(before.get(name)) != value_digest(value)
    )


def written(result: ReusedResult, sealer: Sealer) -> bytes:
    """A result for the journal of the run that reuses it."""
    sealed = {port: sealer.seal(value) for port, value in result.outputs.items()}
    return encode_reused(Reused(encode_value(sealed), result.taken, result.run))


def reusable(
    recorded: Sequence[Record],
    replay: RunReplay,
    bindings: Bindings,
    executor: Executor,
    graph: WorkGraph,
    scope: RerunScope,
) -> Reusable:
    """What may be taken from the run `recorded`.

    A node's result is taken if it succeeded by itself, with all that ran inside it, and nothing before it
    runs again. Of a loop, a sub-workflow or a fan-out of which that does not hold, the same is asked of
    what is in it. A failure that `on_error` handled is no success: it is tried again. A result that
    cannot be opened, because a secret is not what it was, is not taken. Raises SymphonyError
    `unknown-node`, and SecretMissing if such a node must not run again.
    """
    results: dict[int, ReusedResult] = {}
    closed = _Closed()
    for record in recovering(recorded, replay, bindings, executor, closed):
        if not isinstance(record, FinishedRecord):
            continue
        slot = record.slot
        if not bindings.work(slot).repeatable:
            closed.once.add(slot)
        if slot not in closed.results:
            run = replay.cached.get(slot, executor.run_id)
            results[slot] = ReusedResult(outputs=bindings.values.of(slot), taken=record.taken, run=run)
    steps = _Steps(replay, results, bindings, executor)
    choice = _Choice(replay, results, closed, steps)
    for name in scope.first:
        steps.mark(name)
    reading = {i for i in range(len(graph.works)) if graph.inputs_read(i) & scope.inputs}
    choice.visit(replay.machine.root, reading)
    return Reusable(results=choice.taken, summary=choice.summary(executor.run_id, reading))


class _Closed:
    """The slots whose results, or whose inputs, cannot be opened; and those that must not run twice."""

    def __init__(self) -> None:
        self.results: set[int] = set()
        self.inputs: set[int] = set()
        self.once: set[int] = set()
        self._why = ""

    def finished(self, slot: int, error: SymphonyError) -> None:
        self.results.add(slot)
        self._why = error.message

    def opened(self, slot: int, error: SymphonyError) -> None:
        self.inputs.add(slot)
        self._why = error.message

    def check(self, slot: int, name: str) -> None:
        """Raise `secret-missing` if the slot has run and must not again."""
        if slot in self.once:
            raise SymphonyError(
                f"{name} must not run twice, and what it gave cannot be opened: {self._why}",
                code=SECRET_MISSING,
                hint=f"set the variable as it was, or run the node again on purpose with --from {name}",
            )


@dataclass(slots=True)
class _Whole:
    """A fan-out that was taken over as a whole: what its elements gave, and which of them run `again`."""

    elements: Sequence[Mapping[str, StoredValue]]
    again: set[int] = field(default_factory=set)


class _Steps:
    """Which slots are to run again, as a whole or in part."""

    def __init__(
        self,
        replay: RunReplay,
        results: Mapping[int, ReusedResult],
        bindings: Bindings,
        executor: Executor,
    ) -> None:
        self._machine, self._results = replay.machine, results
        self._bindings, self._executor = bindings, executor
        self._replay, self.frames = replay, replay.inner_frames()
        self.asked: set[int] = set()  # slots that shall run, as a whole
        self.entered: dict[int, str] = {}  # slots of which a part runs, and why
        self.wholes: dict[int, _Whole] = {}
        for slot in replay.errors:
            if not self.sound(slot):
                self.enter(slot, _INSIDE)

    def sound(self, slot: int) -> bool:
        """Did the slot end by itself? A failure that was handled, or a person's word, is none."""
        status = self._machine.status[slot]
        if status == Status.SKIPPED:
            return slot not in self._replay.errors
        return status == Status.SUCCEEDED and slot in self._results

    def enter(self, slot: int, why: str) -> None:
        """A part of whatever holds the slot runs again. Nothing if another attempt followed the slot's."""
        around = list[int]()
        while True:
            element, frame = self._machine.element_of.get(slot), self._machine.frame(slot)
            if frame.parent >= 0 and frame.number < self.frames[frame.parent][0].number:
                return
            slot = element[0].slot if element is not None else frame.parent
            if slot < 0:
                break
            around.append(slot)
        self.entered.update(dict.fromkeys(around, why))

    def mark(self, name: str) -> None:
        """Let the step of this name run. Raises SymphonyError `unknown-node`."""
        machine = self._machine
        known = {machine.name(slot): slot for slot in range(len(machine.status))}
        slots = [known[name]] if name in known else self._in_round(name, known)
        for slot in slots:
            self.asked.add(slot)
            self.enter(slot, _ASKED_INSIDE)
        if not slots:
            self._mark_part(name, known)

    def _in_round(self, name: str, known: Mapping[str, int]) -> list[int]:
        """The slots of a round of a loop."""
        parts, loop = parts_of(name), known.get(parent_of(name) or "")
        if not parts or loop is None:
            return []
        found = [frame for frame in self.frames.get(loop, ()) if frame.round == parts[-1].round]
        return [slot for frame in found if frame.round is not None for slot in _slots(frame)]

    def _mark_part(self, name: str, known: Mapping[str, int]) -> None:
        """Let an element run of a fan-out that was itself taken over as a whole."""
        above = parent_of(name)
        while above is not None and above not in known:
            above = parent_of(above)
        slot = None if above is None else known[above]
        result = None if slot is None else self._results.get(slot)
        if slot is None or result is None or not self._is_whole(slot):
            raise unknown_step(name, [*known, *self._round_names()])
        whole = self._whole(slot, result)
        parts = parts_of(name)
        number = parts[-1].element if parts and parent_of(name) == above else None
        if whole is None or number is None:
            raise SymphonyError(
                f"the run has no node {name!r}: it took over {above} as a whole",
                code="unknown-node",
                hint=f"symphony runs rerun {result.run} --from '{name}', or here --from {above}",
            )
        if number >= len(whole.elements):
            raise unknown_step(name, known, len(whole.elements))
        whole.again.add(number)
        self.entered[slot] = _ASKED_INSIDE
        self.enter(slot, _ASKED_INSIDE)

    def _is_whole(self, slot: int) -> bool:
        """Would more than the slot have run, had its result not been taken over?"""
        machine = self._machine
        holds = machine.local(slot) in machine.frame(slot).plan.below
        fans_out = self._bindings.work(slot).for_each is not None and slot not in machine.element_of
        return (holds and slot not in self.frames) or (fans_out and slot not in machine.groups)

    def _whole(self, slot: int, result: ReusedResult) -> _Whole | None:
        """The outputs of the elements, from the lists that they made; None where there are no lists."""
        known = self.wholes.get(slot)
        if known is not None or self._bindings.work(slot).for_each is None or not result.outputs:
            return known
        columns = {port: self._bindings.values.plain(value) for port, value in result.outputs.items()}
        rows = [column for column in columns.values() if isinstance(column, list)]
        if len(rows) != len(columns):
            return None
        made = [dict(zip(columns, row, strict=True)) for row in zip(*rows, strict=True)]
        self.wholes[slot] = whole = _Whole(made)
        return whole

    def _round_names(self) -> list[str]:
        return [self._machine.frame_name(frame) for frames in self.frames.values() for frame in frames]


class _Choice:
    """Takes what can be taken; `taken` has it by full name."""

    def __init__(
        self, replay: RunReplay, results: Mapping[int, ReusedResult], closed: _Closed, steps: _Steps
    ) -> None:
        self._machine, self._results, self._closed, self._steps = replay.machine, results, closed, steps
        self.taken: dict[str, ReusedResult] = {}
        self._parts: dict[str, tuple[int, int]] = {}
        for slot in closed.results:  # the lists of a fan-out follow from its elements
            if (element := self._machine.element_of.get(slot)) is not None:
                steps.entered[element[0].slot] = _CLOSED

    def visit(self, frame: Frame, seeds: Iterable[int] = ()) -> bool:
        """Take what can be taken in a frame where the nodes `seeds` run again. Is it all that ran there?"""
        steps, slots = self._steps, _slots(frame)
        wanted = {*seeds, *(slot - frame.base for slot in slots if slot in steps.asked)}
        open_ = {s - frame.base for s in slots if s in steps.entered or not steps.sound(s)}
        # What runs again on purpose wants its fallback, too; a failure that fails again is handled as before.
        after = behind(frame.plan, wanted) | behind(frame.plan, open_, spares=False)
        for slot in slots:
            index = slot - frame.base
            if index in after or index in wanted:
                continue
            if index in open_:
                if slot in self._closed.results:
                    self._closed.check(slot, self._machine.name(slot))
                self._inside(slot)
            elif slot in self._results:
                self.taken[self._machine.name(slot)] = self._results[slot]
        return not wanted and not open_

    def summary(self, run_id: str, seeds: set[int]) -> ReuseSummary:
        """What it comes to, once the root was visited with `seeds`."""
        machine, root = self._machine, self._machine.root
        again = {
            name: self._why(slot, index in seeds)
            for index, slot in enumerate(_slots(root))
            if (name := machine.name(slot)) not in self.taken
            and not (machine.status[slot] == Status.SKIPPED and self._steps.sound(slot))
        }
        own = len(root.plan.nodes)
        reused = sum(node.name in self.taken for node in root.plan.nodes)
        return ReuseSummary(run_id=run_id, nodes=own, reused=reused, again=again, elements=self._parts)

    def _why(self, slot: int, reads: bool) -> str:
        """Why a node of the workflow runs again."""
        steps = self._steps
        if slot in steps.asked:
            return _ASKED
        if reads:
            return _INPUT
        if slot in self._closed.results:
            return _CLOSED
        if not steps.sound(slot):
            return _WHY.get(Status(self._machine.status[slot]), "it had not ended")
        return steps.entered.get(slot, _AFTER)

    def _inside(self, slot: int) -> None:
        """The slot runs again, but what is inside may be taken."""
        group, whole = self._machine.groups.get(slot), self._steps.wholes.get(slot)
        name = self._machine.name(slot)
        if group is not None:
            elements = range(group.base, group.base + group.count)
            self._parts[name] = sum(map(self._take_element, elements)), group.count
        elif whole is not None:
            result = self._results[slot]
            for number, outputs in enumerate(whole.elements):
                if number not in whole.again:
                    self.taken[f"{name}[{number}]"] = replace(result, outputs=outputs, taken=None)
            count = len(whole.elements)
            self._parts[name] = count - len(whole.again), count
        for frame in self._steps.frames.get(slot, ()):
            if slot in self._closed.inputs:
                self._all_again(frame)
            elif not self.visit(frame):
                return  # the rounds after this one start from another state

    def _take_element(self, element: int) -> bool:
        """Take an element of a fan-out, or of one that runs again what is inside. Is it taken?"""
        steps = self._steps
        if element in steps.asked:
            return False
        if steps.sound(element) and element not in steps.entered:
            self.taken[self._machine.name(element)] = self._results[element]
            return True
        if element in self._closed.results:
            self._closed.check(element, self._machine.name(element))
        self._inside(element)
        return False

    def _all_again(self, frame: Frame) -> None:
        """Nothing of the frame is taken: it begins with another secret. Raises `secret-missing`."""
        for slot in _slots(frame):
            group = self._machine.groups.get(slot)
            elements = () if group is None else range(group.base, group.base + group.count)
            for one in (slot, *elements):
                self._closed.check(one, self._machine.name(one))
                for inner in self._steps.frames.get(one, ()):
                    self._all_again(inner)


def _slots(frame: Frame) -> range:
    return range(frame.base, frame.base + len(frame.plan.nodes))
