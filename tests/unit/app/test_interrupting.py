"""A run that is stopped with its process: what is recorded of it, and how it goes on."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.waiting import until

from symphony import operator
from symphony.app import RunHandle, Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.models import Caller, Estimate, Usage
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunStatus
from symphony.ports.values import Value
from symphony.testing import Call, FakeClock, FakeModel, FakeModels
from symphony.workflow import loads
from symphony.workflow.model import Workflow

BEGUN: Counter[str] = Counter()
HELD: set[str] = set()
"""Names of what does not end."""


async def _work(name: str) -> str:
    BEGUN[name] += 1
    if name in HELD:
        await asyncio.Event().wait()
    return name


@operator("stop.effect", version="1.0.0")
async def effect(name: str) -> str:
    """Must not be repeated unasked."""
    return await _work(name)


@operator("stop.again", version="1.0.0", idempotent=True)
async def again(name: str) -> str:
    """May be repeated."""
    return await _work(name)


@operator("stop.fails", version="1.0.0", idempotent=True)
async def fails(name: str) -> str:
    """Fails the first time."""
    BEGUN[name] += 1
    if BEGUN[name] == 1:
        raise RuntimeError("not yet")
    return name


@operator("stop.stubborn", version="1.0.0")
async def stubborn(name: str) -> str:
    """Makes a result of its cancellation."""
    try:
        return await _work(name)
    except asyncio.CancelledError:
        return "late"


@operator("stop.lingers", version="1.0.0")
async def lingers(name: str) -> str:
    """Fails at once, or takes its time when it is told to stop."""
    BEGUN[name] += 1
    if name == "bad":
        await until(lambda: BEGUN["b"])
        raise RuntimeError("bad")
    try:
        await asyncio.Event().wait()
    finally:
        BEGUN["stopping"] += 1
        await until(lambda: not HELD)
    return name


OPERATORS = [effect, again, fails, stubborn, lingers]


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    BEGUN.clear()
    HELD.clear()
    yield
    HELD.clear()


def written(nodes: str) -> Workflow:
    return loads(f"name: stops\nnodes:\n{nodes}", "yaml")


def opened(tmp_path: Path, **how: object) -> Symphony:
    return Symphony.open(tmp_path / "home", operators=OPERATORS, **how)  # type: ignore[arg-type]


async def stopped(symphony: Symphony, workflow: Workflow, *begun: str) -> tuple[RunHandle, RunResult]:
    """A run that is interrupted once all of these have begun."""
    HELD.update(begun)
    handle = await symphony.start(workflow)
    await until(lambda: all(BEGUN[name] for name in begun))
    handle.interrupt("SIGTERM")
    result = await handle.result()
    HELD.clear()
    return handle, result


async def events_of(handle: RunHandle) -> list[RunEvent]:
    return [event async for event in handle.events()]


TWO = """
  first: {operator: stop.effect, inputs: {name: first}}
  second: {operator: stop.again, inputs: {name: second}, after: [first]}
"""


async def test_a_stopped_run_is_interrupted_and_its_last_event_names_the_signal(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, result = await stopped(symphony, written(TWO), "second")
        events = await events_of(handle)
    assert result.status is RunStatus.INTERRUPTED
    assert (events[-1].type, dict(events[-1].data)) == ("run.interrupted", {"signal": "SIGTERM"})
    second = result.nodes["second"]
    assert (second.status, second.attempts, second.finished_at) == (NodeStatus.RUNNING, 1, None)
    assert result.doubtful == [], "it may be repeated"
    shown = Symphony.open(tmp_path / "home").runs.result(handle.run_id)
    assert (shown.status, shown.nodes["second"]) == (RunStatus.INTERRUPTED, second)


async def test_it_goes_on_where_it_was_and_the_attempt_does_not_count(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, _ = await stopped(symphony, written(TWO), "second")
    async with opened(tmp_path) as symphony:
        result = await (await symphony.resume(handle.run_id)).result()
    assert result.status is RunStatus.SUCCEEDED
    assert result.nodes["second"].attempts == 1
    assert BEGUN == {"first": 1, "second": 2}


async def test_an_effect_that_was_under_way_is_in_doubt_and_decided_about_at_once(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, result = await stopped(symphony, written(TWO), "first")
        assert result.doubtful == ["first"]
        assert symphony.runs.result(handle.run_id).doubtful == ["first"]
        waits = await (await symphony.resume(handle.run_id)).result()
        assert waits.status is RunStatus.WAITING
        assert symphony.runs.result(handle.run_id).doubtful == [], "it is told as waiting now"
        done = await (await symphony.resume(handle.run_id, retry=["first"])).result()
    assert done.status is RunStatus.SUCCEEDED
    assert BEGUN["first"] == 2


EACH = """
  each:
    operator: stop.effect
    for_each: '["a", "b", "c", "d"]'
    concurrency: 3
    inputs: {name: "${{ item }}"}
"""


async def test_elements_in_doubt_are_told_and_decided_about_as_their_node(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, result = await stopped(symphony, written(EACH), "a", "b", "c")
        assert result.doubtful == ["each"]
        with pytest.raises(SymphonyError, match="waits for no decision"):
            await (await symphony.resume(handle.run_id, retry=["each[3]"])).result()
        done = await (await symphony.resume(handle.run_id, skip=["each"], retry=["each[1]"])).result()
    assert done.status is RunStatus.SUCCEEDED
    assert BEGUN == {"a": 1, "b": 2, "c": 1, "d": 1}, "what is named exactly counts more"


async def test_what_an_operator_makes_of_its_stop_is_not_taken_for_its_result(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        workflow = written("  late: {operator: stop.stubborn, inputs: {name: late}}\n")
        handle, result = await stopped(symphony, workflow, "late")
        assert (await events_of(handle))[-1].type == "run.interrupted"
    assert result.nodes["late"].status is NodeStatus.RUNNING
    assert result.doubtful == ["late"]


@pytest.mark.parametrize("turns", range(12))
async def test_a_stop_in_any_turn_of_the_beginning_leaves_a_run_that_goes_on(
    tmp_path: Path, turns: int
) -> None:
    async with opened(tmp_path) as symphony:
        handle = await symphony.start(written("  a: {operator: stop.again, inputs: {name: a}}\n"))
        for _ in range(turns):
            await asyncio.sleep(0)
        handle.interrupt()
        first = await handle.result()
        assert first.status in (RunStatus.INTERRUPTED, RunStatus.SUCCEEDED)
        result = await (await symphony.resume(handle.run_id)).result()
    assert result.status is RunStatus.SUCCEEDED


async def test_a_run_in_memory_is_cancelled_for_nobody_could_go_on_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path, memory=True) as symphony:
        handle, result = await stopped(symphony, written(TWO), "first")
    assert not handle.resumable
    assert result.status is RunStatus.CANCELLED


async def test_closing_a_session_leaves_its_runs_to_be_resumed(tmp_path: Path) -> None:
    HELD.add("second")
    async with opened(tmp_path) as symphony:
        handle = await symphony.start(written(TWO))
        await until(lambda: BEGUN["second"])
    result = await handle.result()
    assert result.status is RunStatus.INTERRUPTED
    [*_, last] = Symphony.open(tmp_path / "home").runs.events(handle.run_id)
    assert (last.type, dict(last.data)) == ("run.interrupted", {}), "no signal stopped it"


async def test_a_task_that_is_cancelled_in_a_session_leaves_its_run_to_be_resumed(tmp_path: Path) -> None:
    ids: list[str] = []
    HELD.add("second")

    async def work() -> None:
        async with opened(tmp_path) as symphony:
            handle = await symphony.start(written(TWO))
            ids.append(handle.run_id)
            await handle.result()

    task = asyncio.ensure_future(work())
    await until(lambda: BEGUN["second"])
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    HELD.clear()
    async with opened(tmp_path) as symphony:
        assert symphony.runs.status(ids[0]) is RunStatus.INTERRUPTED
        assert (await (await symphony.resume(ids[0])).result()).status is RunStatus.SUCCEEDED


async def test_a_run_that_is_being_cancelled_ends_as_such(tmp_path: Path) -> None:
    HELD.add("first")
    async with opened(tmp_path) as symphony:
        handle = await symphony.start(written(TWO))
        await until(lambda: BEGUN["first"])
        handle.cancel()
        handle.interrupt("SIGTERM")
        assert (await handle.result()).status is RunStatus.CANCELLED


async def test_a_stopped_run_can_be_cancelled_and_paused_by_others(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, _ = await stopped(symphony, written(TWO), "second")
        symphony.runs.pause(handle.run_id)
        assert symphony.runs.status(handle.run_id) is RunStatus.PAUSED
        symphony.runs.cancel(handle.run_id)
        result = symphony.runs.result(handle.run_id)
    assert result.status is RunStatus.CANCELLED
    assert {name: str(node.status) for name, node in result.nodes.items()} == {
        "first": "succeeded", "second": "cancelled",
    }  # fmt: skip


async def test_an_approval_is_still_asked_after_a_stop(tmp_path: Path) -> None:
    workflow = written("""
  gate: {control: approval, message: "go?"}
  work: {operator: stop.again, inputs: {name: work}}
""")
    async with opened(tmp_path) as symphony:
        handle, result = await stopped(symphony, workflow, "work")
        assert result.nodes["gate"].asks == "go?"
        symphony.runs.answer(handle.run_id, "gate", approved=True)
        assert symphony.runs.status(handle.run_id) is RunStatus.INTERRUPTED
        done = await (await symphony.resume(handle.run_id)).result()
    assert done.status is RunStatus.SUCCEEDED


class HeldClock(FakeClock):
    """Long sleeps end when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        """Wait for the test, or, where it looks for requests, for a turn of the loop."""
        if seconds < 1:
            await asyncio.sleep(0.01)
            return
        self.waits.append(seconds)
        await self.over.wait()
        self.advance(seconds)


async def test_of_a_back_off_what_has_passed_counts(tmp_path: Path) -> None:
    clock = HeldClock()
    retry = "{attempts: 2, backoff: constant, initial: 20s, max: 20s, jitter: false}"
    workflow = written(f"  a: {{operator: stop.fails, inputs: {{name: a}}, retry: {retry}}}\n")
    async with opened(tmp_path, clock=clock) as symphony:
        handle = await symphony.start(workflow)
        await until(lambda: clock.waits)
        handle.interrupt()
        assert (await handle.result()).status is RunStatus.INTERRUPTED
        clock.advance(15)
        resumed = await symphony.resume(handle.run_id)
        await until(lambda: len(clock.waits) == 2)
        clock.over.set()
        result = await resumed.result()
    assert clock.waits == [20, 5]
    assert (result.status, result.nodes["a"].attempts) == (RunStatus.SUCCEEDED, 2)


LOOP = """
  rounds:
    control: loop
    state: {n: 0}
    until: state.n >= 3
    body:
      step: {operator: stop.again, inputs: {name: "${{ 's' + string(state.n) }}"}}
    next: {n: state.n + 1}
"""


async def test_a_loop_goes_on_in_its_round(tmp_path: Path) -> None:
    async with opened(tmp_path) as symphony:
        handle, _ = await stopped(symphony, written(LOOP), "s1")
        result = await (await symphony.resume(handle.run_id)).result()
    assert result.status is RunStatus.SUCCEEDED
    assert BEGUN == {"s0": 1, "s1": 2, "s2": 1}


async def test_runs_that_share_a_segment_are_stopped_and_go_on_one_by_one(tmp_path: Path) -> None:
    workflow = written("  a: {operator: stop.again, inputs: {name: a}}\n")
    HELD.add("a")
    async with opened(tmp_path) as symphony:
        handles = [await symphony.start(workflow, cache=False) for _ in range(7)]
        await until(lambda: BEGUN["a"] == 7)
    assert {(await handle.result()).status for handle in handles} == {RunStatus.INTERRUPTED}
    HELD.clear()
    async with opened(tmp_path) as symphony:
        for handle in handles:
            *_, last = symphony.runs.events(handle.run_id)
            assert last.type == "run.interrupted"
            result = await (await symphony.resume(handle.run_id)).result()
            assert (result.status, result.nodes["a"].attempts) == (RunStatus.SUCCEEDED, 1)


async def test_elements_of_a_fan_out_that_has_failed_are_not_begun_once_more(tmp_path: Path) -> None:
    workflow = written("""
  each: {operator: stop.lingers, for_each: '["a", "b", "bad"]', inputs: {name: "${{ item }}"}}
  beside: {operator: stop.again, inputs: {name: beside}}
""")
    HELD.update(("lingers", "beside"))
    async with opened(tmp_path) as symphony:
        handle = await symphony.start(workflow)
        await until(lambda: BEGUN["stopping"] == 2)
        handle.interrupt("SIGTERM")
        await asyncio.sleep(0)
        HELD.clear()
        result = await handle.result()
        assert (result.status, result.doubtful) == (RunStatus.INTERRUPTED, [])
        result = await (await symphony.resume(handle.run_id)).result()
    assert (result.status, result.error and result.error.node) == (RunStatus.FAILED, "each")
    assert (BEGUN["a"], BEGUN["b"], BEGUN["bad"]) == (1, 1, 1)


class HeldModel(FakeModel):
    """A model whose answer does not come while it is held; a request costs ten tokens all the same."""

    def __init__(self) -> None:
        super().__init__("yes", usage=Usage(calls=1, tokens_in=10))

    async def ask(self, call: Call, caller: Caller) -> Mapping[str, Value]:
        """The answer, if it is not held."""
        if "model" not in HELD:
            return await super().ask(call, caller)
        await caller.reserve(call.model, Estimate(tokens_in=10))
        BEGUN["asked"] += 1
        try:
            await asyncio.Event().wait()
        finally:
            caller.used(self.usage)
        raise AssertionError


async def test_what_models_have_used_when_they_are_stopped_counts_for_the_budget(tmp_path: Path) -> None:
    model = HeldModel()
    models = {"models": FakeModels({"m": model}), "catalog": {"m": model.info("m")}}
    workflow = loads(
        "name: asks\nbudget: {tokens: 25}\n"
        "nodes: {ask: {instrument: m, inputs: {prompt: hello}, cache: off}}\n",
        "yaml",
    )
    HELD.add("model")
    async with opened(tmp_path, **models) as symphony:
        first = await symphony.start(workflow)
        await until(lambda: BEGUN["asked"] == 1)
        first.interrupt("SIGINT")
        result = await first.result()
        assert (result.status, result.usage) == (RunStatus.INTERRUPTED, Usage(calls=1, tokens_in=10))
        assert [event.type for event in await events_of(first)][-2:] == ["run.interrupted", "node.stopped"]
        assert symphony.runs.result(first.run_id).usage == result.usage

        second = await symphony.resume(first.run_id)
        await until(lambda: BEGUN["asked"] == 2)
        second.interrupt("SIGINT")
        assert (await second.result()).usage == Usage(calls=2, tokens_in=20)
        HELD.clear()
        last = await (await symphony.resume(first.run_id)).result()
    assert last.error is not None
    assert (last.status, last.error.code) == (RunStatus.FAILED, "budget-exceeded")
