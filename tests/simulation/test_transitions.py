"""The transition table of ARCHITECTURE.md, against what the machine does when anything may happen to it."""

import re
from collections import defaultdict
from pathlib import Path
from random import Random
from typing import TypeAlias

import pytest
from tests.simulation.test_machine import random_world

from symphony.pit.tracker.core.machine import IllegalTransition, Machine, Status
from symphony.pit.tracker.core.plan import make_plan

pytestmark = pytest.mark.slow

SEEDS, STEPS = 6_000, 300
OF_A_SLOT = (
    "finished", "skipped", "failed", "retry_due", "expanded", "opened", "expired", "parked", "queued",
    "granted", "suspended", "again", "cancelled",
)  # fmt: skip
OF_THE_RUN = ("cancel", "pause", "proceed")
OTHERS = "of another slot"
TABLE = re.compile(r"^\| `?([a-z_ ]+?)`? \| (.+) \|$", re.MULTILINE)

Cells: TypeAlias = dict[tuple[str, Status], set[Status]]
"""By event and status, the statuses that a slot may have afterwards; none where the event is refused."""


def documented() -> Cells:
    text = (Path(__file__).parents[2] / "ARCHITECTURE.md").read_text(encoding="utf-8")
    section = text.partition("## The machine's transitions")[2].partition("\n## ")[0]
    rows = [(name, cells.split(" | ")) for name, cells in TABLE.findall(section)]
    head = [Status[cell.upper()] for cell in rows[0][1]]
    found: Cells = {}
    for name, cells in rows[1:]:
        assert len(cells) == len(head), name
        for status, cell in zip(head, cells, strict=True):
            found[name, status] = {Status[word.upper()] for word in cell.split(", ") if word not in ("–", "")}
    return found


class Monkey:
    """A machine to which random events happen, those that cannot be included."""

    def __init__(self, seed: int, seen: Cells) -> None:
        self.rng, self.seen = Random(seed), seen
        world, inner = random_world(seed), random_world(seed + 10 * SEEDS)
        below = {
            i: inner.plan
            for i in range(len(world.plan.nodes))
            if i not in world.branches | world.fanouts and self.rng.random() < 0.2
        }
        self.branches = world.branches
        self.machine = Machine(
            make_plan(world.plan.nodes, world.plan.links, below), limit=self.rng.randrange(1, 5)
        )
        self.machine.begin()

    def step(self) -> None:
        """One event: a slot's own, sometimes the run's."""
        machine, before = self.machine, bytes(self.machine.status)
        slot, event = self.rng.randrange(len(before)), self.rng.choice(OF_A_SLOT)
        if own := self.rng.random() > 0.02:
            if not self.is_meant(event, slot):
                return
        else:
            event = self.rng.choice(OF_THE_RUN)
        try:
            self.happen(event, slot)
        except IllegalTransition:
            assert bytes(machine.status) == before  # it changes nothing
            assert not self.seen[event, Status(before[slot])], (event, Status(before[slot]).name)
            return
        if own:
            self.seen[event, Status(before[slot])].add(Status(machine.status[slot]))
        for number, status in enumerate(before):
            if machine.status[number] != status and not (own and number == slot):
                self.seen[OTHERS if own else event, Status(status)].add(Status(machine.status[number]))

    def is_meant(self, event: str, slot: int) -> bool:
        """Could a shell say this? It neither ends what still runs inside, nor opens what has no inside."""
        group, child = self.machine.groups.get(slot), self.machine.children.get(slot)
        busy = (group is not None and group.left > 0) or (child is not None and child.ended is None)
        if event == "expanded":
            return slot not in self.machine.element_of and group is None and child is None
        if event == "opened":
            inside = self.machine.frame(slot).plan.below
            return self.machine.local(slot) in inside and group is None and not busy
        return not busy or event in ("expired", "retry_due", "again")

    def happen(self, event: str, slot: int) -> None:
        machine, rng = self.machine, self.rng
        match event:
            case "finished":
                branches = self.branches if machine.frame(slot) is machine.root else ()
                machine.finished(slot, rng.choice(("true", "false")) if slot in branches else None)
            case "failed":
                machine.failed(slot, final=rng.random() < 0.3, handled=rng.random() < 0.9)
            case "expanded":
                machine.expanded(slot, rng.randrange(4))
            case "cancel" | "pause" | "proceed":
                getattr(machine, event)()
            case _:
                getattr(machine, event)(slot)


def test_the_table_says_what_each_event_makes_of_each_status() -> None:
    seen: Cells = defaultdict(set)
    for seed in range(SEEDS):
        monkey = Monkey(seed, seen)
        for _ in range(STEPS):
            if monkey.machine.done:
                break
            monkey.step()
    table = documented()
    assert {event for event, _ in table} == {*OF_A_SLOT, *OF_THE_RUN, OTHERS}
    names = {key: {status.name for status in found} for key, found in table.items()}
    assert {key: {status.name for status in seen.get(key, ())} for key in table} == names
