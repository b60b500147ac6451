"""Runs whose models are real processes, more than the budget holds at one time: what is loaded when."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.contracts.test_models import spec
from tests.support.waiting import PATIENCE_S

from symphony import Symphony
from symphony.pit.pool import LocalModels, PoolBudget
from symphony.ports.pool import ModelChanged, ModelPhase, ModelPrewarmed, PoolEvent
from symphony.ports.runs import RunStatus
from symphony.sdk import Operator, operator
from symphony.testing import FakeModel, workflow

pytestmark = pytest.mark.slow

HELD_MB, DECLARED, TWO = 60, 70_000_000, 190_000_000
"""Each process holds so much and declares a little more; the budget has room for two, not for three."""


class Stage:
    """A pool with room for two models. `look` ends, and a text `until MODEL`, once that model is loaded."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder, self.heard, self.most = folder, list[PoolEvent](), 0
        self.look = self._operator()
        specs = dict.fromkeys(names, replace(spec("hold", str(HELD_MB)), size_bytes=DECLARED))
        self.models = LocalModels(specs, budget=PoolBudget(bytes_max=TWO), tell=self._hears)
        self.catalog = {name: FakeModel.embedding().info(name) for name in names}

    def _operator(self) -> Operator:
        folder = self.folder

        @operator("test.look", version="1.0.0")
        async def look(model: str) -> int:
            """Wait until `model` is loaded."""
            while not (folder / model).exists():  # noqa: ASYNC110
                await asyncio.sleep(0.005)
            return 1

        return look

    def _hears(self, event: PoolEvent) -> None:
        self.heard.append(event)
        if isinstance(event, ModelChanged):
            self.most = max(self.most, len(self.models.pids()))
            if event.after is ModelPhase.HOT:
                (self.folder / event.model).touch()
            elif event.after is ModelPhase.COLD:
                (self.folder / event.model).unlink()

    def loads(self, reason: str = "") -> list[str]:
        """The models that were loaded, in order; those only that were loaded for `reason`."""
        return [
            one.model
            for one in self.heard
            if isinstance(one, ModelChanged) and one.after is ModelPhase.WARMING and reason in one.reason
        ]

    def ahead(self, outcome: str) -> list[str]:
        """The models that were loaded ahead with this outcome."""
        return [one.model for one in self.heard if isinstance(one, ModelPrewarmed) and one.outcome == outcome]

    def cold(self) -> list[str]:
        """The models for which somebody waited while they were loaded."""
        return self.loads("asked for") + self.ahead("late")

    def wasted(self) -> list[str]:
        """The models that were loaded ahead for nothing."""
        return self.ahead("wasted")

    async def run(self, *nodes: str, home: Path | None = None) -> None:
        """Run a workflow of these nodes; it must succeed."""
        text = "name: Three\nnodes:\n" + "".join(f"  {node}\n" for node in nodes)
        async with (
            asyncio.timeout(PATIENCE_S),
            Symphony.open(
                home, memory=home is None, operators=[self.look], models=self.models, catalog=self.catalog
            ) as symphony,
        ):
            handle = await symphony.start(workflow(text), {})
            assert (await handle.result()).status is RunStatus.SUCCEEDED


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    (tmp_path / "loaded").mkdir()
    made = Stage(tmp_path / "loaded", "a", "b", "c")
    yield made
    async with asyncio.timeout(PATIENCE_S):
        await made.models.close()


def asks(stage: Stage, name: str, model: str, after: str, until: str = "") -> str:
    """A node that asks `model`, and goes on until another model is loaded."""
    text = f"until {stage.folder / until}" if until else "last"
    waits = f", after: [{after}]" if after else ""
    return f'{name}: {{instrument: {model}, inputs: {{texts: ["{text}"]}}{waits}}}'


async def test_three_models_with_room_for_two_are_all_loaded_before_they_are_asked(stage: Stage) -> None:
    await stage.run(
        "look: {operator: test.look, inputs: {model: a}}",
        asks(stage, "first", "a", "look", until="b"),
        asks(stage, "second", "b", "first", until="c"),
        asks(stage, "third", "c", "second"),
    )
    assert stage.loads() == ["a", "b", "c"]
    assert (stage.cold(), stage.wasted(), stage.most) == ([], [], 2)


async def test_what_no_operator_comes_before_is_cold_and_nothing_else_is(stage: Stage) -> None:
    await stage.run(
        asks(stage, "first", "a", "", until="b"),
        asks(stage, "second", "b", "first", until="c"),
        asks(stage, "third", "c", "second", until="a"),
        asks(stage, "fourth", "a", "third", until="b"),
        asks(stage, "fifth", "b", "fourth"),
    )
    assert stage.loads() == ["a", "b", "c", "a", "b"]
    assert (stage.cold(), stage.wasted(), stage.most) == (["a"], [], 2)


async def test_of_two_that_work_at_once_the_first_that_ends_makes_room_for_what_follows(stage: Stage) -> None:
    await stage.run(
        "look: {operator: test.look, inputs: {model: a}}",
        "also: {operator: test.look, inputs: {model: b}}",
        asks(stage, "short", "a", "look, also"),
        asks(stage, "long", "b", "look, also", until="c"),
        asks(stage, "last", "c", "short, long"),
    )
    assert stage.loads()[2:] == ["c"]
    assert (stage.cold(), stage.wasted(), stage.most) == ([], [], 2)


async def test_three_at_once_with_room_for_two_wait_for_one(stage: Stage) -> None:
    await stage.run(
        "look: {operator: test.look, inputs: {model: a}}",
        "also: {operator: test.look, inputs: {model: b}}",
        *(asks(stage, f"ask_{model}", model, "look, also") for model in "abc"),
    )
    assert (stage.cold(), stage.wasted(), stage.most) == (["c"], [], 2)


async def test_a_run_whose_results_are_cached_starts_no_model(tmp_path: Path) -> None:
    for number, loaded in enumerate((["a", "b", "c"], [])):
        (tmp_path / f"{number}").mkdir()
        stage = Stage(tmp_path / f"{number}", "a", "b", "c")
        await stage.run(
            *(
                f'ask_{model}: {{instrument: {model}, inputs: {{texts: ["x"]}}, after: [{after}]}}'
                for model, after in (("a", ""), ("b", "ask_a"), ("c", "ask_b"))
            ),
            home=tmp_path / "home",
        )
        assert (stage.loads(), stage.models.pids()) == (loaded, {})
        await stage.models.close()
