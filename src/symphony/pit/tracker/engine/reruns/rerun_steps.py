"""Decides which steps of a run must run again in a rerun: failed, handled, changed and requested ones."""

from collections.abc import Container, Mapping, Sequence
from shlex import quote
from typing import Final, NamedTuple

from msgspec.structs import replace

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Frame, Status
from symphony.pit.tracker.core.names import StepPart, folded, parent_of, parts_of
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.unknown_steps import unknown_step
from symphony.pit.tracker.engine.reruns.mended import Mended, Mending
from symphony.pit.tracker.engine.reruns.reused import Borrow, ReusedResult
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.contents import plain_name
from symphony.pit.tracker.nodes.prints import RunPrints

ASKED_INSIDE: Final = "a part of it was asked for"
HANDLED_INSIDE: Final = "failures inside of it were handled"


class TakenPart(NamedTuple):
    """The results taken of a step that was itself taken over as a whole, and in which a part runs again.

    `elements`: for a fan-out, how many elements are reused, and how many there are.
    """

    results: Mapping[str, ReusedResult]
    elements: tuple[int, int] | None


class RerunSteps:
    """The slots that must run again, as a whole or in part."""

    def __init__(
        self,
        replay: RunReplay,
        results: Mapping[int, ReusedResult],
        bindings: Bindings,
        overcome: Container[int] = (),
    ) -> None:
        """Handled failures of `overcome` slots are not tried again."""
        self._replay, self._machine, self.frames = replay, replay.machine, replay.inner_frames()
        self._results, self._bindings = results, bindings
        self.asked: set[int] = set()  # slots that must run as a whole
        self.named: set[int] = set()  # slots that somebody asked for, and slots that contain one
        self.relisted: set[int] = set()  # fan-outs whose elements may be reused at any number
        self.entered: dict[int, str] = {}  # slots of which a part must run, and why
        self.changed: dict[int, str] = {}  # slots that must run because of a change, and why
        self.parts: dict[int, TakenPart] = {}
        self.divided: set[int] = set()  # slots reused in parts, though nothing in them runs again
        self._behind: dict[int, str] = {}  # slots whose code has changed, and how
        self._within: dict[int, list[str]] = {}  # by slot that was reused as a whole: steps named inside it
        for slot in replay.errors:
            if not self.sound(slot) and slot not in overcome:
                self.enter(slot, HANDLED_INSIDE)

    def sound(self, slot: int) -> bool:
        """True if the slot ended by itself. A handled failure or a person's decision does not count."""
        status = self._machine.status[slot]
        if status == Status.SKIPPED:
            return slot not in self._replay.errors
        return status == Status.SUCCEEDED and slot in self._results

    def enter(self, slot: int, why: str) -> Sequence[int]:
        """Note that a part of each slot that contains this one must run, and return those slots.

        Does nothing and returns () if the slot belongs to an attempt that another one followed.
        """
        around = self._around(slot)
        self.entered.update(dict.fromkeys(around, why))
        return around

    def _around(self, slot: int) -> Sequence[int]:
        around = list[int]()
        while True:
            element, frame = self._machine.element_of.get(slot), self._machine.frame(slot)
            if frame.parent >= 0 and frame.number < self.frames[frame.parent][0].number:
                return ()
            slot = element[0].slot if element is not None else frame.parent
            if slot < 0:
                return around
            around.append(slot)

    def mark(self, names: Sequence[str], borrow: Borrow) -> None:
        """Mark the steps of these names to run. Raises SymphonyError `unknown-node`."""
        machine = self._machine
        known = {machine.name(slot): slot for slot in range(len(machine.status))} if names else {}
        for name in names:
            slots = [known[name]] if name in known else self._in_round(name, known) or _alike(name, known)
            for slot in slots:
                self.asked.add(slot)
                self.named.update((slot, *self.enter(slot, ASKED_INSIDE)))
            wholes = (
                {} if name in known else self._wholes_of(name)
            )  # of some elements, beside slots of others
            for slot, there in wholes.items():
                self._within.setdefault(slot, []).append(there)
            if not slots and not wholes:
                self._within.setdefault(self._whole_of(name, known), []).append(name)
        for slot, inside in self._within.items():
            self.parts[slot] = self._split(slot, inside) or self._borrowed(slot, inside, borrow)
            self.entered[slot] = ASKED_INSIDE
            self.named.update((slot, *self.enter(slot, ASKED_INSIDE)))

    def mend(self, mending: Mending, prints: RunPrints, borrow: Borrow) -> None:
        """Mark the changed steps to run. `prints`: fingerprints of the code that made the results."""
        since: dict[str | None, dict[str, list[int]]] = {}  # slots by the run that they ran in and by name
        cached = self._replay.cached
        for slot in range(len(self._machine.status)):
            names = since.setdefault(cached.get(slot), {})
            names.setdefault(folded(self._machine.name(slot)), []).append(slot)
        for run_id, slots in since.items():
            found = mending.since(prints.of(run_id))
            self._mend(found, slots)
            for name, places in slots.items():
                if not found.any_inside(name):
                    continue
                for slot in places:
                    if self._is_whole(slot) and slot in self._results:
                        self._mend_whole(slot, mending.within(name), borrow)
        for slot, why in self._behind.items():
            self._tell_behind(slot, why)

    def _mend(self, found: Mended, slots: Mapping[str, Sequence[int]]) -> None:
        """Mark the changed ones among `slots`, which are by name without numbers."""
        for name, why in found.changed.items():
            for slot in slots.get(name, ()):
                if name not in found.relisted:
                    self.change(slot, why)
                elif slot not in self._machine.element_of:
                    self.change(slot, why)
                    self.relisted.add(slot)
        for name, why in found.behind.items():
            for slot in slots.get(name, ()):
                if slot not in self._machine.groups:  # a fan-out has the code of its elements
                    self._behind[slot] = why
                    self.relisted.discard(slot)
                    self.asked.add(slot)
        for name, why in found.opened.items():
            for slot in slots.get(name, ()):
                self.entered[slot] = why
                self.enter(slot, why)

    def _tell_behind(self, slot: int, why: str) -> None:
        """Mark a slot whose code has changed, and add the reason to others known for it and its fan-out."""
        known = self.changed.get(slot)
        told = why if known is None else _also(known, why)
        self.change(slot, told)
        element = self._machine.element_of.get(slot)
        if element is None:
            return
        around = element[0].slot
        if around in self.changed:
            self.changed[around] = _also(self.changed[around], why)
        else:
            self.entered[around] = why

    def _mend_whole(self, slot: int, found: Mending, borrow: Borrow) -> None:
        """For a step that was reused as a whole, reuse what has not changed from the run that it ran in."""
        why = "a part of it has changed"
        inside = borrow(self._results[slot].run, (), found)
        if inside is None:
            self.change(slot, why)
            return
        self.parts[slot] = TakenPart(self._renamed(slot, inside), None)
        self.entered.setdefault(slot, why)
        self.enter(slot, why)

    def divide(self, prints: RunPrints) -> None:
        """Mark steps to be reused in parts if their parts ran with different versions of the code."""
        cached = self._replay.cached
        others = {run_id for run_id in set(cached.values()) if prints.of(run_id) != prints.own}
        for slot, run_id in cached.items() if others else ():
            if run_id in others:
                self.divided.update(self._around(slot))

    def change(self, slot: int, why: str) -> None:
        """Mark the slot to run, because what it does or reads has changed."""
        self.asked.add(slot)
        self.changed[slot] = why
        self.enter(slot, "a part of it has changed")

    def lose(self, slot: int, why: str) -> None:
        """Let the slot run, for what it gave is gone; of what ran inside it, only what is gone as well."""
        if slot in self.frames or slot in self._machine.groups:
            self.entered.setdefault(slot, why)
        elif slot not in self.asked:
            self.asked.add(slot)
            self.changed[slot] = why
        self.enter(slot, why)

    def _in_round(self, name: str, known: Mapping[str, int]) -> list[int]:
        """Return the slots of a round of a loop; empty if `name` is no such round."""
        parts, loop = parts_of(name), known.get(parent_of(name) or "")
        if not parts or loop is None:
            return []
        found = [frame for frame in self.frames.get(loop, ()) if frame.round == parts[-1].round]
        return [slot for frame in found if frame.round is not None for slot in slots_of(frame)]

    def _wholes_of(self, name: str) -> dict[int, str]:
        """Return the steps that were taken over as a whole and that a name without numbers leads into.

        Each with the name of what is meant inside.
        """
        asked, found = parts_of(name), dict[int, str]()
        for slot in self._results:
            full = self._machine.name(slot)
            parts = parts_of(full)
            last = asked[len(parts) - 1] if len(parts) <= len(asked) else None
            if last is None or not parts:
                continue
            # A round that was asked for is inside of a loop that was taken as a whole.
            inside = last.round is not None and parts[-1].round is None
            start = (*asked[: len(parts) - 1], last._replace(round=None) if inside else last)
            if (inside or len(parts) < len(asked)) and _means(start, parts) and self._is_whole(slot):
                mark = f"#{last.round}" if inside else ""
                found[slot] = ".".join([f"{full}{mark}", *name.split(".")[len(parts) :]])
        return found

    def _whole_of(self, name: str, known: Mapping[str, int]) -> int:
        """Return the slot that was reused as a whole and contains the step of this name.

        Raises SymphonyError `unknown-node` if no slot does.
        """
        above = parent_of(name)
        while above is not None and above not in known:
            above = parent_of(above)
        slot = -1 if above is None else known[above]
        if slot not in self._results or not self._is_whole(slot):
            raise unknown_step(name, [*known, *self._round_names()])
        return slot

    def _is_whole(self, slot: int) -> bool:
        """True if more than the slot would have run, had its result not been taken over."""
        machine = self._machine
        if self._bindings.work(slot).for_each is not None and slot not in machine.element_of:
            return slot not in machine.groups
        return machine.local(slot) in machine.frame(slot).plan.below and slot not in self.frames

    def _split(self, slot: int, names: Sequence[str]) -> TakenPart | None:
        """Return the elements of a fan-out, taken from its output lists, except those named.

        None if a name is not an element, or if there are no lists. Raises SymphonyError `unknown-node`.
        """
        node, rows = self._machine.name(slot), self.rows(slot)
        again = {f"{node}[{number}]" for number in range(len(rows or ()))}.intersection(names)
        if rows is None or any(parent_of(name) != node or not name.endswith("]") for name in names):
            return None
        for name in names:
            if name not in again:
                raise unknown_step(name, [node], len(rows))
        taken = {f"{node}[{number}]": row for number, row in enumerate(rows)}
        results = {name: row for name, row in taken.items() if name not in again}
        return TakenPart(results, (len(results), len(rows)))

    def rows(self, slot: int) -> Sequence[ReusedResult] | None:
        """Return the result of each element of a reused fan-out; None if its outputs are not all lists."""
        result = self._results[slot]
        if self._bindings.work(slot).for_each is None or slot in self._machine.element_of:
            return None
        columns = {port: self._bindings.values.plain(value) for port, value in result.outputs.items()}
        lists = [column for column in columns.values() if isinstance(column, list)]
        if not lists or len(lists) != len(columns):
            return None
        rows = zip(*lists, strict=True)
        name = result.name
        return [
            replace(
                result, outputs=dict(zip(columns, row, strict=True)), taken=None,
                name=None if name is None else f"{name}[{number}]",
            )
            for number, row in enumerate(rows)
        ]  # fmt: skip

    def _renamed(self, slot: int, inside: Mapping[str, ReusedResult]) -> dict[str, ReusedResult]:
        """Return the results inside a step in the run that it ran in, by their names in this run."""
        name = self._machine.name(slot)
        there = self._results[slot].name or name
        found: dict[str, ReusedResult] = {}
        for full, one in inside.items():
            if full.startswith(tuple(f"{there}{mark}" for mark in "[#.")):
                known = one if there == name or one.name is not None else replace(one, name=plain_name(full))
                found[f"{name}{full[len(there) :]}"] = known
        return found

    def _borrowed(self, slot: int, names: Sequence[str], borrow: Borrow) -> TakenPart:
        """Return what the step's own run has. Raises SymphonyError `unknown-node` if run or step is gone."""
        node, run = self._machine.name(slot), self._results[slot].run
        there = self._results[slot].name or node
        found = borrow(run, [f"{there}{name[len(node) :]}" for name in names])
        if found is None:
            raise SymphonyError(
                f"the run has no node {names[0]!r}: it took over {node} as a whole from a run that is gone",
                code="unknown-node",
                hint=f"to run all of it again: --from {quote(node)}",
            )
        inside = self._renamed(slot, found)
        rows = self.rows(slot)
        taken = sum(parent_of(name) == node and name.endswith("]") for name in inside)
        return TakenPart(inside, None if rows is None else (taken, len(rows)))

    def _round_names(self) -> list[str]:
        return [self._machine.frame_name(frame) for frames in self.frames.values() for frame in frames]


def slots_of(frame: Frame) -> range:
    """Return the slots of the nodes of a frame."""
    return range(frame.base, frame.base + len(frame.plan.nodes))


def _alike(name: str, known: Mapping[str, int]) -> list[int]:
    """Return the slots of a name that lacks numbers: `kids[0].two`, `kids[1].two`, … for `kids.two`."""
    asked = parts_of(name)
    if len(asked) < 2:
        return []
    plain, found = folded(name), list[int]()
    for full, slot in known.items():
        if folded(full) != plain:
            continue
        parts = parts_of(full)
        if parts[-1] == asked[-1] and _means(asked, parts):
            found.append(slot)
    return found


def _means(asked: Sequence[StepPart], parts: Sequence[StepPart]) -> bool:
    """True if the name that was asked for, which may lack numbers, may mean a step with these parts."""
    return all(
        one.node == other.node and one.element in (None, other.element) and one.round in (None, other.round)
        for one, other in zip(asked, parts, strict=False)
    )


def _also(told: str, why: str) -> str:
    """Join two reasons such as `changed: for_each` and `changed: the code of x` into one."""
    more = why.removeprefix("changed: ")
    return told if more in told else f"{told}, {more}"
