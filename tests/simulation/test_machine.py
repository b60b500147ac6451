"""Seeded simulation of the state machine: failures, retries, cancellations, crashes, restarts.

A simulated shell performs the machine's commands in random order and writes records as the
engine does; only what was flushed survives a crash. The seed stands in every failure.
"""

from dataclasses import dataclass, field
from random import Random

import pytest

from symphony.pit.tracker.core.machine import Command, Do, Status
from symphony.pit.tracker.core.outstanding import outstanding
from symphony.pit.tracker.core.plan import Join, OnFailure, Plan, PlanLink, PlanNode, make_plan
from symphony.pit.tracker.core.records import (
    UNHANDLED,
    BegunRecord,
    CancelledRecord,
    CancelRecord,
    ExpandedRecord,
    FailedRecord,
    FinishedRecord,
    GrantedRecord,
    QueuedRecord,
    Record,
    ResumedRecord,
    RetryDueRecord,
    SkippedRecord,
    StartedRecord,
    SuspendedRecord,
    decode_batch,
    encode_batch,
)
from symphony.pit.tracker.core.replay import RunReplay

SEEDS = range(400)
BRANCHES = ("true", "false")


@dataclass
class World:
    """What lies outside the machine, and outlives it: the disk and the effects."""

    rng: Random
    plan: Plan
    effects: frozenset[int]  # nodes that change the outside world and must not be repeated
    branches: frozenset[int]
    fanouts: frozenset[int]
    disk: list[bytes] = field(default_factory=list)
    begun: dict[str, int] = field(default_factory=dict)  # effects begun, by name and attempt
    finished: dict[str, int] = field(default_factory=dict)  # durable ends, by name
    crashes: int = 0


class Shell:
    """One life of the run's process."""

    def __init__(self, world: World, limit: int) -> None:
        self.world, self.rng = world, world.rng
        self.replay = RunReplay(world.plan, limit=limit)
        self.machine = self.replay.machine
        self.buffer: list[Record] = []
        self.todo: list[Command] = []
        self.running: set[int] = set()
        self.granted: set[int] = set()
        self.clock = 0.0
        recorded = [record for body in world.disk for record in decode_batch(body)]
        for record in recorded:
            self.replay.apply(record)
        if recorded:
            self.record(ResumedRecord(0, 0.0, 1))
            self.machine.proceed()
            self.todo = list(outstanding(self.machine))
        else:
            self.record(BegunRecord(0, 0.0, 1))
            self.todo = list(self.machine.begin())

    def queued(self) -> list[int]:
        return [slot for slot, status in enumerate(self.machine.status) if status == Status.QUEUED]

    def record(self, record: Record) -> None:
        self.replay.note(record)
        self.buffer.append(record)

    def flush(self) -> None:
        if self.buffer:
            self.world.disk.append(encode_batch(self.buffer))
            for record in self.buffer:
                if isinstance(record, FinishedRecord):
                    slot = record.slot
                    assert isinstance(slot, int)
                    name = self.machine.name(slot)
                    self.world.finished[name] = self.world.finished.get(name, 0) + 1
            self.buffer = []

    def step(self) -> None:
        """Do one thing that a real shell might do next."""
        if self.todo and (not self.running or self.rng.random() < 0.6):
            self.perform(self.todo.pop(self.rng.randrange(len(self.todo))))
        elif self.running:
            self.end(self.rng.choice(sorted(self.running)))
        else:
            self.grant()
        if self.rng.random() < 0.2:
            self.grant()
        held = sum(map(self.machine.holds, range(len(self.machine.status))))
        assert held <= self.machine.limit
        assert not any(map(self.machine.holds, self.queued()))
        if self.rng.random() < 0.2:
            self.flush()

    def perform(self, command: Command) -> None:
        slot, world = command.slot, self.world
        match command.do:
            case Do.START:
                if self.machine.status[slot] != Status.RUNNING:
                    return
                if self.rng.random() < 0.3 and slot not in self.granted and self.asks(slot):
                    self.record(QueuedRecord(slot, 0.0, "it", "operator", "others were first", 1))
                    self.todo += self.machine.queued(slot)
                    return
                self.granted.discard(slot)
                self.start(slot)
            case Do.RETRY:
                if self.machine.status[slot] == Status.RETRYING:
                    self.record(RetryDueRecord(slot, 0.0))
                    self.todo += self.machine.retry_due(slot)
            case Do.STOP:
                self.running.discard(slot)
                if self.machine.status[slot] < Status.SUCCEEDED:
                    self.record(CancelledRecord(slot, 0.0))
                    self.todo += self.machine.cancelled(slot)
            case Do.GATHER:
                if self.machine.status[slot] != Status.RUNNING:
                    return  # it was cancelled meanwhile
                self.gather(slot)
            case Do.END:
                self.flush()
        assert world.crashes >= 0

    def asks(self, slot: int) -> bool:
        """Only what works itself asks for a grant, and not what is in doubt."""
        fans_out = self.home(slot) in self.world.fanouts and slot not in self.machine.element_of
        return not fans_out and slot not in self.replay.announced

    def grant(self) -> None:
        """The arbiter grants somebody what it waits for."""
        queued = self.queued()
        if queued and not self.machine.paused:
            slot = self.rng.choice(queued)
            self.record(GrantedRecord(slot, 0.0, "its turn came"))
            self.granted.add(slot)
            self.todo += self.machine.granted(slot)

    def start(self, slot: int) -> None:
        world, local = self.world, self.home(slot)
        if local in world.fanouts and slot not in self.machine.element_of:
            count = 1 + local % 4
            self.record(ExpandedRecord(slot, 0.0, count))
            self.todo += self.machine.expanded(slot, count)
            return
        name = f"{self.machine.name(slot)}#{self.machine.attempts[slot]}"
        if local in world.effects:
            if slot in self.replay.announced:  # it was in flight at the crash: a person decides
                self.record(SuspendedRecord(slot, 0.0, ("in-doubt", "unknown", None)))
                self.todo += self.machine.suspended(slot)
                self.record(SkippedRecord(slot, 0.0, None))
                self.todo += self.machine.skipped(slot)
                return
            self.record(StartedRecord(slot, 0.0, self.machine.attempts[slot]))
            self.flush()
            world.begun[name] = world.begun.get(name, 0) + 1
        self.running.add(slot)

    def end(self, slot: int) -> None:
        self.running.discard(slot)
        if self.rng.random() < 0.2:
            final = self.rng.random() < 0.1
            self.record(FailedRecord(slot, 0.0, 0.0, ("failed", "told to", None), final))
            self.todo += self.machine.failed(slot, final=final)
            return
        taken = self.rng.choice(BRANCHES) if self.home(slot) in self.world.branches else None
        self.check_order(slot)
        self.record(FinishedRecord(slot, 0.0, 0.0, None, taken, None))
        self.todo += self.machine.finished(slot, taken)

    def gather(self, slot: int) -> None:
        """All elements have ended: so does the fan-out."""
        group = self.machine.groups[slot]
        if Status.FAILED not in self.machine.status[group.base : group.base + group.count]:
            self.record(FinishedRecord(slot, 0.0, 0.0, None, None, None))
            self.todo += self.machine.finished(slot)
            return
        spared = self.machine.node(slot).on_failure is OnFailure.FALLBACK
        ends = True if spared else UNHANDLED
        self.record(FailedRecord(slot, 0.0, 0.0, ("elements-failed", "some", None), ends))
        self.todo += self.machine.failed(slot, final=True, handled=spared)

    def home(self, slot: int) -> int:
        element = self.machine.element_of.get(slot)
        return slot if element is None else element[0].slot

    def check_order(self, slot: int) -> None:
        """Whatever a plain node waits for has ended."""
        home = self.home(slot)
        if self.world.plan.nodes[home].join is Join.FIRST:
            return
        for source, links in enumerate(self.world.plan.links):
            if any(link.target == home and not link.spare for link in links):
                assert self.machine.status[source] >= Status.SUCCEEDED

    def cancel(self) -> None:
        if not self.machine.done and self.machine.root.stopping is None:
            self.record(CancelRecord(0, 0.0))
            self.todo += self.machine.cancel()


def random_world(seed: int) -> World:
    rng = Random(seed)
    count = rng.randrange(1, 16)
    branches = frozenset(i for i in range(count) if rng.random() < 0.15)
    fanouts = frozenset(i for i in range(count) if i not in branches and rng.random() < 0.2)
    nodes: list[PlanNode] = []
    links: list[list[PlanLink]] = [[] for _ in range(count)]
    for i in range(count):
        on_failure = rng.choice([OnFailure.FAIL, OnFailure.FAIL, OnFailure.SKIP, OnFailure.VALUE])
        fallback = None
        if i + 1 < count and rng.random() < 0.15 and i not in branches:
            on_failure, fallback = OnFailure.FALLBACK, i + 1
        join = rng.choice([Join.ALL, Join.ALL, Join.ANY, Join.FIRST]) if i else Join.ALL
        nodes.append(
            PlanNode(
                name=f"n{i}",
                join=join,
                attempts=rng.randrange(1, 4),
                on_failure=on_failure,
                fallback=fallback,
                priority=rng.randrange(3),
                concurrency=rng.choice([None, 1, 2]),
                fail_fast=(seed + i) % 4 > 0,
                enabled=rng.random() > 0.05,
            )
        )
        sources = rng.sample(range(i), min(i, rng.randrange(0, 4)))
        if join is Join.FIRST and not sources and i:
            sources = [i - 1]
        for source in sources:
            if nodes[source].fallback == i:
                continue
            branch = rng.choice(BRANCHES) if source in branches else None
            links[source].append(PlanLink(i, branch=branch, soft=branch is None and rng.random() < 0.1))
        if not any(link.target == i for outgoing in links for link in outgoing):
            nodes[-1] = PlanNode(name=f"n{i}", attempts=2, on_failure=on_failure, fallback=fallback)
    for i, node in enumerate(nodes):
        if node.fallback is not None:
            links[i].append(PlanLink(node.fallback, spare=True))
    effects = frozenset(i for i in range(count) if i not in branches and rng.random() < 0.4)
    return World(rng, make_plan(nodes, links), effects, branches, fanouts)


@pytest.mark.parametrize("seed", SEEDS)
def test_every_run_ends_and_repeats_no_finished_node_whatever_happens(seed: int) -> None:
    world = random_world(seed)
    limit = world.rng.randrange(1, 6)
    shell = Shell(world, limit)
    for _ in range(5_000):
        if shell.machine.done and not shell.todo:
            break
        dice = world.rng.random()
        if dice < 0.02 and world.crashes < 20:
            world.crashes += 1
            shell = Shell(world, limit)  # everything not flushed is gone
        elif dice < 0.03:
            shell.cancel()
        else:
            shell.step()
    shell.flush()
    context = f"seed {seed}, {world.crashes} crashes"
    assert shell.machine.done, f"{context}: it did not end"
    assert all(Status(s) >= Status.SUCCEEDED for s in shell.machine.status), context
    assert all(count == 1 for count in world.finished.values()), f"{context}: a node finished twice"
    assert all(count == 1 for count in world.begun.values()), f"{context}: an effect began twice"


@pytest.mark.parametrize("seed", range(50))
def test_replaying_the_journal_builds_the_same_machine(seed: int) -> None:
    world = random_world(seed)
    shell = Shell(world, 3)
    for _ in range(5_000):
        if shell.machine.done and not shell.todo:
            break
        shell.step()
    shell.flush()
    again = Shell(world, 3)
    assert again.machine.status == shell.machine.status, f"seed {seed}"
    assert again.replay.nodes() == shell.replay.nodes(), f"seed {seed}"
