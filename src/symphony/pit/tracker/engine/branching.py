"""The decisions of the engine that need no operator: fan-outs, branches and merges."""

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.structure import APPROVED, REJECTED
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.attempt import Finished
from symphony.pit.tracker.nodes.bindings import same, truth
from symphony.pit.tracker.nodes.failures import ELEMENTS_NAMED, elements_failed
from symphony.pit.tracker.nodes.work import ApprovalWork, BranchWork
from symphony.ports.values import Value
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.types import kind_name


class Branching:
    """Handles control nodes and fan-outs. Errors raised here fail the slot for good."""

    def __init__(self, parts: RunParts) -> None:
        self._replay, self._machine, self._bindings = parts.replay, parts.machine, parts.bindings
        self._labels, self._transitions, self._clock = parts.labels, parts.transitions, parts.clock

    def expand(self, slot: int, template: ValueTemplate) -> None:
        """Make the slot a fan-out over the list that `template` gives."""
        items = self._bindings.values.items.get(slot)  # making the labels may have taken more than one turn
        if items is None:
            items = self._listed(slot, template)
        self._transitions.expanded(slot, len(items), self._labels.of_all(slot, items))

    def _listed(self, slot: int, template: ValueTemplate) -> list[Value]:
        items = self._bindings.made(template, slot, "for_each")
        if not isinstance(items, list):
            raise SymphonyError(
                f"for_each needs a list, not {kind_name(items)}",
                code="type-mismatch",
                hint="give it a list",
            )
        self._bindings.values.items[slot] = items
        return items

    def gather(self, slot: int, *, quick: bool) -> None:
        """End a fan-out whose elements have all ended; its outputs are lists of theirs.

        It fails if elements failed while `fail_fast` was off. `quick` is as in `Transitions.derived`.
        """
        if failed := self._failed(slot):
            self._transitions.elements_failed(slot, failed, self._began(slot))
            return
        self._bindings.bound_gathered(slot)
        self._transitions.derived(slot, self._began(slot), self._agreed(slot), quick=quick)

    def _failed(self, slot: int) -> SymphonyError | None:
        """Return the error of a fan-out whose elements all ran, if any failed unhandled; else None."""
        elements = self._bindings.elements(slot)
        failed = [one for one in elements if self._machine.status[one] == Status.FAILED]
        if not failed:
            return None
        names = [self._replay.title(one) for one in failed[:ELEMENTS_NAMED]]
        return elements_failed(names, len(failed), len(elements), self._replay.told(failed[0]))

    def _began(self, slot: int) -> float:
        """Return when the first element of the fan-out began."""
        now, started = self._clock.now_s(), self._replay.started
        return min((started.get(one, now) for one in self._bindings.elements(slot)), default=now)

    def _agreed(self, slot: int) -> str | None:
        """Return the branch of a fan-out of approvals: approved if all were. None if it asks nobody."""
        if not isinstance(self._bindings.work(slot), ApprovalWork):
            return None
        rows = map(self._bindings.values.of, self._bindings.elements(slot))
        return APPROVED if all(row.get("approved") is True for row in rows) else REJECTED

    def branch(self, slot: int, work: BranchWork) -> None:
        """Take a branch."""
        value = self._bindings.render(work.chooser, slot)
        taken: str | None
        if work.cases:
            taken = next((case for case, expected in work.cases if same(expected, value)), work.default)
        else:
            taken = "true" if truth(value, "condition") else "false"
        self._transitions.finished(slot, Finished({"taken": taken}), self._clock.now_s(), taken)

    def merge(self, slot: int) -> None:
        """Take the values of the candidate that the machine chose."""
        self._transitions.derived(slot, self._clock.now_s())
