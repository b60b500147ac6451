"""Which models the next stages of a run need, and when that is told."""

import asyncio
from collections.abc import Mapping
from random import Random

import pytest

from symphony import Symphony
from symphony.pit.tracker.core.machine import FINAL, Status
from symphony.pit.tracker.engine.models_ahead import STAGES, needed
from symphony.testing import After, FakeClock, FakeModel, FakeModels, drive, fake_operator, workflow

DONE, GOING, PENDING = Status.SUCCEEDED, Status.RUNNING, Status.PENDING
CHAIN = [[], [0], [1], [2]]


def asks(**models: int) -> dict[int, frozenset[str]]:
    return {number: frozenset({name}) for name, number in models.items()}


def test_a_model_behind_what_runs_is_needed_next() -> None:
    assert needed(asks(a=1, b=2, c=3), CHAIN, [GOING, PENDING, PENDING, PENDING]) == {"a": 1, "b": 2}


def test_what_goes_on_needs_its_models_and_what_is_over_none() -> None:
    assert needed(asks(a=0, b=1), CHAIN, [DONE, Status.RETRYING, PENDING, PENDING]) == {"b": 1}


def test_the_last_of_those_before_it_decides() -> None:
    before: list[list[int]] = [[], [], [1], [0, 2]]
    assert needed(asks(a=3), before, [DONE, GOING, PENDING, PENDING]) == {"a": 2}


def test_nothing_is_foreseen_behind_a_person() -> None:
    assert needed(asks(a=1), CHAIN, [Status.WAITING, PENDING, PENDING, PENDING]) == {}


def test_a_model_that_two_nodes_ask_is_needed_when_the_first_does() -> None:
    models = {1: frozenset({"m"}), 2: frozenset({"m", "n"})}
    assert needed(models, CHAIN, [GOING, PENDING, PENDING, PENDING]) == {"m": 1, "n": 2}


@pytest.mark.parametrize("seed", range(200))
def test_stages_are_the_longest_way_from_what_goes_on(seed: int) -> None:
    """Against all ways through random graphs, one by one."""
    rng = Random(seed)
    size = rng.randrange(2, 9)
    before = [[other for other in range(node) if rng.random() < 0.4] for node in range(size)]
    status = [rng.choice([DONE, GOING, PENDING, Status.SKIPPED, Status.READY]) for _ in range(size)]
    for node in range(size):  # what waits for nothing goes on
        if status[node] == PENDING and all(status[other] >= FINAL for other in before[node]):
            status[node] = GOING

    def longest(node: int) -> int:
        """Nodes that must end one after the other before this one begins, itself included; 0: it is over."""
        if status[node] >= FINAL:
            return 0
        if status[node] != PENDING:
            return 1
        return 1 + max((longest(other) for other in before[node]), default=0)

    for node in range(size):
        stages = longest(node) if status[node] != PENDING else longest(node) - 1
        told = needed({node: frozenset({"m"})}, before, status)
        assert told == ({"m": stages} if 1 <= stages <= STAGES else {})


TWO_MODELS = """
    name: two
    nodes:
      look: {operator: test.look}
      first: {instrument: a, inputs: {prompt: "${{ look.result }}"}}
      second: {instrument: b, inputs: {prompt: "${{ first.text }}"}}
      third: {instrument: c, inputs: {prompt: "${{ second.text }}"}}
"""


def told_by(text: str, looking_s: float, answering_s: float) -> list[Mapping[str, int] | None]:
    """What a run said that it needs, on a clock of the test's own."""
    clock = FakeClock()
    models = FakeModels({name: FakeModel(After(answering_s, "yes")) for name in "abc"})
    infos = {name: fake.info(name) for name, fake in models.models.items()}
    look = fake_operator("test.look", After(looking_s, "seen"))

    async def whole() -> None:
        async with Symphony.open(
            operators=[look], memory=True, clock=clock, models=models, catalog=infos
        ) as symphony:
            handle = await symphony.start(workflow(text), {}, cache=False)
            await handle.result()

    drive(whole(), clock)
    assert len({run for run, _ in models.foreseen}) <= 1
    return [needs for _, needs in models.foreseen]


def test_a_run_tells_its_needs_as_it_goes_and_that_it_has_ended() -> None:
    assert told_by(TWO_MODELS, 60, 60) == [
        {"a": 1, "b": 2},
        {"a": 1, "b": 1, "c": 2},
        {"b": 1, "c": 1},
        {"c": 1},
        None,
    ]


def test_what_is_over_at_once_loads_nothing_ahead_and_is_forgotten() -> None:
    assert told_by(TWO_MODELS, 0.001, 0.001) == [None]


LOOP = """
    name: loop
    nodes:
      look: {operator: test.look}
      rounds:
        control: loop
        max_iterations: 2
        until: "iteration >= 1"
        after: [look]
        state: {n: "${{ 1 }}"}
        next: {n: "state.n + 1"}
        body:
          ask: {instrument: a, inputs: {prompt: "round ${{ state.n }}"}}
"""


def test_models_inside_a_graph_are_needed_as_long_as_it_goes_on() -> None:
    assert told_by(LOOP, 60, 60) == [{"a": 1}, None]


def test_a_run_without_models_tells_nothing() -> None:
    assert told_by("{name: none, nodes: {look: {operator: test.look}}}", 60, 60) == []


def test_a_run_that_is_cancelled_needs_nothing_more() -> None:
    clock = FakeClock()
    models = FakeModels({"a": FakeModel(After(1, "yes"))})
    look = fake_operator("test.look", After(3600, "seen"))
    text = """
        name: one
        nodes:
          look: {operator: test.look}
          first: {instrument: a, inputs: {prompt: "${{ look.result }}"}}
    """

    async def whole() -> None:
        infos = {"a": models.models["a"].info("a")}
        async with Symphony.open(
            operators=[look], memory=True, clock=clock, models=models, catalog=infos
        ) as symphony:
            handle = await symphony.start(workflow(text), {}, cache=False)
            asyncio.get_running_loop().call_later(60, handle.cancel)
            await handle.result()

    drive(whole(), clock)
    assert [needs for _, needs in models.foreseen] == [{"a": 1}, None]
