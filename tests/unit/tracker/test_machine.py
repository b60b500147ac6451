"""The state machine, step by step."""

import pytest

from symphony.pit.tracker.core.machine import Command, Do, IllegalTransition, Machine, Status
from symphony.pit.tracker.core.outstanding import stuck
from symphony.pit.tracker.core.plan import Join, OnFailure, Plan, PlanLink, PlanNode, make_plan


def plan(*nodes: PlanNode, edges: tuple[tuple[int, PlanLink], ...] = ()) -> Plan:
    links: list[list[PlanLink]] = [[] for _ in nodes]
    for source, link in edges:
        links[source].append(link)
    return make_plan(nodes, links)


def diamond() -> Plan:
    a, b, c, d = (PlanNode(name) for name in "abcd")
    return plan(a, b, c, d, edges=((0, PlanLink(1)), (0, PlanLink(2)), (1, PlanLink(3)), (2, PlanLink(3))))


def test_a_diamond_starts_each_node_once_when_what_it_needs_has_ended() -> None:
    machine = Machine(diamond(), limit=8)
    assert machine.begin() == [Command(Do.START, 0)]
    assert sorted(machine.finished(0)) == [Command(Do.START, 1), Command(Do.START, 2)]
    assert machine.finished(2) == []
    assert machine.finished(1) == [Command(Do.START, 3)]
    assert machine.finished(3) == [Command(Do.END, -1)]
    assert machine.root.ended is Status.SUCCEEDED


def test_no_more_than_the_limit_run_at_once_and_priority_goes_first() -> None:
    machine = Machine(plan(PlanNode("a"), PlanNode("b", priority=5), PlanNode("c")), limit=1)
    assert machine.begin() == [Command(Do.START, 1)]
    assert machine.finished(1) == [Command(Do.START, 0)]


def test_a_failure_cancels_what_runs_and_what_has_not_begun() -> None:
    machine = Machine(diamond(), limit=8)
    machine.begin()
    machine.finished(0)
    assert machine.failed(1) == [Command(Do.STOP, 2)]
    assert machine.cancelled(2) == [Command(Do.END, -1)]
    assert list(machine.status) == [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.CANCELLED]
    assert machine.root.ended is Status.FAILED


def test_a_node_is_tried_as_often_as_it_says() -> None:
    machine = Machine(plan(PlanNode("a", attempts=2)), limit=1)
    machine.begin()
    assert machine.failed(0) == [Command(Do.RETRY, 0)]
    assert machine.retry_due(0) == [Command(Do.START, 0)]
    assert machine.failed(0) == [Command(Do.END, -1)]
    assert machine.attempts == [2]


@pytest.mark.slow
def test_a_skip_travels_far_without_recursion() -> None:
    count = 50_000
    nodes = [PlanNode(f"n{i}", enabled=i > 0) for i in range(count)]
    machine = Machine(
        make_plan(nodes, [[PlanLink(i + 1)] if i + 1 < count else [] for i in range(count)]), limit=1
    )
    assert machine.begin() == [Command(Do.END, -1)]
    assert set(machine.status) == {Status.SKIPPED}


def test_a_merge_takes_the_first_that_succeeds() -> None:
    merge = PlanNode("m", join=Join.FIRST)
    machine = Machine(
        plan(PlanNode("a"), PlanNode("b"), merge, edges=((0, PlanLink(2)), (1, PlanLink(2)))), limit=8
    )
    machine.begin()
    assert machine.finished(1) == [Command(Do.START, 2)]
    assert machine.chosen == {2: 1}


def test_a_fallback_runs_only_after_a_failure_and_settles_the_failed_node() -> None:
    nodes = (PlanNode("a", on_failure=OnFailure.FALLBACK, fallback=1), PlanNode("b"), PlanNode("c"))
    edges = ((0, PlanLink(1, spare=True)), (0, PlanLink(2)))
    failed = Machine(plan(*nodes, edges=edges), limit=8)
    failed.begin()
    assert failed.failed(0) == [Command(Do.START, 1)]
    assert failed.finished(1) == [Command(Do.START, 2)]
    assert failed.status[0] == Status.SUCCEEDED
    fine = Machine(plan(*nodes, edges=edges), limit=8)
    fine.begin()
    assert fine.finished(0) == [Command(Do.START, 2)]
    assert fine.status[1] == Status.SKIPPED


def test_a_fan_out_runs_its_elements_within_its_concurrency_and_then_gathers() -> None:
    machine = Machine(plan(PlanNode("a", concurrency=2)), limit=8)
    machine.begin()
    assert machine.expanded(0, 3) == [Command(Do.START, 1), Command(Do.START, 2)]
    assert machine.finished(1) == [Command(Do.START, 3)]
    machine.finished(2)
    assert machine.finished(3) == [Command(Do.GATHER, 0)]
    assert [machine.name(slot) for slot in range(4)] == ["a", "a[0]", "a[1]", "a[2]"]


def test_an_empty_fan_out_is_gathered_at_once() -> None:
    machine = Machine(plan(PlanNode("a")), limit=8)
    machine.begin()
    assert machine.expanded(0, 0) == [Command(Do.GATHER, 0)]


def test_a_graph_inside_a_node_ends_before_the_node() -> None:
    machine = Machine(make_plan([PlanNode("outer")], [[]], {0: plan(PlanNode("inner"))}), limit=8)
    machine.begin()
    assert machine.opened(0) == [Command(Do.START, 1)]
    assert machine.name(1) == "outer.inner"
    assert machine.finished(1) == [Command(Do.SETTLE, 0)]
    assert machine.finished(0) == [Command(Do.END, -1)]


def test_an_impossible_event_is_refused_and_changes_nothing() -> None:
    machine = Machine(diamond(), limit=8)
    machine.begin()
    before = bytes(machine.status)
    with pytest.raises(IllegalTransition, match="slot 3 is PENDING"):
        machine.finished(3)
    assert bytes(machine.status) == before


def test_a_run_whose_nodes_all_wait_for_a_person_is_stuck() -> None:
    machine = Machine(plan(PlanNode("a")), limit=8)
    machine.begin()
    assert not stuck(machine)
    machine.suspended(0)
    assert stuck(machine)
    assert machine.again(0) == [Command(Do.START, 0)]
    assert machine.attempts == [1]
