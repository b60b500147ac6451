"""Whole days of an arbiter in seconds, under loads that want to starve others."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random

import pytest

from symphony.pit.arbitration.core.decisions import ArbiterDecision, ClaimGranted
from symphony.pit.arbitration.core.machine import ArbiterMachine
from symphony.pit.arbitration.core.strategies import ArbiterPolicy, Strategy
from symphony.pit.arbitration.core.supplies import Claim, Supply
from symphony.pit.arbitration.core.users import QUANTUM_S
from symphony.pit.arbitration.core.waits import longest_turn_s, longest_wait_s
from symphony.ports.arbitration import ConflictKind


@dataclass(frozen=True, slots=True)
class Job:
    """A claim that comes at `at_s` and is held for `lasts_s` once it is granted."""

    at_s: float
    user: str
    lasts_s: float
    cores: int = 1
    priority: int = 0
    run: str = "r"


@dataclass
class Day:
    """What became of jobs: their waits, the order in which they were granted, and share-seconds by user."""

    waits_s: dict[int, float] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)
    had: dict[str, float] = field(default_factory=dict)


def day(
    jobs: Sequence[Job], *, cores: int = 4, grants_max: int = 0, policy: ArbiterPolicy | None = None
) -> Day:
    """Let the jobs come and go until all have gone, or so many have been granted."""
    supply = Supply(name="cores", kind=ConflictKind.CPU, amount=cores)
    machine = ArbiterMachine((supply,), policy or ArbiterPolicy(), now_s=0.0)
    result, events = Day(), list[tuple[float, int, bool]]()
    for number, job in enumerate(jobs):
        heappush(events, (job.at_s, number, False))

    def hear(decisions: Sequence[ArbiterDecision], now_s: float) -> None:
        for one in decisions:
            assert isinstance(one, ClaimGranted)
            number = int(one.id)
            job = jobs[number]
            result.waits_s[number] = now_s - job.at_s
            result.order.append(number)
            result.had[job.user] = result.had.get(job.user, 0.0) + job.cores * job.lasts_s
            heappush(events, (now_s + job.lasts_s, number, True))

    while events and not 0 < grants_max <= len(result.order):
        now_s, number, over = heappop(events)
        job = jobs[number]
        if over:
            hear(machine.release(str(number), now_s), now_s)
            continue
        claim = Claim(
            id=str(number), user=job.user, run=job.run, priority=job.priority, needs=(("cores", job.cores),)
        )
        hear(machine.ask(claim, now_s), now_s)
    assert grants_max or len(result.order) == len(jobs)
    return result


FAIR: tuple[Strategy, ...] = ("fair", "collaborative")


@pytest.mark.parametrize("strategy", [*FAIR, "round-robin"])
@pytest.mark.parametrize("seed", range(2))
def test_one_request_among_ten_thousand_of_another_user_waits_for_a_turn(
    strategy: Strategy, seed: int
) -> None:
    rng = Random(seed)
    flood = [Job(0.0, "flood", rng.uniform(0.5, 1.0)) for _ in range(10_000)]
    one = Job(rng.uniform(1, 1000), "one", 1.0)
    result = day([*flood, one], grants_max=7_000, policy=ArbiterPolicy(strategy=strategy))
    bound = longest_wait_s(held_s=1.0 + QUANTUM_S, at_once=4, others=[1.0], ahead=False)
    assert result.waits_s[10_000] <= bound, f"seed {seed}"
    assert bound < 7.1  # of 1,875 s that the flood takes


@pytest.mark.parametrize("strategy", FAIR)
@pytest.mark.parametrize("seed", range(3))
def test_a_flood_of_urgent_short_requests_starves_nobody(strategy: Strategy, seed: int) -> None:
    rng = Random(seed)
    policy = ArbiterPolicy(strategy=strategy, ageing_s=2.0)
    flood = [Job(n * 0.02, rng.choice("ab"), 0.1, priority=9) for n in range(8_000)]  # all there is, and more
    modest = [Job(rng.uniform(0, 60), "modest", 0.1, priority=0, cores=rng.choice((1, 4))) for _ in range(5)]
    result = day([*flood, *modest], grants_max=6_000, policy=policy)
    bound = longest_wait_s(
        held_s=0.1 + QUANTUM_S, at_once=4, ageing_s=2.0, levels=9, before=4, others=[1.0, 1.0]
    )
    for number in range(8_000, 8_005):
        assert result.waits_s[number] <= bound, f"seed {seed}"


@pytest.mark.parametrize("strategy", [*FAIR, "round-robin", "priority", "queue"])
@pytest.mark.parametrize("seed", range(3))
def test_a_huge_request_among_small_ones_is_served(strategy: Strategy, seed: int) -> None:
    rng = Random(seed)
    small = [Job(n * 0.05, f"user{n % 5}", rng.uniform(0.2, 1.0)) for n in range(2_000)]
    at_s = rng.uniform(5, 20)
    result = day([*small, Job(at_s, "huge", 1.0, cores=4)], policy=ArbiterPolicy(strategy=strategy))
    held_s = 1.0 + QUANTUM_S
    bound = {
        "priority": held_s * (1 + sum(job.at_s <= at_s for job in small)),
        "queue": held_s * (1 + sum(job.at_s <= at_s for job in small)),
        "round-robin": longest_turn_s(held_s=held_s, others=5),
    }.get(strategy, longest_wait_s(held_s=held_s, at_once=4, others=[1.0] * 5))
    assert result.waits_s[2_000] <= bound, f"seed {seed}"


@pytest.mark.parametrize("strategy", [*FAIR, "round-robin"])
@pytest.mark.parametrize("seed", range(15))
def test_no_claim_waits_longer_than_the_bound(strategy: Strategy, seed: int) -> None:
    """Random loads beyond what there is: sizes, durations, priorities, runs and weights of every kind."""
    rng = Random(seed)
    weights = {user: rng.choice((0.5, 1.0, 3.0)) for user in "abcd"}
    ageing_s, cores = rng.choice((0.3, 2.0)), rng.choice((1, 4, 7))
    policy = ArbiterPolicy(strategy=strategy, ageing_s=ageing_s, weights=weights)
    many = rng.choice("abcd")
    jobs = [
        Job(
            rng.choice((0.0, rng.uniform(0, 60))),
            many if rng.random() < 0.5 else rng.choice("abcd"),
            rng.choice((0.0, 0.01, rng.uniform(0, 2))),
            cores=rng.choice((1, 1, cores, rng.randint(1, cores))),
            priority=rng.randint(0, 3),
            run=rng.choice("xy"),
        )
        for _ in range(400)
    ]
    result = day(jobs, cores=cores, policy=policy)
    for number, waited_s in result.waits_s.items():
        job = jobs[number]
        before = sum(
            (one.user, one.run) == (job.user, job.run)
            and (one.at_s, n) < (job.at_s, number)
            and one.at_s + result.waits_s[n] + one.lasts_s > job.at_s
            for n, one in enumerate(jobs)
        )
        others = [weights[user] for user in "abcd" if user != job.user]
        shared = {"held_s": 2.0 + QUANTUM_S, "ageing_s": ageing_s}
        levels = 3 - job.priority
        if strategy == "round-robin":
            bound = longest_turn_s(**shared, levels=levels, before=before, runs=2, others=3)
        else:
            bound = longest_wait_s(
                **shared, at_once=cores, levels=levels, before=before, runs=2,
                weight=weights[job.user], others=others,
            )  # fmt: skip
        assert waited_s <= bound, f"seed {seed}, job {number}"


@pytest.mark.parametrize("seed", range(10))
def test_shares_differ_from_the_weights_by_less_than_a_tenth_over_a_thousand_grants(seed: int) -> None:
    rng = Random(seed)
    weights = {"a": 1.0, "b": 2.0, "c": 4.0, "d": 1.0}
    jobs = [
        Job(0.0, user, rng.uniform(0.05, 1.0) * (3.0 if user == "d" else 1.0), cores=2 if user == "b" else 1)
        for user in weights
        for _ in range(1_000)
    ]
    result = day(jobs, grants_max=1_000, policy=ArbiterPolicy(weights=weights))
    total = sum(result.had.values())
    for user, weight in weights.items():
        due = weight / sum(weights.values())
        assert abs(result.had[user] / total - due) < 0.1 * due, f"seed {seed}: {user}"


def test_users_with_different_bottlenecks_get_equal_dominant_shares() -> None:
    """The example of Ghodsi et al.: 9 CPUs, 18 GB; tasks of <1 CPU, 4 GB> and of <3 CPUs, 1 GB>."""
    supplies = (
        Supply(name="cores", kind=ConflictKind.CPU, amount=9),
        Supply(name="memory", kind=ConflictKind.MEMORY, amount=18),
    )
    machine = ArbiterMachine(supplies, now_s=0.0)
    machine.ask(Claim(id="all", user="c", needs=(("cores", 9), ("memory", 18))), 0.0)
    for number in range(10):
        machine.ask(Claim(id=f"a{number}", user="a", needs=(("cores", 1), ("memory", 4))), 0.0)
        machine.ask(Claim(id=f"b{number}", user="b", needs=(("cores", 3), ("memory", 1))), 0.0)
    machine.release("all", 1.0)
    held = [claim.id[0] for claim in machine.held()]
    assert (held.count("a"), held.count("b")) == (3, 2)
