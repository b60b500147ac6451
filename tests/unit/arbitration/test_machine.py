"""Who gets what is scarce: scenes, and random histories against the invariants."""

from dataclasses import dataclass, field
from itertools import chain, combinations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.arbitration.core.decisions import ArbiterDecision, ArbiterInput, ClaimGranted, ClaimRefused
from symphony.pit.arbitration.core.machine import ArbiterMachine
from symphony.pit.arbitration.core.replaying import ArbiterStart, replay, told
from symphony.pit.arbitration.core.strategies import ArbiterPolicy, Strategy
from symphony.pit.arbitration.core.supplies import Claim, Needs, Supply
from symphony.ports.arbitration import ConflictKind

STRATEGIES: tuple[Strategy, ...] = ("fair", "priority", "round-robin", "collaborative", "queue")
CORES = Supply(name="cores", kind=ConflictKind.CPU, amount=4, unit="cores", setting="arbiter.cores")
MEMORY = Supply(name="memory", kind=ConflictKind.MEMORY, amount=100, unit="MB", setting="arbiter.memory_mb")
MODEL = Supply(name="model m", kind=ConflictKind.MODEL, amount=2, batch=3, unit="calls at once")
RATE = Supply(name="rate m", kind=ConflictKind.MODEL, amount=60, per_s=1.0, unit="requests a minute")
MONEY = Supply(
    name="money", kind=ConflictKind.COST, amount=100, waits=False, unit="USD", setting="budget.day.money"
)
ALL = (CORES, MEMORY, MODEL, RATE, MONEY)


@dataclass
class Scene:
    """An arbiter with four cores and the like, and who has been granted what so far."""

    policy: ArbiterPolicy = field(default_factory=ArbiterPolicy)
    supplies: tuple[Supply, ...] = ALL
    now_s: float = 0.0
    granted: list[str] = field(default_factory=list)
    refused: dict[str, ClaimRefused] = field(default_factory=dict)
    inputs: list[ArbiterInput] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.machine = ArbiterMachine(self.supplies, self.policy, now_s=0.0, record=self.inputs.append)
        self.reasons: dict[str, str] = {}
        self._count = 0

    def ask(
        self, user: str, *needs: tuple[str, int], priority: int = 0, run: str = "r", name: str = ""
    ) -> str:
        self._count += 1
        claim = Claim(
            id=name or f"{user}{self._count}",
            user=user,
            run=run,
            node="step",
            resource="m",
            priority=priority,
            needs=needs or (("cores", 4),),
        )
        self.hear(self.machine.ask(claim, self.now_s))
        return claim.id

    def release(self, claim: str, after_s: float = 0.0) -> list[str]:
        self.now_s += after_s
        before = len(self.granted)
        self.hear(self.machine.release(claim, self.now_s))
        return self.granted[before:]

    def hear(self, decisions: tuple[ArbiterDecision, ...]) -> None:
        for one in decisions:
            if isinstance(one, ClaimGranted):
                self.granted.append(one.id)
                self.reasons[one.id] = one.reason
            else:
                self.refused[one.id] = one


def test_what_is_free_is_granted_at_once_and_the_rest_when_it_comes_back() -> None:
    scene = Scene()
    first, second, third = (scene.ask("ada", ("cores", 2)) for _ in range(3))
    assert scene.granted == [first, second]
    assert scene.release(first) == [third]
    assert scene.release(first) == []  # twice does no harm


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_claim_larger_than_there_is_is_refused_at_once_and_the_setting_named(strategy: Strategy) -> None:
    scene = Scene(ArbiterPolicy(strategy=strategy))
    claim = scene.ask("ada", ("memory", 101))
    refused = scene.refused[claim]
    assert refused.reason == "it needs 101 MB, and there are only 100 MB"
    assert refused.setting == "arbiter.memory_mb"
    assert scene.machine.waiting() == ()


def test_a_large_claim_is_not_passed_by_small_ones_that_need_what_it_needs() -> None:
    scene = Scene()
    small = [scene.ask("ada", ("cores", 1)) for _ in range(4)]
    large = scene.ask("bob", ("cores", 4))
    later = [scene.ask("eve", ("cores", 1)) for _ in range(4)]
    for claim in small[:3]:
        assert scene.release(claim) == []
    assert scene.release(small[3]) == [large]
    assert scene.release(large) == later


def test_a_later_claim_passes_an_earlier_one_if_both_fit() -> None:
    scene = Scene()
    scene.ask("ada", ("cores", 3))
    large = scene.ask("bob", ("cores", 4))
    other = scene.ask("eve", ("memory", 50))
    assert scene.granted[-1] == other
    assert [claim.id for claim in scene.machine.waiting()] == [large]


def test_a_claim_that_was_promised_its_turn_is_not_passed_by_a_more_urgent_one() -> None:
    scene = Scene()
    holds = scene.ask("ada")
    promised = scene.ask("bob")
    urgent = scene.ask("eve", priority=9)
    patient = scene.ask("eve", priority=0)
    assert scene.release(holds) == [promised]
    assert scene.release(promised) == [urgent]
    assert scene.release(urgent) == [patient]


def test_the_higher_priority_goes_first_and_waiting_makes_up_for_it() -> None:
    scene = Scene(ArbiterPolicy(strategy="priority", ageing_s=10))
    holds = scene.ask("ada")
    promised = scene.ask("ada")
    low = scene.ask("ada", priority=0)
    scene.now_s = 25
    high = scene.ask("ada", priority=2)  # worth 20 s, and low has waited 25
    higher = scene.ask("ada", priority=3)
    assert [*scene.release(holds), *scene.release(promised), *scene.release(higher), *scene.release(low)] == [
        promised, higher, low, high,
    ]  # fmt: skip


def test_users_take_turns_whatever_they_have_waiting() -> None:
    scene = Scene(ArbiterPolicy(strategy="round-robin"))
    holds = scene.ask("ada")
    many = [scene.ask("ada") for _ in range(3)]
    one, other = scene.ask("bob"), scene.ask("eve")
    order = []
    for _ in range(5):
        (holds,) = scene.release(holds)
        order.append(holds)
    assert order == [many[0], one, other, many[1], many[2]]


def test_a_user_who_has_had_less_goes_first() -> None:
    scene = Scene()
    holds = scene.ask("ada")
    waiting = [scene.ask("ada"), scene.ask("ada")]
    one = scene.ask("bob")
    assert scene.release(holds, after_s=1) == waiting[:1]  # what was promised
    assert scene.release(waiting[0], after_s=1) == [one]
    assert "bob had had the least" in scene.reasons[one]


def test_runs_of_one_user_share_what_is_the_users() -> None:
    scene = Scene()
    holds = scene.ask("ada", run="long")
    many = [scene.ask("ada", run="long") for _ in range(4)]
    short = scene.ask("ada", run="short")
    assert scene.release(holds, after_s=1) == many[:1]
    assert scene.release(many[0], after_s=1) == [short]


def test_claims_with_the_same_needs_share_a_place_of_a_model() -> None:
    scene = Scene(ArbiterPolicy(strategy="collaborative"))
    holds = [scene.ask("ada", ("model m", 1)) for _ in range(2)]
    waiting = [scene.ask(user, ("model m", 1)) for user in ("ada", "bob", "eve", "kim")]
    together = scene.release(holds[0], after_s=1)
    assert len(together) == 3
    assert together[0] == waiting[0]
    assert "it shares a place of m with step of run r, for ada" in scene.reasons[together[1]]
    assert scene.release(together[0]) == []
    assert scene.release(together[1]) == []
    last = scene.release(together[2])  # the place comes back with the last of them
    assert [*together, *last] == [*together, *(one for one in waiting if one not in together)]


def test_what_fills_again_is_granted_when_enough_is_there() -> None:
    scene = Scene()
    scene.ask("ada", ("rate m", 60))
    later = scene.ask("bob", ("rate m", 2))
    assert scene.machine.due_s(0.0) == pytest.approx(2.0)
    scene.hear(scene.machine.tick(1.9))
    assert later not in scene.granted
    scene.hear(scene.machine.tick(2.0))
    assert scene.granted[-1] == later


def test_more_than_a_bucket_holds_is_let_through_when_it_is_full() -> None:
    scene = Scene()
    large = scene.ask("ada", ("rate m", 90))
    assert scene.granted == [large]
    scene.ask("ada", ("rate m", 1))
    assert scene.machine.due_s(0.0) == pytest.approx(31.0)


def test_money_that_is_spent_refuses_or_waits_as_the_supply_says() -> None:
    waiting = Supply(name="budget", kind=ConflictKind.COST, amount=100, unit="USD")
    scene = Scene(supplies=(*ALL, waiting))
    for supply in (MONEY, waiting):
        spent = Supply(**{**{name: getattr(supply, name) for name in supply.__struct_fields__}, "spent": 95})
        scene.hear(scene.machine.change(spent, 0.0))
    assert scene.refused[scene.ask("ada", ("money", 6))].reason == (
        "it may need 6 USD, and 95 USD of 100 USD are spent"
    )
    waits = scene.ask("ada", ("budget", 6))
    other = scene.ask("bob", ("budget", 5), ("cores", 4))
    assert scene.granted == [other]  # nothing is kept for what only a new budget can grant
    scene.hear(scene.machine.change(waiting, 1.0))
    assert scene.granted == [other, waits]


def test_a_supply_that_shrinks_refuses_what_waits_and_can_never_fit() -> None:
    scene = Scene()
    holds = scene.ask("ada")
    large, small = scene.ask("bob", ("cores", 4)), scene.ask("bob", ("cores", 2))
    scene.hear(scene.machine.change(Supply(name="cores", kind=ConflictKind.CPU, amount=2), 0.0))
    assert large in scene.refused
    assert scene.release(holds) == [small]


def test_what_another_arbiter_granted_counts_even_if_there_is_less() -> None:
    scene = Scene()
    for name in ("x", "y"):
        scene.machine.adopt(Claim(id=name, needs=(("cores", 4),)), 0.0)
    waits = scene.ask("ada", ("cores", 1))
    assert scene.release("x") == []
    assert scene.release("y") == [waits]


def test_a_claim_that_waits_says_why_and_behind_whom() -> None:
    scene = Scene()
    scene.ask("ada", ("model m", 2), name="first")
    scene.ask("bob", ("model m", 1))
    claim = Claim(id="new", user="eve", needs=(("model m", 1),))
    wait = scene.machine.why(claim)
    assert wait is not None
    assert wait.reason == (
        "model m: 2 calls at once of 2 calls at once are taken, latest by step of run r, for ada; "
        "1 other waits for it"
    )
    assert (wait.kind, wait.behind, wait.before) == (ConflictKind.MODEL, "first", 1)
    assert scene.machine.why(Claim(id="free", needs=(("cores", 1),))) is None


def test_a_claim_that_was_given_up_is_passed_over() -> None:
    scene = Scene()
    holds = scene.ask("ada")
    waiting = [scene.ask("bob", ("cores", 4)) for _ in range(3)]
    scene.release(waiting[0])
    scene.release(waiting[1])
    assert scene.release(holds) == [waiting[2]]


def test_the_window_slides_and_forgets() -> None:
    scene = Scene(ArbiterPolicy(window_s=12))
    one = scene.ask("ada", ("cores", 4))
    scene.release(one, after_s=6)
    two = scene.ask("bob", ("cores", 2))
    scene.now_s = 12
    fair = scene.machine.fairness(12.0)
    assert {user.user: pytest.approx(user.share, abs=0.05) for user in fair.users} == {
        "ada": 0.5,
        "bob": 0.25,
    }
    assert fair.gini == pytest.approx(1 / 6, abs=0.03)
    scene.release(two, after_s=24)
    (last,) = scene.machine.fairness(36.0).users
    assert (last.user, last.share) == ("bob", pytest.approx(0.5, abs=0.05))
    assert scene.machine.fairness(100.0).users == ()


# Random histories.

NEEDS: list[Needs] = [
    (("cores", 1),), (("cores", 4),), (("memory", 60),), (("cores", 2), ("memory", 30)), (("model m", 1),),
    (("model m", 2), ("cores", 1)), (("rate m", 20),), (("money", 30),), (("money", 60), ("model m", 1)), (),
]  # fmt: skip


@pytest.mark.parametrize("seed", range(60))
def test_no_history_grants_more_than_there_is_and_none_loses_a_claim(seed: int) -> None:
    rng = Random(seed)
    scene = Scene(ArbiterPolicy(strategy=STRATEGIES[seed % len(STRATEGIES)], ageing_s=rng.choice((0.5, 10))))
    machine, asked, over = scene.machine, list[str](), set[str]()
    for _ in range(300):
        scene.now_s += rng.choice((0, 0, 0.01, 1, 7))
        action = rng.random()
        if action < 0.5:
            user, needs = rng.choice("abc"), rng.choice(NEEDS)
            asked.append(scene.ask(user, *needs, priority=rng.randint(-2, 2), run=rng.choice("xy")))
        elif action < 0.9 and asked:
            claim = rng.choice(asked)
            over.add(claim)
            scene.release(claim)
        else:
            scene.hear(machine.tick(scene.now_s))
        for supply, free in machine.supplies():
            bound = supply.amount if supply.per_s else 0
            assert free >= -bound, f"seed {seed}: {supply.name}"
        assert len(scene.granted) == len(set(scene.granted)), f"seed {seed}"
    waiting = {claim.id for claim in machine.waiting()}
    assert waiting | set(scene.granted) | over | set(scene.refused) >= set(asked), f"seed {seed}"
    for claim in [claim.id for claim in machine.held()]:
        scene.release(claim)
    while machine.waiting():
        scene.now_s += 60
        before = len(machine.waiting())
        for claim in [claim.id for claim in machine.held()]:
            scene.release(claim)
        scene.hear(machine.tick(scene.now_s))
        assert len(machine.waiting()) < before, f"seed {seed}: something waits for ever"


@pytest.mark.parametrize("seed", range(20))
def test_the_log_of_inputs_replays_to_the_same_decisions(seed: int) -> None:
    rng = Random(seed)
    policy = ArbiterPolicy(strategy=STRATEGIES[seed % len(STRATEGIES)], weights={"a": 2.0})
    inputs = list[ArbiterInput]()
    machine = ArbiterMachine(ALL, policy, now_s=0.0, seed=seed, record=inputs.append)
    decisions, ids, now_s = list[ArbiterDecision](), list[str](), 0.0
    for number in range(200):
        now_s += rng.random() * 3
        claim = Claim(id=str(number), user=rng.choice("abc"), run=rng.choice("xy"), needs=rng.choice(NEEDS))
        action = rng.random()
        if action < 0.5:
            ids.append(claim.id)
            decisions += machine.ask(claim, now_s)
        elif action < 0.6:
            if machine.grant_at_once(claim, now_s):
                decisions += told(ArbiterMachine(now_s=0.0), inputs[-1])
        elif ids:
            decisions += machine.release(rng.choice(ids), now_s)
        machine.due_s(now_s)
        machine.fairness(now_s)
    start = ArbiterStart(now_s=0.0, seed=seed, policy=policy, supplies=ALL)
    assert replay(start, inputs) == decisions


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    """Claims on two supplies, of which some are held and some wait."""
    needs = st.lists(st.tuples(st.sampled_from(["cores", "memory"]), st.integers(1, 60)), max_size=2)
    drawn = draw(st.lists(needs, max_size=8))
    return [
        Claim(id=str(number), user=str(number % 3), needs=tuple(sorted(dict(need).items())))
        for number, need in enumerate(drawn)
    ]


@given(claims())
def test_no_conflict_is_missed(drawn: list[Claim]) -> None:
    """The oracle looks at every set of claims that wait, and whether it fits beside what is held."""
    supplies = (
        Supply(name="cores", kind=ConflictKind.CPU, amount=60),
        Supply(name="memory", kind=ConflictKind.MEMORY, amount=60),
    )
    machine = ArbiterMachine(supplies, now_s=0.0)
    for claim in drawn:
        machine.ask(claim, 0.0)
    held, waiting = machine.held(), machine.waiting()
    sets = chain.from_iterable(combinations(waiting, size) for size in range(1, len(waiting) + 1))
    expected = set[str]()
    for some in sets:
        for supply in supplies:
            wanted = sum(dict(claim.needs).get(supply.name, 0) for claim in some)
            taken = sum(dict(claim.needs).get(supply.name, 0) for claim in held)
            if wanted and taken + wanted > supply.amount:
                expected.add(supply.name)
    assert {conflict.supply for conflict in machine.contentions()} == expected


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_thousand_urgent_claims_for_one_thing_hold_up_nobody_who_needs_another(strategy: Strategy) -> None:
    supplies = (
        Supply(name="one", kind=ConflictKind.MODEL, amount=1),
        Supply(name="other", kind=ConflictKind.MODEL, amount=1),
    )
    machine = ArbiterMachine(supplies, ArbiterPolicy(strategy=strategy), now_s=0.0)
    for number in range(1_001):
        machine.ask(Claim(id=str(number), user="flood", priority=9, needs=(("one", 1),)), 0.0)
    assert [one.id for one in machine.ask(Claim(id="mine", user="ada", needs=(("other", 1),)), 1.0)] == [
        "mine"
    ]
