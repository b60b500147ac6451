"""Steps that must wait for a grant: what they hold, what is recorded, and what becomes of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.support.arbiters import Turns
from tests.support.waiting import until

from symphony.app import Symphony
from symphony.app.handle import RunHandle
from symphony.commons.time import SystemClock
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit
from symphony.pit.arbitration.local import PitArbiter
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunStatus
from symphony.sdk import Context, operator
from symphony.testing import FakeClock
from symphony.workflow.files import loads
from symphony.workflow.model import Workflow

BEGUN: list[str] = []
AT_ONCE = [0, 0]
FAILING: set[str] = set()


@pytest.fixture(autouse=True)
def nothing_yet() -> None:
    BEGUN.clear()
    FAILING.clear()
    AT_ONCE[:] = [0, 0]


@operator("queue.step", version="1.0.0", idempotent=True, inline=False)
async def step(context: Context, value: int = 0) -> int:
    """Counts how many calls there are at once."""
    BEGUN.append(context.node)
    AT_ONCE[0] += 1
    AT_ONCE[1] = max(AT_ONCE)
    try:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    finally:
        AT_ONCE[0] -= 1
    if context.node in FAILING:
        raise RuntimeError("it was told to")
    return value + 1


@operator("queue.kept", version="1.0.0", pure=True, inline=False)
async def kept(value: int) -> int:
    """Has a result that is kept for other runs."""
    BEGUN.append("kept")
    return value + 1


@operator("queue.inline", version="1.0.0", pure=True)
async def inline(value: int = 0) -> int:
    """Is over at once."""
    BEGUN.append("inline")
    return value


@operator("queue.short", version="1.0.0", pure=True)
def short(value: int = 0) -> int:
    """A function that would go with others in a batch; counts how many calls there are at once."""
    BEGUN.append("short")
    AT_ONCE[0] += 1
    AT_ONCE[1] = max(AT_ONCE)
    time.sleep(0.005)
    AT_ONCE[0] -= 1
    return value


@operator("queue.large", version="1.0.0", pure=True, memory_mb=600)
async def large(value: int = 0) -> int:
    """Declares what memory it needs, and so is not inline."""
    BEGUN.append("large")
    return value


OPERATORS = [step, kept, inline, short, large]


def flow(nodes: str, head: str = "") -> Workflow:
    return loads(f"name: queue\n{head}nodes:\n{nodes}", "yaml")


@pytest.fixture
async def symphony() -> AsyncIterator[Symphony]:
    async with Symphony.open(memory=True, operators=OPERATORS) as found:
        found.parts.arbiter = Turns()
        yield found


def turns(symphony: Symphony) -> Turns:
    assert isinstance(symphony.parts.arbiter, Turns)
    return symphony.parts.arbiter


def taken(arbiter: Turns) -> Callable[[], None]:
    """Hold the only place, until the result is called."""
    grant = arbiter.try_acquire(ResourceRequest(run="other", node="other", resource="other"))
    assert grant is not None
    return lambda: arbiter.release(grant)


async def told(handle: RunHandle) -> tuple[RunResult, list[RunEvent]]:
    events = [event async for event in handle.events()]
    return await handle.result(), events


async def ended(symphony: Symphony, made: Workflow) -> RunResult:
    handle = await symphony.start(made)
    return await asyncio.wait_for(handle.result(), 20)


def types(events: list[RunEvent], node: str) -> list[str]:
    return [event.type for event in events if event.node == node]


async def all_wait(arbiter: Turns, number: int) -> None:
    await until(lambda: len(arbiter.waiting) == number)


async def test_steps_run_one_at_a_time_and_each_is_granted_before_it_starts(symphony: Symphony) -> None:
    made = flow("  many: {operator: queue.step, for_each: '[1, 2, 3, 4, 5]', inputs: {value: 1}}\n")
    result, events = await told(await symphony.start(made))
    assert (result.status, AT_ONCE[1]) == (RunStatus.SUCCEEDED, 1)
    for i in range(1, 5):
        told_of = types(events, f"many[{i}]")
        assert told_of == ["node.queued", "node.granted", "node.started", "node.finished"], i
    assert sorted(turns(symphony).released) == sorted(grant.id for grant in turns(symphony).granted)
    assert len(turns(symphony).granted) == 5


async def test_what_is_granted_at_once_leaves_no_record(symphony: Symphony) -> None:
    made = flow("  one: {operator: queue.step}\n  two: {operator: queue.step, after: [one]}\n")
    _, events = await told(await symphony.start(made))
    assert {event.type for event in events} == {
        "run.started",
        "node.started",
        "node.finished",
        "run.finished",
    }


async def test_a_queued_event_says_for_what_why_and_after_how_many(symphony: Symphony) -> None:
    give_back = taken(turns(symphony))
    handle = await symphony.start(flow("  a: {operator: queue.step}\n  b: {operator: queue.step}\n"))
    await all_wait(turns(symphony), 1)
    (queue,) = handle.progress().queues
    assert (queue.first, queue.count, queue.resource, queue.before) == ("a", 2, "queue.step", 0)
    give_back()
    result, events = await told(handle)
    data = [event.data for event in events if event.type == "node.queued"]
    assert data == [
        {"resource": "queue.step", "kind": "operator", "reason": "all 1 places are taken", "before": before}
        for before in (0, 1)
    ]
    granted = [event.data for event in events if event.type == "node.granted"]
    assert granted == [{"reason": "its turn came"}] * 2
    assert result.nodes["b"].attempts == 1


async def test_a_queued_step_holds_no_place(symphony: Symphony) -> None:
    give_back = taken(turns(symphony))
    made = flow(
        "  first: {operator: queue.step, priority: 9}\n"
        "  other: {control: delay, for: 1ms}\n"
        "  quick: {operator: queue.inline, after: [other]}\n"
    )
    handle = await symphony.start(made, concurrency=1)
    await until(lambda: "inline" in BEGUN)
    assert turns(symphony).waiting == ["first"]
    give_back()
    assert (await handle.result()).status is RunStatus.SUCCEEDED


async def test_functions_that_are_limited_go_alone_and_not_in_batches(symphony: Symphony) -> None:
    result = await ended(symphony, flow("  many: {operator: queue.short, for_each: '[1, 2, 3, 4, 5]'}\n"))
    assert result.status is RunStatus.SUCCEEDED
    assert (len(BEGUN), AT_ONCE[1], len(turns(symphony).granted)) == (5, 1, 5)


async def test_functions_go_in_batches_where_only_other_things_are_limited(symphony: Symphony) -> None:
    limits = ArbiterLimits(memory_mb=1_000, models={"m": ModelLimit(calls=1)})
    symphony.parts.arbiter = PitArbiter(limits, ArbiterPolicy(), SystemClock())
    handle = await symphony.start(flow("  many: {operator: queue.short, for_each: '[1, 2, 3, 4, 5]'}\n"))
    result, events = await told(handle)
    assert result.status is RunStatus.SUCCEEDED
    assert "node.queued" not in {event.type for event in events}


async def test_what_declares_memory_waits_for_it_and_is_refused_beyond_it(symphony: Symphony) -> None:
    made = flow("  a: {operator: queue.large}\n  b: {operator: queue.large}\n")
    limits = ArbiterLimits(memory_mb=1_000)
    symphony.parts.arbiter = PitArbiter(limits, ArbiterPolicy(), SystemClock())
    result, events = await told(await symphony.start(made))
    assert result.status is RunStatus.SUCCEEDED
    assert [event.type for event in events].count("node.queued") == 1
    symphony.parts.arbiter = PitArbiter(ArbiterLimits(memory_mb=500), ArbiterPolicy(), SystemClock())
    refused = (await ended(symphony, made)).error
    assert refused is not None
    assert "600 MB" in refused.message


async def test_inline_operators_need_no_grant(symphony: Symphony) -> None:
    taken(turns(symphony))
    result = await ended(symphony, flow("  many: {operator: queue.inline, for_each: '[1, 2]'}\n"))
    assert result.status is RunStatus.SUCCEEDED


async def test_what_is_around_other_steps_holds_no_grant_while_they_wait(symphony: Symphony) -> None:
    made = flow(
        "  around:\n"
        "    control: loop\n"
        "    state: {x: 0}\n"
        "    until: iteration >= 2\n"
        "    next: {x: 'inner.result[0]'}\n"
        "    body:\n"
        "      inner: {operator: queue.step, for_each: '[1, 2]', inputs: {value: '${{ item }}'}}\n"
    )
    result = await ended(symphony, made)
    assert result.status is RunStatus.SUCCEEDED
    assert (AT_ONCE[1], len(BEGUN)) == (1, 6)


async def test_each_attempt_asks_again(symphony: Symphony) -> None:
    FAILING.add("a")
    made = flow("  a: {operator: queue.step, retry: {attempts: 3, initial: 1ms}, on_error: skip}\n")
    result = await ended(symphony, made)
    assert result.nodes["a"].attempts == 3
    assert len(turns(symphony).granted) == len(turns(symphony).released) == 3


async def test_a_cancelled_run_gives_up_its_place_in_the_queue(symphony: Symphony) -> None:
    give_back = taken(turns(symphony))
    handle = await symphony.start(flow("  a: {operator: queue.step}\n  b: {operator: queue.step}\n"))
    await all_wait(turns(symphony), 1)
    handle.cancel()
    result = await handle.result()
    assert result.status is RunStatus.CANCELLED
    assert {node.status for node in result.nodes.values()} == {NodeStatus.CANCELLED}
    assert (turns(symphony).waiting, BEGUN) == ([], [])
    give_back()
    assert turns(symphony).held == {}


async def test_a_fan_out_that_fails_gives_up_what_its_other_elements_wait_for(symphony: Symphony) -> None:
    FAILING.add("many[0]")
    made = flow(
        "  many: {operator: queue.step, for_each: '[1, 2, 3]', on_error: {fallback: spare}}\n"
        "  spare: {operator: queue.step, for_each: '[1]'}\n"
    )
    result = await ended(symphony, made)
    assert result.status is RunStatus.SUCCEEDED
    assert BEGUN == ["many[0]", "spare[0]"]
    assert turns(symphony).waiting == []
    assert turns(symphony).held == {}


async def test_a_request_that_is_refused_fails_its_step_at_once_whatever_its_retries(
    symphony: Symphony,
) -> None:
    turns(symphony).never = {"queue.step"}
    made = flow("  a: {operator: queue.step, retry: {attempts: 3}}\n")
    result = await ended(symphony, made)
    assert result.error is not None
    assert (result.error.code, result.nodes["a"].attempts, BEGUN) == ("resource-refused", 1, [])


async def test_a_request_that_is_refused_while_it_waits_fails_its_step(symphony: Symphony) -> None:
    give_back = taken(turns(symphony))
    made = flow("  a: {operator: queue.step, on_error: skip}\n  b: {operator: queue.step, on_error: skip}\n")
    handle = await symphony.start(made)
    await all_wait(turns(symphony), 1)
    turns(symphony).never = {"queue.step"}
    turns(symphony).refuse()
    result = await handle.result()
    assert {node.status for node in result.nodes.values()} == {NodeStatus.SKIPPED}
    assert {node.error.code for node in result.nodes.values() if node.error} == {"resource-refused"}
    assert BEGUN == []
    give_back()


async def test_a_result_that_is_known_needs_no_grant(tmp_path: Path) -> None:
    made = flow("  a: {operator: queue.kept, inputs: {value: 1}, cache: 'on'}\n")
    async with Symphony.open(tmp_path / "home", operators=OPERATORS) as first:
        await ended(first, made)
    async with Symphony.open(tmp_path / "home", operators=OPERATORS) as second:
        second.parts.arbiter = arbiter = Turns()
        taken(arbiter)
        result, events = await told(await second.start(made))
    assert result.nodes["a"].status is NodeStatus.CACHED
    assert types(events, "a") == ["node.cached"]
    assert BEGUN == ["kept"]


async def test_a_result_that_is_not_known_waits_for_a_grant(tmp_path: Path) -> None:
    made = flow("  a: {operator: queue.kept, inputs: {value: 1}, cache: 'on'}\n")
    async with Symphony.open(tmp_path / "home", operators=OPERATORS) as symphony:
        symphony.parts.arbiter = arbiter = Turns()
        give_back = taken(arbiter)
        handle = await symphony.start(made)
        await all_wait(arbiter, 1)
        give_back()
        result, events = await told(handle)
    assert result.status is RunStatus.SUCCEEDED
    assert types(events, "a") == ["node.queued", "node.granted", "node.started", "node.finished"]


async def test_a_paused_run_gives_up_its_place_and_asks_again_when_it_goes_on(tmp_path: Path) -> None:
    made = flow("  a: {operator: queue.step}\n  b: {operator: queue.step, after: [a]}\n")
    async with Symphony.open(tmp_path / "home", operators=OPERATORS) as symphony:
        symphony.parts.arbiter = arbiter = Turns()
        give_back = taken(arbiter)
        handle = await symphony.start(made)
        await all_wait(arbiter, 1)
        handle.pause()
        paused = await handle.result()
        assert (paused.status, arbiter.waiting, BEGUN) == (RunStatus.PAUSED, [], [])
        node = paused.nodes["a"]
        assert node.queued == "queued for operator queue.step: all 1 places are taken"
        assert (node.status, node.attempts, node.started_at) == (NodeStatus.PENDING, 0, None)
        give_back()
        again, events = await told(await symphony.resume(handle.run_id))
    assert again.status is RunStatus.SUCCEEDED
    assert types(events, "a") == ["node.queued", "node.started", "node.finished"]
    assert len(arbiter.released) == len(arbiter.granted) == 3


async def test_the_timeout_of_a_step_does_not_count_while_it_is_queued() -> None:
    made = flow("  a: {operator: queue.step, timeout: 1s}\n")
    clock = FakeClock()
    async with Symphony.open(memory=True, operators=OPERATORS, clock=clock) as symphony:
        symphony.parts.arbiter = arbiter = Turns()
        give_back = taken(arbiter)
        handle = await symphony.start(made)
        await all_wait(arbiter, 1)
        clock.advance(3600)
        give_back()
        result = await handle.result()
    assert result.status is RunStatus.SUCCEEDED


async def test_elements_that_wait_are_one_request_and_no_tasks(symphony: Symphony) -> None:
    give_back = taken(turns(symphony))
    count = 3_000
    made = flow(
        f"  many: {{operator: queue.step, for_each: '${{{{ range.result }}}}', inputs: {{value: 1}}}}\n"
        f"  range: {{operator: queue.range, inputs: {{count: {count}}}}}\n"
    )
    handle = await symphony.start(made)
    await until(lambda: [queue.count for queue in handle.progress().queues] == [count])
    assert len(turns(symphony).waiting) == 1
    assert len(asyncio.all_tasks()) < 20
    give_back()
    assert (await handle.result()).status is RunStatus.SUCCEEDED
    assert len(turns(symphony).released) == count + 1
    assert AT_ONCE[1] == 1


@operator("queue.range", version="1.0.0", pure=True)
async def numbers(count: int) -> list[int]:
    """As many numbers as are asked for."""
    return list(range(count))


OPERATORS.append(numbers)
