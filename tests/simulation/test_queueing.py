"""Seeded simulation of whole runs whose steps wait for an arbiter, that is killed with them or refuses.

The runs are those of `test_engine`, with its crashes, stops, pauses and answers.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from random import Random

import pytest
from tests.simulation.test_engine import SEEDS, Story, luck, replayed, tell
from tests.support.arbiters import Turns

from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.records import (
    GrantedRecord,
    QueuedRecord,
    Record,
    StartedRecord,
    SuspendedRecord,
)
from symphony.ports.arbiter import Arbiter, Grant, ResourceRefused, ResourceRequest

pytestmark = pytest.mark.slow

LIMIT = 3


class Moody(Turns):
    """Has few places, of which others take some for a while; refuses some steps for good."""

    def __init__(self, rng: Random, seed: int, *, refuses: bool) -> None:
        super().__init__(places=rng.choice([1, 1, 1, 2]))
        self._rng, self._seed, self._refuses = rng, seed, refuses
        self.granted_to: list[str] = []

    def try_acquire(self, request: ResourceRequest) -> Grant | None:
        self._judge(request)
        if self._rng.random() < 0.5:
            self._disturb()
        return super().try_acquire(request)

    async def acquire(self, request: ResourceRequest) -> Grant:
        self._judge(request)
        for _ in range(self._rng.choice([0, 0, 1, 5])):
            await asyncio.sleep(0)
        return await super().acquire(request)

    def _judge(self, request: ResourceRequest) -> None:
        short = request.resource == "sim.plain"  # asks only where it does not go with others, in a batch
        if self._refuses and not short and luck(self._seed, "refused", request.node) % 9 == 0:
            raise ResourceRefused(f"{request.node} is never granted anything")

    def _disturb(self) -> None:
        """Somebody else takes a place, for a few turns of the loop."""
        grant = super().try_acquire(ResourceRequest(run="others", node="other", resource="other"))
        if grant is not None:
            asyncio.get_running_loop().call_later(0.001, self.release, grant)


class Watch:
    """Sees whether steps run without a grant, or more at once than have places."""

    def __init__(self) -> None:
        self.lives: list[Moody] = []
        self.running: Counter[str] = Counter()
        self.most = 0
        self.faults: list[str] = []

    def arbiter(self, seed: int, *, refuses: bool) -> Callable[[Random], Arbiter]:
        """Return what makes the arbiter of each life."""

        def made(rng: Random) -> Moody:
            self.running.clear()
            self.lives.append(Moody(rng, seed, refuses=refuses))
            return self.lives[-1]

        return made

    def see(self, node: str, begins: bool) -> None:
        """A step begins, or has ended."""
        self.running[node] += 1 if begins else -1
        if not begins:
            return
        self.most = max(self.most, self.running.total())
        held = self.lives[-1].held.values()
        if not any(grant.request.node == node for grant in held):
            self.faults.append(f"{node} ran without a grant")
        if self.running.total() > len(held):
            self.faults.append(f"{node} ran, and more steps than grants")

    def check(self, story: Story, context: str) -> None:
        """Each grant was given back once, and nothing is in doubt that was not granted."""
        assert not self.faults, f"{context}: {self.faults[:3]}"
        assert self.most <= LIMIT, context
        for arbiter in self.lives:
            ours = {grant.id for grant in arbiter.granted if grant.request.run != "others"}
            assert not ours & arbiter.held.keys(), f"{context}: a grant was kept"
            assert arbiter.twice == 0, f"{context}: a grant was given back twice"
            assert not arbiter.waiting, f"{context}: a request was left"
        last: dict[int, Record] = {}
        for record in story.disk.kept:
            if isinstance(record, SuspendedRecord):
                assert isinstance(last[record.slot], StartedRecord), f"{context}: in doubt, and never began"
            elif isinstance(record, QueuedRecord | GrantedRecord | StartedRecord):
                last[record.slot] = record


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_waits_for_grants_ends_as_one_that_need_not_whatever_is_killed(seed: int) -> None:
    _, calm = tell(seed, calm=True)
    watch = Watch()
    arbiter = watch.arbiter(seed, refuses=False)
    story, storm = tell(seed, calm=False, arbiter=arbiter, watch=watch.see)
    context = f"seed {seed}, {story.lives} lives"
    assert calm is not None, context
    assert storm is not None, context
    watch.check(story, context)
    if not story.skipped:
        assert (storm.status, storm.outputs) == (calm.status, calm.outputs), context
    replay = replayed(story.prepared, story.disk)
    assert replay.nodes() == storm.nodes, context
    assert not replay.machine.status.count(Status.QUEUED), context


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_that_is_refused_some_grants_ends_alike_in_calm_and_in_a_storm(seed: int) -> None:
    one, other = Watch(), Watch()
    calm_story, calm = tell(seed, calm=True, arbiter=one.arbiter(seed, refuses=True), watch=one.see)
    story, storm = tell(seed, calm=False, arbiter=other.arbiter(seed, refuses=True), watch=other.see)
    context = f"seed {seed}, {story.lives} lives"
    assert calm is not None, context
    assert storm is not None, context
    one.check(calm_story, context)
    other.check(story, context)
    if not story.skipped:
        assert (storm.status, storm.outputs) == (calm.status, calm.outputs), context


def test_the_stories_have_what_they_are_about() -> None:
    """Steps wait in them, in many lives, and some are refused."""
    queued = started = lives = refused = 0
    for seed in range(30):
        watch = Watch()
        story, result = tell(seed, calm=False, arbiter=watch.arbiter(seed, refuses=True), watch=watch.see)
        queued += sum(isinstance(record, QueuedRecord) for record in story.disk.kept)
        started += sum(isinstance(record, StartedRecord) for record in story.disk.kept)
        lives += story.lives
        assert result is not None
        refused += sum(
            node.error is not None and node.error.code == "resource-refused" for node in result.nodes.values()
        )
    assert queued > 50
    assert started > 50
    assert lives > 50
    assert refused > 3
