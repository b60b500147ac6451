"""Runs that want one model take turns, whatever each of them asks for at once."""

from random import Random
from time import process_time

import pytest

from symphony.pit.pool.core.actions import GrantLease, LeaseRequest, PoolAction
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.entries import AGEING_S
from symphony.pit.pool.core.machine import PoolMachine

SERVE_S = 2.0


class Line:
    """A model that serves one call after the other, and who got it."""

    def __init__(self, slots: int = 1) -> None:
        policy = PoolPolicy(markov=False, histogram=False)
        model = PooledModel(name="m", size_bytes=1, slots=slots)
        self.pool = PoolMachine([model], PoolBudget(bytes_max=1), policy, now_s=0.0)
        self.now_s, self.served = 0.0, list[str]()
        self.holding: list[str] = []
        self._heard(self.pool.warm("m", 0.0))
        self._heard(self.pool.tick(0.0))
        self._heard(self.pool.ready("m", 0.0))

    def ask(self, lease: str, run: str, priority: int = 0) -> None:
        request = LeaseRequest(lease=lease, model="m", run=run, priority=priority)
        self._heard(self.pool.acquire(request, self.now_s))

    def serve(self) -> None:
        """The call that has been served for longest ends."""
        self.now_s += SERVE_S
        self._heard(self.pool.release(self.holding.pop(0), self.now_s))

    def _heard(self, actions: tuple[PoolAction, ...]) -> None:
        for action in actions:
            if isinstance(action, GrantLease):
                self.holding.append(action.lease)
                self.served.append(action.lease)


def test_the_single_call_of_a_run_is_next_after_ten_thousand_of_another() -> None:
    line = Line()
    for number in range(10_000):
        line.ask(f"many {number}", "many")
    for _ in range(3):
        line.serve()
    line.ask("one", "single")
    line.serve()
    assert line.served[-1] == "one"


def test_a_run_that_asks_again_and_again_takes_turns_with_one_that_asks_for_all_at_once() -> None:
    line = Line()
    for number in range(100):
        line.ask(f"many {number}", "many")
    line.ask("one 0", "one")
    for number in range(1, 20):
        while line.served[-1] != f"one {number - 1}":
            line.serve()
        line.serve()
        line.ask(f"one {number}", "one")
    first = line.served.index("one 0")
    turns = [lease.split()[0] for lease in line.served[first:]]
    assert turns[:30] == ["one", "many"] * 15


@pytest.mark.parametrize("slots", [1, 3])
def test_runs_of_one_priority_are_served_in_turn(slots: int) -> None:
    line = Line(slots)
    for run in ("a", "b", "c"):
        for number in range(50):
            line.ask(f"{run} {number}", run)
    while line.holding:
        line.serve()
    turns = [lease.split()[0] for lease in line.served]
    after = turns[slots:]  # the first ones came to an empty line
    for at in range(0, len(after) - 3 * slots, 3):
        counts = [after[:at].count(run) for run in "abc"]
        assert max(counts) - min(counts) <= slots
    assert [lease for lease in line.served if lease.startswith("b")] == [f"b {n}" for n in range(50)]


def test_a_call_that_is_given_up_leaves_its_place_to_the_next_of_its_run() -> None:
    line = Line()
    line.ask("held", "other")
    line.ask("a 0", "a")
    line.ask("a 1", "a")
    line.now_s += 1
    line.ask("b 0", "b")
    line.pool.release("a 0", line.now_s)
    line.serve()
    assert line.served[-1] == "a 1"


def test_waiting_makes_up_for_priority_between_runs() -> None:
    line = Line()
    line.ask("held", "other")
    for number in range(3):
        line.ask(f"low {number}", "low", priority=0)
    line.now_s += AGEING_S + 1
    line.ask("high", "high", priority=1)
    line.serve()
    line.serve()
    line.serve()
    assert line.served[1:] == ["low 0", "high", "low 1"]


@pytest.mark.parametrize("seed", range(20))
def test_every_call_is_served_once_and_no_run_waits_for_more_than_one_call_of_each_other(seed: int) -> None:
    rng = Random(seed)
    line, asked = Line(), set[str]()
    runs = [f"run{n}" for n in range(rng.randrange(2, 6))]
    for step in range(400):
        run = rng.choice(runs)
        lease = f"{run} {step}"
        asked.add(lease)
        line.ask(lease, run)
        if rng.random() < 0.3:
            line.serve()
    since: dict[str, int] = {}
    while line.holding:
        line.serve()
        if line.holding:
            waiting = {one.request.run for one in line.pool._queue.competing()}
            run = line.served[-1].split()[0]
            since = {other: since.get(other, 0) + 1 for other in waiting if other != run and other}
            assert max(since.values(), default=0) < len(runs) + 1, f"seed {seed}"
    assert sorted(line.served) == sorted(asked), f"seed {seed}"


def took_s(calls: int) -> float:
    """Seconds of processor time that so many waiting calls cost, each from its question to its end."""
    line = Line()
    began_s = process_time()
    for number in range(calls):
        line.ask(f"many {number}", "many")
    while line.holding:
        line.serve()
    return process_time() - began_s


def test_a_call_costs_about_the_same_however_many_others_wait() -> None:
    few_s = min(took_s(500) for _ in range(3))
    assert took_s(5_000) < 4 * 10 * few_s
