"""Histories, summaries and outlines, made of events."""

import asyncio
from decimal import Decimal

import pytest
from tests.support.fakes import event

from symphony import Symphony, WorkflowBuilder, operator
from symphony.pit.tracker.core.lazy_nodes import LazyNodes
from symphony.pit.tracker.core.names import folded, parent_of
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.replay import INTERRUPTED, RunReplay
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.metrics import measure
from symphony.pit.tracker.insight.outline import Outline, kind_of
from symphony.pit.tracker.insight.summary import summarise
from symphony.ports.insight import Overview
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.ports.values import Value
from symphony.testing import fake_operator, run, workflow
from symphony.workflow import loads

USED: Value = {"calls": 1, "tokens_in": 5, "cost": "0.5", "currency": "USD"}
FAILED: Value = {"code": "odd", "message": "it was odd"}


def test_a_node_that_was_retried_has_an_attempt_each() -> None:
    history = History([
        event(10, "run.started"),
        event(11, "node.started", "a", attempt=1),
        event(13, "node.failed", "a", duration_ms=2000.0, error=FAILED),
        event(15, "node.retrying", "a"),
        event(16, "node.started", "a", attempt=2),
        event(20, "node.finished", "a", duration_ms=4000.0),
        event(21, "run.finished", status="succeeded"),
    ])  # fmt: skip
    step = history.steps["a"]
    assert [(a.started_at, a.finished_at, a.error) for a in step.attempts] == [
        (11, 13, "odd"),
        (16, 20, None),
    ]
    assert (step.status, step.retries, step.attempts[1].ready_at) == (NodeStatus.SUCCEEDED, 1, 15)
    assert history.took_s == 11
    summary = summarise(history)
    assert (summary.retries, summary.retried, summary.slowest) == (1, ("a",), (("a", 6.0),))


def test_pure_nodes_leave_no_start_and_their_durations_tell_it() -> None:
    history = History([event(1, "run.started"), event(5, "node.finished", "a", duration_ms=500.0)])
    assert [(a.started_at, a.took_s) for a in history.steps["a"].attempts] == [(4.5, 0.5)]


def test_an_attempt_whose_process_died_ends_with_what_was_last_heard_and_is_no_retry() -> None:
    history = History([
        event(1, "run.started"),
        event(2, "node.started", "a", attempt=1),
        event(100, "run.resumed"),
        event(101, "node.started", "a", attempt=1),
        event(102, "node.finished", "a", duration_ms=1000.0),
    ])  # fmt: skip
    step = history.steps["a"]
    assert [(a.finished_at, a.error) for a in step.attempts] == [(2, INTERRUPTED), (102, None)]
    assert step.retries == 0


def test_an_attempt_whose_process_was_stopped_ends_then_and_its_node_does_not() -> None:
    history = History([
        event(1, "run.started"),
        event(2, "node.started", "a", attempt=1),
        event(50, "run.interrupted", signal="SIGTERM"),
    ])  # fmt: skip
    step = history.steps["a"]
    assert [(a.finished_at, a.error) for a in step.attempts] == [(50, INTERRUPTED)]
    assert (step.status, step.finished_at) == (NodeStatus.RUNNING, None)
    assert history.status is RunStatus.INTERRUPTED
    for more in (event(100, "run.resumed"), event(101, "node.started", "a", attempt=1)):
        history.add(more)
    assert [(a.finished_at, a.error) for a in step.attempts] == [(50, INTERRUPTED), (None, None)]
    assert (history.status, step.retries) == (RunStatus.RUNNING, 0)


def test_a_node_is_ready_when_the_last_that_it_waited_for_has_ended() -> None:
    history = History([
        event(1, "run.started"),
        event(5, "node.finished", "a", duration_ms=1.0),
        event(7, "node.finished", "b", duration_ms=1.0),
        event(10, "node.started", "c", attempt=1),
    ])  # fmt: skip
    assert history.ready_at(history.steps["c"], ["a", "b"]) == 7
    assert history.ready_at(history.steps["a"], []) == 1


def test_time_without_an_owner_is_no_waiting() -> None:
    history = History([
        event(1, "run.started"),
        event(2, "node.finished", "a", duration_ms=1.0),
        event(500, "run.resumed"),
        event(501, "node.started", "b", attempt=1),
    ])  # fmt: skip
    assert history.ready_at(history.steps["b"], ["a"]) == 500


def test_elements_are_ready_when_their_fan_out_was_expanded() -> None:
    history = History([
        event(1, "run.started"),
        event(4, "node.expanded", "each", count=1),
        event(6, "node.started", "each[0]", attempt=1),
        event(9, "node.finished", "each[0]", duration_ms=3000.0),
        event(9, "node.finished", "each", duration_ms=3000.0),
    ])  # fmt: skip
    assert history.ready_at(history.steps["each[0]"], ["nothing"]) == 4
    assert [step.name for step in history.leaves()] == ["each[0]"]
    assert summarise(history).steps == 1


def test_what_is_cached_counts_as_reused() -> None:
    history = History([
        event(1, "run.started"),
        event(2, "node.cached", "a", duration_ms=3.0, from_run="r"),
        event(3, "node.finished", "b", duration_ms=3.0, usage=USED),
    ])  # fmt: skip
    summary = summarise(history)
    assert (summary.cached, summary.steps, summary.cached_share) == (1, 2, 0.5)
    assert summary.usage == Usage(calls=1, tokens_in=5, cost=Decimal("0.5"), currency="USD")


def test_an_empty_history_is_no_error() -> None:
    history = History([])
    assert (history.took_s, summarise(history).cached_share) == (0.0, None)


@pytest.mark.parametrize(
    ("name", "parent", "fold"),
    [
        ("a", None, "a"),
        ("a[3]", "a", "a"),
        ("loop#2.b", "loop#2", "loop.b"),
        ("loop#2", "loop", "loop"),
        ("sub.b[1].c", "sub.b[1]", "sub.b.c"),
        ("sub.b[1]", "sub.b", "sub.b"),
    ],
)
def test_names_tell_what_a_step_belongs_to(name: str, parent: str | None, fold: str) -> None:
    assert (parent_of(name), folded(name)) == (parent, fold)


LOOP = b"""
name: Nested
nodes:
  first: {operator: text.join, inputs: {parts: [a]}}
  rounds:
    control: loop
    after: [first]
    state: {n: 0}
    max_iterations: 3
    body:
      one: {operator: text.join, inputs: {parts: [a]}}
      two: {command: "true", after: [one]}
    next: {n: state.n + 1}
    until: state.n > 1
"""


def test_an_outline_knows_the_nodes_inside_loops_and_what_they_wait_for() -> None:
    outline = Outline(loads(LOOP, "yaml"))
    assert kind_of(outline.node("rounds")) == ("control", "loop")
    assert kind_of(outline.node("rounds#2.two")) == ("command", "command")
    assert kind_of(outline.node("rounds.nothing")) == ("unknown", "")
    assert outline.before("rounds") == ("first",)
    assert outline.before("rounds#2.two") == ("rounds#2.one",)
    assert outline.before("elsewhere.two") == ()


@operator("history.odd", version="1.0.0")
def odd(value: int) -> int:
    """The value."""
    return value


async def test_the_events_of_a_real_run_give_the_same_durations_as_its_result() -> None:
    made = (
        WorkflowBuilder("real")
        .add_operator("history.odd", name="a", inputs={"value": 1})
        .add_operator("history.odd", name="b", inputs={"value": "${{ a.result }}"})
        .build()
    )
    async with Symphony.open(memory=True, operators=[odd]) as symphony:
        handle = await symphony.start(made)
        history = History([event async for event in handle.events()])
        result = await handle.result()
    assert {name: step.status for name, step in history.steps.items()} == {
        name: node.status for name, node in result.nodes.items()
    }
    for name, node in result.nodes.items():
        assert node.duration_ms is not None
        assert history.steps[name].attempts[0].took_s * 1000 == pytest.approx(node.duration_ms, abs=0.01)
    assert history.status is result.status


def seen(result: RunResult) -> Overview:
    assert isinstance(result.nodes, LazyNodes)
    replay = result.nodes.replay()
    assert isinstance(replay, RunReplay)
    return overview_of(replay)


def test_a_failure_that_its_node_handles_counts_as_what_is_made_of_it() -> None:
    made = workflow("""
        name: Handled
        nodes:
          a: {operator: history.bad, on_error: skip}
          b: {operator: history.bad, on_error: {value: {result: 1}}}
    """)
    outcome = run(made, operators=[fake_operator("history.bad", ValueError("no"))])
    outcome.assert_succeeded()
    stats = measure(outcome.history, Outline(made), "succeeded")
    assert stats.kinds["operator", "history.bad"].statuses == {NodeStatus.SKIPPED: 1, NodeStatus.SUCCEEDED: 1}
    rows = {row.name: row.status for row in seen(outcome.result).bars}
    assert rows == {name: node.status for name, node in outcome.result.nodes.items()}


NESTED = """
    name: Nested
    nodes:
      words: {operator: text.split, inputs: {text: "a b", separator: " "}}
      each:
        control: loop
        for_each: words.result
        state: {n: 0}
        while: state.n < 2
        max_iterations: 5
        body:
          one: {operator: text.join, inputs: {parts: ["${{ item }}"]}}
          two: {operator: history.slow, inputs: {value: 1}, after: [one]}
        next: {n: state.n + 1}
"""


@operator("history.slow", version="1.0.0", inline=False)
async def slow(value: int) -> int:
    """Takes a minute."""
    await asyncio.sleep(60)
    return value


def test_a_real_run_of_loops_in_a_fan_out_is_folded_and_its_inner_nodes_are_known() -> None:
    made = workflow(NESTED)
    outcome = run(made, operators=[slow])
    outcome.assert_succeeded()
    history, outline = outcome.history, Outline(made)
    assert history.steps["each[1]#1.two"].attempts[0].took_s == pytest.approx(60, abs=1)
    assert history.steps["each[0]#0"].finished_at is not None
    assert {step.status for step in history.steps.values()} == {NodeStatus.SUCCEEDED}
    assert outline.before("each[1]#1.two") == ("each[1]#1.one",)
    stats = measure(history, outline, "succeeded")
    assert stats.kinds["operator", "history.slow"].steps == 4
    assert stats.kinds["operator", "history.slow"].queue.total_s < 1
    assert stats.kinds["control", "loop"].steps == 2
    assert [(row.name, row.steps) for row in seen(outcome.result).bars] == [
        ("words", 1), ("each", 0), ("each.one", 4), ("each.two", 4),
    ]  # fmt: skip


def test_an_answer_that_nobody_has_acted_on_is_known() -> None:
    history = History([
        event(1, "run.started"),
        event(2, "node.waiting", "gate", asks="Go on?", until=None),
        event(2, "node.waiting", "doubt", error=FAILED),
        event(3, "node.finished", "other", duration_ms=1.0),
        event(9, "node.finished", "gate", duration_ms=7000.0),
    ])  # fmt: skip
    assert history.answered == ["gate"]
    history.add(event(10, "run.resumed"))
    assert history.answered == []
