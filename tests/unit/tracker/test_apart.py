"""Who cancels what: only what the engine asked for is a cancellation, and it ends what it cancels."""

import asyncio

import pytest

from symphony import operator
from symphony.ports.runs import NodeStatus, RunStatus
from symphony.testing import Outcome, run, workflow

ENDED: list[str] = []


@operator("apart.returns", version="1.0.0")
async def returns() -> int:
    """Makes a value of its cancellation."""
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        return 7
    return 1


@operator("apart.raises", version="1.0.0")
async def raises() -> int:
    """Makes another error of its cancellation."""
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        raise ValueError("another") from None
    return 1


@operator("apart.uncancels", version="1.0.0")
async def uncancels() -> int:
    """Takes its cancellation back."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        task.uncancel()
        await asyncio.sleep(1)
        return 7
    return 1


@operator("apart.stubborn", version="1.0.0")
async def stubborn() -> int:
    """Never heeds a cancellation."""
    try:
        while True:
            try:
                await asyncio.sleep(600)
            except asyncio.CancelledError:
                continue
    finally:
        ENDED.append("stubborn")


@operator("apart.cancels-itself", version="1.0.0")
async def cancels_itself(wait: bool) -> int:
    """Cancels its own task, and waits for something or not."""
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    if wait:
        await asyncio.sleep(1)
    return 1


@operator("apart.cancelled-inside", version="1.0.0")
async def cancelled_inside() -> int:
    """Waits for a task that somebody cancelled."""

    async def inside() -> int:
        await asyncio.sleep(600)
        return 1

    async with asyncio.timeout(600):
        inner = asyncio.ensure_future(inside())
        asyncio.get_running_loop().call_later(1, inner.cancel)
        return await inner


@operator("apart.times-itself", version="1.0.0")
async def times_itself() -> int:
    """Has a limit of its own."""
    async with asyncio.timeout(1):
        await asyncio.sleep(600)
    return 1


OPERATORS = [returns, raises, uncancels, stubborn, cancels_itself, cancelled_inside, times_itself]
SWALLOWING = ["returns", "raises", "uncancels", "stubborn"]


def tried(node: str, cancel_after_s: float | None = None) -> Outcome:
    text = f"name: Apart\nnodes:\n  n: {node}\noutputs: {{n: '${{{{ n.result }}}}'}}\n"
    return run(workflow(text), operators=OPERATORS, cancel_after_s=cancel_after_s)


@pytest.mark.parametrize("name", SWALLOWING)
def test_what_an_operator_makes_of_the_cancellation_of_its_run_does_not_count(name: str) -> None:
    outcome = tried(f"{{operator: apart.{name}}}", cancel_after_s=5)
    assert outcome.status is RunStatus.CANCELLED
    assert outcome.node("n").status is NodeStatus.CANCELLED


@pytest.mark.parametrize("name", SWALLOWING)
def test_what_an_operator_makes_of_its_timeout_does_not_count(name: str) -> None:
    outcome = tried(f"{{operator: apart.{name}, timeout: 5s, retry: {{attempts: 2}}}}")
    assert outcome.status is RunStatus.FAILED
    assert outcome.node("n").error is not None
    outcome.assert_node("n", status="failed", code="timeout", attempts=2)


def test_an_operator_that_never_heeds_its_cancellation_is_closed() -> None:
    ENDED.clear()
    tried("{operator: apart.stubborn}", cancel_after_s=5)
    assert ENDED == ["stubborn"]


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ("{operator: apart.cancels-itself, inputs: {wait: true}}", "operator-failed"),
        ("{operator: apart.cancels-itself, inputs: {wait: false}}", "operator-failed"),
        ("{operator: apart.cancelled-inside}", "operator-failed"),
        ("{operator: apart.times-itself}", "operator-failed"),
        ("{operator: apart.times-itself, timeout: 5s}", "operator-failed"),
    ],
)
def test_a_cancellation_that_nobody_asked_for_is_a_failure(node: str, code: str) -> None:
    outcome = tried(node.replace("}", ", retry: {attempts: 2}}", 1) if "inputs" not in node else node)
    assert outcome.status is RunStatus.FAILED
    outcome.assert_node("n", status="failed", code=code)
