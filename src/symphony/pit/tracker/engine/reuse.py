"""Which results of a run another one may take: all that nothing comes before which runs anew."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.codec import encode_value, value_digest
from symphony.pit.tracker.core.machine import Frame, Status
from symphony.pit.tracker.core.records import FinishedRecord, Record, Reused, encode_reused
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.recovery import SECRET_MISSING, recovering
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.ports.values import ArtifactRef, StoredValue, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class RerunScope:
    """What shall run anew: the node `first`, by full name, and what reads one of the `inputs`."""

    first: str | None = None
    inputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReusedResult:
    """What a node gave, the branch that it took, and the run that it ran in."""

    outputs: Mapping[str, StoredValue]
    taken: str | None
    run: str

    def kept(self, executor: Executor) -> "ReusedResult":
        """The result with large values in the store: rounds of loops hold their own."""
        outputs = {port: executor.store.keep_large(value) for port, value in self.outputs.items()}
        return replace(self, outputs=outputs)

    def references(self) -> Iterator[tuple[str, ArtifactRef]]:
        """The ports that hold artifacts."""
        for port, value in self.outputs.items():
            if isinstance(value, ArtifactRef):
                yield port, value


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
    anew: RerunScope,
) -> dict[str, ReusedResult]:
    """The results to take from the run `recorded`, by full name.

    A node's result is taken if it succeeded by itself and nothing before it runs anew. Inside a
    loop, a sub-workflow or a fan-out that did not succeed, the same holds of what is in it. A result
    that cannot be opened, because a secret is not what it was, is not taken. Raises SymphonyError
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
            results[slot] = ReusedResult(outputs=dict(bindings.values.of(slot)), taken=record.taken, run=run)
    choice = _Choice(replay, results, closed)
    if anew.first is not None:
        choice.mark(anew.first)
    reading = {i for i in range(len(graph.works)) if graph.inputs_read(i) & anew.inputs}
    choice.visit(replay.machine.root, reading)
    return {name: result.kept(executor) for name, result in choice.taken.items()}


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


class _Choice:
    def __init__(self, replay: RunReplay, results: Mapping[int, ReusedResult], closed: _Closed) -> None:
        self._replay, self._machine, self._results = replay, replay.machine, results
        self._closed = closed
        self._frames = replay.inner_frames()
        self._anew: set[int] = set()  # slots that shall run anew, as a whole
        self._entered: set[int] = set()  # slots that something inside runs anew of
        self.taken: dict[str, ReusedResult] = {}
        for slot in closed.results:  # the lists of a fan-out follow from its elements
            if (element := self._machine.element_of.get(slot)) is not None:
                self._entered.add(element[0].slot)

    def mark(self, name: str) -> None:
        """Let the node of this name run anew."""
        machine = self._machine
        known = {machine.name(slot): slot for slot in range(len(machine.status))}
        slot = known.get(name)
        if slot is None:
            raise SymphonyError(
                f"the run has no node {name[:200]!r}",
                code="unknown-node",
                hint="symphony runs show lists them",
            )
        self._anew.add(slot)
        while True:
            element = machine.element_of.get(slot)
            slot = element[0].slot if element is not None else machine.frame(slot).parent
            if slot < 0:
                return
            self._entered.add(slot)

    def visit(self, frame: Frame, seeds: Iterable[int] = ()) -> bool:
        """Take what can be taken in a frame; is it all that has run there?"""
        slots = range(frame.base, frame.base + len(frame.plan.nodes))
        seeds = {*seeds, *(slot - frame.base for slot in slots if slot in self._anew)}
        open_ = {s - frame.base for s in slots if s in self._entered or not self._sound(s)}
        behind = _behind(frame, seeds | open_)
        for slot in slots:
            index = slot - frame.base
            if index in behind or index in seeds:
                continue
            if index in open_:
                if slot in self._closed.results:
                    self._closed.check(slot, self._machine.name(slot))
                self._inside(slot)
            elif slot in self._results:
                self.taken[self._machine.name(slot)] = self._results[slot]
        return not seeds and not open_

    def _sound(self, slot: int) -> bool:
        """Did the slot end by itself? A failure that was handled, or a person's word, is none."""
        status = self._machine.status[slot]
        if status == Status.SKIPPED:
            return slot not in self._replay.errors
        return status == Status.SUCCEEDED and slot in self._results

    def _inside(self, slot: int) -> None:
        """The slot runs again, but what is inside may be taken."""
        group = self._machine.groups.get(slot)
        if group is not None:
            for element in range(group.base, group.base + group.count):
                if element in self._anew:
                    continue
                if self._sound(element) and element not in self._entered:
                    self.taken[self._machine.name(element)] = self._results[element]
                else:
                    if element in self._closed.results:
                        self._closed.check(element, self._machine.name(element))
                    self._inside(element)
        for frame in self._frames.get(slot, ()):
            if slot in self._closed.inputs:
                self._all_again(frame)
            elif not self.visit(frame):
                return  # the rounds after this one start from another state

    def _all_again(self, frame: Frame) -> None:
        """Nothing of the frame is taken: it begins with another secret. Raises `secret-missing`."""
        for slot in range(frame.base, frame.base + len(frame.plan.nodes)):
            group = self._machine.groups.get(slot)
            elements = () if group is None else range(group.base, group.base + group.count)
            for one in (slot, *elements):
                self._closed.check(one, self._machine.name(one))
                for inner in self._frames.get(one, ()):
                    self._all_again(inner)


def _behind(frame: Frame, starts: Iterable[int]) -> set[int]:
    """The nodes of a frame that come after one of `starts`."""
    found: set[int] = set()
    todo = list(starts)
    while todo:
        for link in frame.plan.links[todo.pop()]:
            if link.target not in found:
                found.add(link.target)
                todo.append(link.target)
    return found
