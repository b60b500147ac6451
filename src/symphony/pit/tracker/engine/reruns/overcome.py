"""Finds handled failures that a later round of the loop has made good, as of a poll that fails at first."""

from collections.abc import Iterable

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.afresh import behind
from symphony.pit.tracker.core.machine import Machine, Status
from symphony.pit.tracker.core.plan import OnFailure
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.contents import read_digest
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.work import LoopWork
from symphony.workflow.expressions import ValueTemplate


class OvercomeFailures:
    """Finds handled failures that a later round made good.

    Call `note` when a node ends, while its values exist.

    A failure is made good if its loop succeeded, if the same node succeeded in a later round reading the same
    values, and if nothing in the loop's final state was made from the failure's substitute. That the
    substitute let the loop go on does not count: such loops are for that.
    """

    def __init__(self, replay: RunReplay, bindings: Bindings) -> None:
        self._replay, self._machine, self._bindings = replay, replay.machine, bindings
        self._graphs: dict[int, WorkGraph] = {}  # by the identity of their plans
        self._loops: dict[int, LoopWork] = {}  # by the identity of their bodies' plans
        self._digests: dict[int, str] = {}
        self._stains: dict[tuple[int, frozenset[str]], frozenset[str]] = {}

    def note(self, slot: int) -> None:
        """Note that the slot has ended, for now."""
        machine: Machine = self._machine
        frame = machine.frame(slot)
        if frame.round is None or slot in machine.element_of:
            return
        if machine.node(slot).on_failure is OnFailure.FAIL:
            return
        level, loop = self._bindings.level(slot), self._bindings.work(frame.parent)
        if not isinstance(loop, LoopWork) or level.graph.works[slot - frame.base].for_each is not None:
            return
        self._graphs[id(frame.plan)], self._loops[id(frame.plan)] = level.graph, loop
        try:
            digest = read_digest(level, slot - frame.base, self._bindings.element(slot))
        except SymphonyError:
            return
        if digest is not None:
            self._digests[slot] = digest

    def of(self, failed: Iterable[int]) -> set[int]:
        """Return those of the slots `failed` whose failure was made good."""
        frames, found = self._replay.inner_frames(), set[int]()
        for slot in failed:
            frame = self._machine.frame(slot)
            rounds = frames.get(frame.parent, ())
            if slot not in self._digests or frame.round is None or frame not in rounds[frame.round :][:1]:
                continue
            if self._machine.status[frame.parent] != Status.SUCCEEDED:
                continue
            index, errors = slot - frame.base, self._replay.errors
            again = (later.base + index for later in rounds[frame.round + 1 :])
            good = any(
                self._machine.status[one] == Status.SUCCEEDED
                and one not in errors
                and self._digests.get(one) == self._digests[slot]
                for one in again
            )
            if good and self._clean(id(frame.plan), index, len(rounds) - frame.round - 1):
                found.add(slot)
        return found

    def _clean(self, plan: int, node: int, rounds: int) -> bool:
        """True if nothing of the state that follows from the node is left after so many more rounds."""
        stained, seen = self._after(plan, {node}, frozenset()), set[frozenset[str]]()
        for _ in range(rounds):
            if not stained or stained in seen:
                break
            seen.add(stained)
            stained = self._next(plan, stained)
        return not stained

    def _next(self, plan: int, stained: frozenset[str]) -> frozenset[str]:
        """Return the variables that are stained after a round that begins with the stained ones given."""
        known = self._stains.get((plan, stained))
        if known is None:
            graph = self._graphs[plan]
            nodes = {
                number
                for number, work in enumerate(graph.works)
                if isinstance(work, LoopWork) or _read(work.templates(), "state") & stained
            }
            known = self._stains[plan, stained] = self._after(plan, nodes, stained)
        return known

    def _after(self, plan: int, nodes: set[int], stained: frozenset[str]) -> frozenset[str]:
        """Return the variables that derive from stained nodes and variables of a round."""
        graph, loop = self._graphs[plan], self._loops[plan].loop
        names = {graph.works[number].name for number in nodes | behind(graph.plan, nodes)}
        after = {name for name in stained if name not in loop.next}
        for name, template in loop.next.items():
            if _read([template], "state") & stained or _nodes([template]) & names:
                after.add(name)
        return frozenset(after)


def _read(templates: Iterable[ValueTemplate], kind: str) -> set[str]:
    return {read.name for template in templates for read in template.reads if read.kind == kind}


def _nodes(templates: Iterable[ValueTemplate]) -> set[str]:
    return _read(templates, "port") | _read(templates, "node")
