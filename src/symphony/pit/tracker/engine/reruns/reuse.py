"""Decides which results of a run another one may reuse: those with nothing before them that runs again."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from shlex import quote

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.afresh import behind
from symphony.pit.tracker.core.machine import Frame, Status
from symphony.pit.tracker.core.names import folded, parent_of
from symphony.pit.tracker.core.records import ExpandedRecord, FailedRecord, FinishedRecord, Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.recovery import IN_DOUBT, SECRET_MISSING, recovering
from symphony.pit.tracker.engine.reruns.moving import MovingElements
from symphony.pit.tracker.engine.reruns.overcome import OvercomeFailures
from symphony.pit.tracker.engine.reruns.rerun_steps import RerunSteps, slots_of
from symphony.pit.tracker.engine.reruns.reused import Borrow, RerunScope, Reusable, ReusedResult
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.contents import KEYS_PORT, moved_name
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.prints import RunPrints
from symphony.pit.tracker.nodes.reading import FilesRead, contents_read, reads_files
from symphony.pit.tracker.nodes.work import ModelWork, OperatorWork
from symphony.ports.artifacts import ArtifactMissing
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import Value

_ASKED = "it was asked for"
_INPUT, _AFTER = "it reads an input that changed", "it depends on what runs again"
_INNER = re.compile(r"[.#\[]")
_CLOSED = "what it gave cannot be opened"
_LOST = "its artifact is damaged or missing"
_WHY = {
    Status.PENDING: "it had not begun",
    Status.READY: "it had not begun",
    Status.QUEUED: "it had not begun",
    Status.SUCCEEDED: "its failure was handled",
    Status.SKIPPED: "its failure was handled",
    Status.FAILED: "it failed",
    Status.CANCELLED: "it was cancelled",
}


def reusable(
    recorded: Sequence[Record],
    replay: RunReplay,
    bindings: Bindings,
    executor: Executor,
    graph: WorkGraph,
    scope: RerunScope,
    borrow: Borrow,
    prints: RunPrints,
) -> Reusable:
    """Return what may be reused from the run `recorded`. `prints` has the fingerprints of its code.

    `borrow` looks into the runs that this run reused results from.

    A node's result is reused if the node and all that ran inside it succeeded by themselves, and nothing
    before it runs again. If that does not hold for a loop, a sub-workflow or a fan-out, the rule is applied
    to the steps inside it. Elements may be reused even though nodes before them run again: see
    `MovingElements`. A failure that `on_error` handled is not a success: it is tried again, unless a later
    round of its loop made it good (see `OvercomeFailures`). A result that cannot be opened, because a secret
    has changed, is not reused. Raises SymphonyError `unknown-node`, and SecretMissing if such a node must not
    run again.
    """
    results: dict[int, ReusedResult] = {}
    written: dict[int, str] = {}
    closed = _Closed()
    moving, own = MovingElements(replay.machine, bindings, executor.sealer, graph), len(graph.works)
    overcome = OvercomeFailures(replay, bindings)
    for record in recovering(recorded, replay, bindings, executor, closed):
        if isinstance(record, ExpandedRecord) and record.slot >= own:
            moving.note(record.slot, record.count)  # its values are gone once the graph around it has ended
        if isinstance(record, FinishedRecord | FailedRecord) and record.slot >= own:
            overcome.note(record.slot)
        if not isinstance(record, FinishedRecord):
            continue
        slot = record.slot
        if not bindings.work(slot).repeatable:
            closed.once.add(slot)
        if slot not in closed.results:
            run = replay.cached.get(slot, executor.run_id)
            name = replay.cached_as.get(slot)
            results[slot] = ReusedResult(
                outputs=bindings.values.of(slot), taken=record.taken, run=run, name=name
            )
            if record.outputs is not None and not results[slot].held(executor):  # else its elements tell
                closed.lost.add(slot)
            if scope.mended is not None and (file := _written_since(slot, record, bindings, executor)):
                written[slot] = f"changed: {file}"
    steps = RerunSteps(replay, results, bindings, overcome.of(replay.errors))
    choice = _Choice(replay, results, closed, steps, moving)
    steps.mark(scope.first, borrow)
    if scope.mended is not None:
        steps.mend(scope.mended, prints, borrow)
        for slot, why in written.items():
            steps.change(slot, why)
    for slot in closed.lost - closed.once:
        steps.lose(slot, _LOST)
    steps.divide(prints)
    reading = {i for i in range(len(graph.works)) if graph.inputs_read(i) & scope.inputs}
    choice.visit(replay.machine.root, reading)
    summary = choice.summary(executor.run_id, reading)
    return Reusable(
        results=choice.taken,
        divided=frozenset(choice.divided),
        digests=choice.digests,
        idle=choice.idle,
        summary=summary,
    )


def _written_since(slot: int, record: FinishedRecord, bindings: Bindings, executor: Executor) -> str:
    """Return a file that a step's inputs name and that was written after the step had begun; else empty."""
    work = bindings.work(slot)
    if not isinstance(work, OperatorWork | ModelWork) or not reads_files(work):
        return ""
    if work.for_each is not None and bindings.element(slot) is None:
        return ""  # its elements read them
    seen = FilesRead()
    try:
        inputs = bindings.inputs(slot, work)
        known = contents_read(work, inputs, executor.cwd, executor.store.plain, lambda _: "", seen)
    except SymphonyError:
        known = None
    return "what it reads" if known is None else seen.written_since(record.started)


class _Closed:
    """The slots whose results or inputs cannot be opened, and the slots that must not run twice."""

    def __init__(self) -> None:
        self.results: set[int] = set()
        self.inputs: set[int] = set()
        self.once: set[int] = set()
        self.lost: set[int] = set()  # with artifacts that are not in the store as they were
        self._why = ""

    def finished(self, slot: int, error: SymphonyError) -> None:
        self.results.add(slot)
        self._why = error.message

    def opened(self, slot: int, error: SymphonyError) -> None:
        self.inputs.add(slot)
        self._why = error.message

    def check(self, slot: int, name: str) -> None:
        """Raise `secret-missing` if the slot has run and must not again.

        Raises `artifact-missing` if it is its artifact that cannot be had.
        """
        if slot in self.once and slot in self.lost:
            raise ArtifactMissing(
                f"{name} must not run twice, and {_LOST}",
                hint="restore it from a copy with symphony artifacts put FILE, or run the node again with "
                f"--from {quote(name)}",
            )
        if slot in self.once:
            raise SymphonyError(
                f"{name} must not run twice, and what it gave cannot be opened: {self._why}",
                code=SECRET_MISSING,
                hint=f"set the variable as it was, or run the node again with --from {quote(name)}",
            )


class _Choice:
    """Collects the reusable results in `taken` by full name. `divided` names steps reused only in parts."""

    def __init__(
        self,
        replay: RunReplay,
        results: Mapping[int, ReusedResult],
        closed: _Closed,
        steps: RerunSteps,
        moving: MovingElements,
    ) -> None:
        self._moving = moving
        self._replay, self._machine, self._results = replay, replay.machine, results
        self._closed, self._steps = closed, steps
        self.taken: dict[str, ReusedResult] = {}
        self.digests: dict[str, frozenset[str | None]] = {}  # of the elements of fan-outs that may move
        self.divided: set[str] = set()  # what is taken in parts, all of it
        self._parts: dict[str, tuple[int, int]] = {}
        for slot in closed.results:  # the lists of a fan-out follow from its elements
            if (element := self._machine.element_of.get(slot)) is not None:
                steps.entered[element[0].slot] = _CLOSED

    def visit(self, frame: Frame, seeds: Iterable[int] = ()) -> bool:
        """Take what can be taken in a frame where the nodes `seeds` run again. True if that is all of it."""
        steps, slots = self._steps, slots_of(frame)
        wanted = {*seeds, *(slot - frame.base for slot in slots if slot in steps.asked)}
        open_ = {s - frame.base for s in slots if s in steps.entered or not steps.sound(s)}
        # A node that is run again on purpose may need its fallback; a repeated failure is handled as before.
        after = behind(frame.plan, wanted) | behind(frame.plan, open_, spares=False)
        for slot in slots:
            index = slot - frame.base
            if index in after or index in wanted:
                if self._moving.may(steps, frame, index, wanted | open_ | after):
                    self._take_moving(slot)
                continue
            if index in open_:
                if slot in self._closed.results:
                    self._closed.check(slot, self._machine.name(slot))
                self._inside(slot)
            elif slot in self._results:
                self._take(slot)
        return not wanted and not open_

    def _take(self, slot: int) -> None:
        """Take the slot, as a whole or in parts."""
        if slot in self._steps.divided:
            self.divided.add(self._machine.name(slot))
            self._inside(slot)
            return
        name = self._machine.name(slot)
        if slot in self._closed.lost:
            self._closed.check(slot, name)
        self.taken[name] = self._results[slot]

    def summary(self, run_id: str, seeds: set[int]) -> ReuseSummary:
        """Return a summary of the reuse, after the root was visited with `seeds`."""
        machine, root = self._machine, self._machine.root
        again = {
            name: self._why(slot, index in seeds)
            for index, slot in enumerate(slots_of(root))
            if (name := machine.name(slot)) not in self.taken
            and name not in self.divided
            and not (machine.status[slot] == Status.SKIPPED and self._steps.sound(slot))
        }
        own = len(root.plan.nodes)
        reused = sum(node.name in self.taken or node.name in self.divided for node in root.plan.nodes)
        roots = (name[: found.start()] for name in self.taken if (found := _INNER.search(name)) is not None)
        moving = frozenset(node.name for node in root.plan.nodes if moved_name(node.name) in self.taken)
        apart = self._parts.keys() | moving | self.divided
        inside = {name: count for name, count in Counter(roots).items() if name not in apart}
        parts = {name: count for name, count in self._parts.items() if name not in self.divided}
        return ReuseSummary(
            run_id=run_id, nodes=own, reused=reused, again=again, elements=parts, inside=inside,
            moving=moving,
        )  # fmt: skip

    def idle(self) -> frozenset[str]:
        """Return the steps inside of others of which nothing runs again, without numbers.

        Rounds are left out, for there may be others, and so are steps that others took as a whole.
        """
        machine, again, taken = self._machine, set[str](), set[str]()
        apart = {_INNER.split(machine.name(slot), maxsplit=1)[0] for slot in self._steps.parts}
        for frame in machine.frames[1:]:
            for slot in slots_of(frame):
                name = machine.name(slot)
                (taken if "#" not in name and self._covered(name) else again).add(folded(name))
        return frozenset(one for one in taken - again if one.partition(".")[0] not in apart)

    def _covered(self, name: str) -> bool:
        """Return whether the step is taken, alone or with what is around it."""
        above: str | None = name
        while above is not None and above not in self.taken:
            above = parent_of(above)
        return above is not None

    def _why(self, slot: int, reads: bool) -> str:
        """Return why a node of the workflow runs again."""
        steps = self._steps
        if slot in steps.changed:
            return steps.changed[slot]
        if slot in steps.asked:
            return _ASKED
        if reads:
            return _INPUT
        if slot in self._closed.results:
            return _CLOSED
        if not steps.sound(slot) and self._replay.errors.get(slot, ("",))[0] == IN_DOUBT:
            return "it was in doubt"
        if not steps.sound(slot):
            return _WHY.get(Status(self._machine.status[slot]), "it had not ended")
        return steps.entered.get(slot, _AFTER)

    def _inside(self, slot: int) -> None:
        """Take what is reusable inside a slot that itself runs again."""
        group, part = self._machine.groups.get(slot), self._steps.parts.get(slot)
        name = self._machine.name(slot)
        if group is not None:
            elements = range(group.base, group.base + group.count)
            self._parts[name] = sum(map(self._take_element, elements)), group.count
        elif part is not None:
            self.taken.update(part.results)
            if part.elements is not None:
                self._parts[name] = part.elements
        for frame in self._steps.frames.get(slot, ()):
            if slot in self._closed.inputs:
                self._all_again(frame)
            elif not self.visit(frame):
                return  # later rounds begin with a different state

    def _take_moving(self, slot: int) -> None:
        """Take the elements of a fan-out by their digests, for a list that may differ."""
        name, digests, before = self._machine.name(slot), self._moving.digests(slot), self.taken
        if digests is None:
            return
        self.digests[name] = frozenset(digests)
        kept: list[Value] = []
        for number, digest in enumerate(digests):
            self.taken = {}
            if digest is not None:
                self._take_row(slot, number)
            start, moved = f"{name}[{number}]", moved_name(name, number)
            before |= {f"{moved}{one[len(start) :]}": result for one, result in self.taken.items()}
            kept.append(digest if self.taken else None)
        self.taken = before
        if any(kept):
            self.taken[moved_name(name)] = ReusedResult(outputs={KEYS_PORT: kept}, taken=None, run="")

    def _take_row(self, slot: int, number: int) -> None:
        """Take an element of a fan-out that ran or was itself reused as a whole."""
        group, part = self._machine.groups.get(slot), self._steps.parts.get(slot)
        start = f"{self._machine.name(slot)}[{number}]"
        if group is not None:
            self._take_element(group.base + number)
        elif part is not None:
            self.taken.update({n: one for n, one in part.results.items() if n.startswith(start)})
        elif slot in self._results and (rows := self._steps.rows(slot)) is not None:
            self.taken[start] = rows[number]

    def _take_element(self, element: int) -> bool:
        """Take an element of a fan-out, or of one that runs again what is inside. True if it is taken."""
        steps = self._steps
        if element in steps.asked:
            return False
        if steps.sound(element) and element not in steps.entered:
            self._take(element)
            return True
        if element in self._closed.results:
            self._closed.check(element, self._machine.name(element))
        self._inside(element)
        return False

    def _all_again(self, frame: Frame) -> None:
        """Take nothing from a frame that began with another secret. Raises SymphonyError `secret-missing`."""
        for slot in slots_of(frame):
            group = self._machine.groups.get(slot)
            elements = () if group is None else range(group.base, group.base + group.count)
            for one in (slot, *elements):
                self._closed.check(one, self._machine.name(one))
                for inner in self._steps.frames.get(one, ()):
                    self._all_again(inner)
