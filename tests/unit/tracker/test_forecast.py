"""A run before it begins: what would be reused, how long it may take, what it would change and cost."""

from decimal import Decimal
from pathlib import Path

import pytest

from symphony import Symphony, operator
from symphony.pit.tracker.insight.forecast import Past, forecast
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.outline import Outline
from symphony.ports.forecast import Forecast, PlannedNode
from symphony.ports.models import Usage
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value
from symphony.testing import FakeModel, FakeModels, workflow
from symphony.workflow.model import Workflow


@operator("forecast.upper", version="1.0.0", pure=True)
def upper(text: str) -> str:
    """In capitals."""
    return text.upper()


@operator("forecast.list", version="1.0.0", pure=True)
def listed(count: int) -> list[str]:
    """Some texts."""
    return [f"text {i}" for i in range(count)]


CHAIN = """
    name: Chain
    inputs: {count: {type: integer, default: 3}, skip: {type: boolean, default: false}}
    nodes:
      texts: {operator: forecast.list, inputs: {count: "${{ inputs.count }}"}}
      each: {operator: forecast.upper, for_each: texts.result, inputs: {text: "${{ item }}"}}
      first: {operator: forecast.upper, inputs: {text: "${{ each.result[0] }}"}}
      join: {operator: text.join, inputs: {parts: "${{ each.result }}"}}
      last: {operator: forecast.upper, inputs: {text: "${{ join.result }}"}}
      maybe: {operator: forecast.upper, when: inputs.skip, inputs: {text: a}}
"""


async def ran(home: Path, what: Workflow, **inputs: Value) -> None:
    async with Symphony.open(home, operators=[upper, listed]) as symphony:
        result = await (await symphony.start(what, inputs)).result()
        assert result.status == "succeeded"


def planned(home: Path, what: Workflow, **inputs: Value) -> Forecast:
    return Symphony.open(home, operators=[upper, listed]).plan(what, inputs)


def test_without_a_past_nothing_is_claimed_and_not_even_a_home_is_made(tmp_path: Path) -> None:
    plan = planned(tmp_path / "home", workflow(CHAIN))
    assert plan.took is None
    assert set(plan.unknown) == {"texts", "each", "first", "join", "last"}
    assert plan.nodes["texts"].reuse == "runs"
    assert plan.nodes["each"].reuse == "runs"  # there is no cache
    assert plan.nodes["maybe"].reuse == "skipped"
    assert plan.stages[0] == ("texts", "maybe")
    assert not (tmp_path / "home").exists()


async def test_what_is_in_the_cache_is_reused_and_what_follows_from_it_is_known(tmp_path: Path) -> None:
    made = workflow(CHAIN)
    await ran(tmp_path, made)
    plan = planned(tmp_path, made)
    assert {name: node.reuse for name, node in plan.nodes.items()} == {
        "texts": "reused", "each": "reused", "first": "reused", "join": "runs", "last": "unknown",
        "maybe": "skipped",
    }  # fmt: skip
    assert plan.nodes["last"].why == "its inputs depend on join"
    assert plan.nodes["each"].why == "3 elements"
    assert plan.took is not None
    assert plan.unknown == ()


async def test_of_a_fan_out_it_is_told_how_many_are_there(tmp_path: Path) -> None:
    made = workflow(CHAIN)
    await ran(tmp_path, made)
    only = "name: Only\nnodes: {texts: {operator: forecast.list, inputs: {count: 5}}}"
    await ran(tmp_path, workflow(only))
    plan = planned(tmp_path, made, count=5)
    assert (plan.nodes["each"].reuse, plan.nodes["each"].why) == ("partly", "3 of 5 elements")
    assert plan.nodes["first"].reuse == "unknown"


async def test_planning_leaves_the_home_as_it_was(tmp_path: Path) -> None:
    made = workflow(CHAIN)
    await ran(tmp_path, made)

    def state() -> dict[str, bytes]:
        kept = (p for p in tmp_path.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal")))
        return {str(p): p.read_bytes() for p in kept}

    before = state()
    planned(tmp_path, made)
    assert state() == before


def test_what_would_be_done_to_the_world_is_listed_without_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2-hunter2")
    plan = planned(
        tmp_path,
        workflow("""
            name: Effects
            env: [TOKEN]
            inputs: {to: {type: path, default: out.txt}}
            nodes:
              write: {operator: fs.write, inputs: {path: "${{ inputs.to }}", text: "${{ env.TOKEN }}"}}
              shell: {command: "echo hi", after: [write]}
              gate: {control: approval, message: "Sure?", after: [shell]}
              again:
                control: loop
                state: {n: 0}
                max_iterations: 2
                body: {push: {command: "git push"}}
                next: {n: state.n + 1}
                while: state.n < 2
              look: {operator: fs.glob, inputs: {root: "."}}
        """),
    )
    effects = {name: node.effects for name, node in plan.nodes.items()}
    assert effects["shell"] == ("runs: echo hi",)
    assert effects["gate"] == ("asks: Sure?",)
    assert effects["again"] == ("push runs: git push",)
    assert effects["look"] == ()
    (write,) = effects["write"]
    assert write.startswith("fs.write path=")
    assert "hunter2" not in str(plan)


def test_models_are_asked_what_they_would_use_up(tmp_path: Path) -> None:
    usage = Usage(calls=1, tokens_in=100, tokens_out=50, cost=Decimal("0.25"), currency="USD")
    fake = FakeModel("never asked", usage=usage)
    symphony = Symphony.open(tmp_path, models=FakeModels({"gpt": fake}), catalog={"gpt": fake.info("gpt")})
    plan = symphony.plan(
        workflow("""
            name: Ask
            nodes:
              one: {instrument: gpt, inputs: {prompt: hi}}
              two: {instrument: gpt, inputs: {prompt: "${{ one.text }}"}}
        """)
    )
    assert plan.usage is not None
    assert (plan.usage.tokens_in, plan.usage.tokens_out, plan.usage.cost) == (200, 100, Decimal("0.50"))
    assert plan.priced
    assert plan.nodes["one"].effects == ("asks the model gpt",)
    assert fake.calls == []


DIAMOND = workflow("""
    name: Diamond
    nodes:
      a: {command: "true"}
      b: {command: "true", after: [a]}
      c: {command: "true", after: [a]}
      d: {command: "true", after: [b, c]}
""")


def past_of(*runs: dict[str, float]) -> Past:
    past = Past()
    for durations in runs:
        at, events = 0.0, [RunEvent(seq=1, type="run.started", at=0.0)]
        for name, took in durations.items():
            at += took
            data: dict[str, Value] = {"duration_ms": took * 1000}
            events.append(RunEvent(seq=1, type="node.finished", at=at, node=name, data=data))
        past.add(History(events), Outline(DIAMOND))
    return past


def test_the_critical_path_is_the_longest_by_the_medians_and_its_range_is_told() -> None:
    past = past_of({"a": 1, "b": 5, "c": 2, "d": 1}, {"a": 1, "b": 7, "c": 90, "d": 1}, {"b": 9, "c": 3})
    outline = Outline(DIAMOND)
    nodes = {
        name: PlannedNode(
            name=name, kind="command", runs="command", reuse="runs", guess=past.guess(outline, name)
        )
        for name in DIAMOND.nodes
    }
    plan = forecast(outline, nodes)
    assert plan.path == ("a", "b", "d")
    assert plan.took is not None
    assert (plan.took.median_s, plan.took.low_s, plan.took.high_s) == (9, 7, 11)
    assert plan.took.samples == 2


def test_a_node_that_never_ran_is_judged_by_others_that_ran_the_same() -> None:
    past = past_of({"a": 2, "b": 4})
    other = Outline(
        workflow(
            "name: Other\nnodes:\n  x: {command: 'true'}\n  y: {operator: text.join, inputs: {parts: []}}"
        )
    )
    guess = past.guess(other, "x")
    assert guess is not None
    assert (guess.median_s, guess.same) == (3, False)
    assert past.guess(other, "y") is None


async def test_a_fan_out_that_runs_in_part_is_judged_by_its_own_elements(tmp_path: Path) -> None:
    what = workflow("""
        name: Part
        nodes:
          each: {operator: number.check, for_each: "[1, 0, 2]", fail_fast: false, inputs: {n: "${{ item }}"}}
    """)

    @operator("number.check", version="1.0.0")
    def check(n: int) -> float:
        """Fail for 0."""
        return 1 / n

    async with Symphony.open(tmp_path, operators=[check]) as symphony:
        handle = await symphony.start(what)
        assert (await handle.result()).status == "failed"
        plan = symphony.plan_rerun(handle.run_id)
    assert plan.nodes["each"].reuse == "partly"
    guess = plan.nodes["each"].guess
    assert guess is not None
    assert guess.samples == 2
    assert plan.unknown == ()
