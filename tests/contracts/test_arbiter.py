"""What every arbiter keeps to."""

import asyncio
from collections.abc import Callable

import pytest
from tests.support.arbiters import Turns

from symphony.app.at_once import AtOnce
from symphony.commons.time import SystemClock
from symphony.pit.arbitration.core.strategies import ArbiterPolicy
from symphony.pit.arbitration.limits import ArbiterLimits, ModelLimit
from symphony.pit.arbitration.local import PitArbiter
from symphony.ports.arbiter import Arbiter, ResourceRequest

ONE = ResourceRequest(run="r", node="a", resource="minilm", kind="model")
TWO = ResourceRequest(run="r", node="b", resource="minilm", kind="model")


def pit() -> PitArbiter:
    """The arbiter of the pit, where one call of the model may run at once."""
    limits = ArbiterLimits(models={"minilm": ModelLimit(calls=1)})
    return PitArbiter(limits, ArbiterPolicy(), SystemClock())


MAKERS: dict[str, Callable[[], Arbiter]] = {"at once": AtOnce, "in turns": Turns, "of the pit": pit}


@pytest.fixture(params=MAKERS)
def arbiter(request: pytest.FixtureRequest) -> Arbiter:
    """An arbiter that grants at least one request at a time."""
    return MAKERS[request.param]()


def test_a_request_is_granted_at_once_if_nothing_else_is_held(arbiter: Arbiter) -> None:
    grant = arbiter.try_acquire(ONE)
    assert grant is not None
    assert grant.request == ONE
    assert grant.reason
    assert grant.waited_s == 0.0


async def test_whoever_waits_is_granted_once_the_grant_before_is_released(arbiter: Arbiter) -> None:
    first = await arbiter.acquire(ONE)
    second = asyncio.ensure_future(arbiter.acquire(TWO))
    await asyncio.sleep(0)
    arbiter.release(first)
    grant = await asyncio.wait_for(second, 5)
    assert grant.request == TWO
    arbiter.release(grant)


async def test_an_arbiter_says_in_words_why_a_request_waits_and_changes_nothing(arbiter: Arbiter) -> None:
    first = await arbiter.acquire(ONE)
    told = arbiter.queued(TWO)
    assert told.reason
    assert told.before == 0
    arbiter.release(first)
    assert arbiter.try_acquire(TWO) is not None


async def test_a_grant_that_is_released_twice_is_given_back_once(arbiter: Arbiter) -> None:
    first = await arbiter.acquire(ONE)
    arbiter.release(first)
    second = await arbiter.acquire(TWO)
    arbiter.release(first)
    waiting = arbiter.try_acquire(ONE) is None
    arbiter.release(second)
    assert waiting == (not isinstance(arbiter, AtOnce))


async def test_cancelling_gives_up_the_place_in_the_queue(arbiter: Arbiter) -> None:
    first = await arbiter.acquire(ONE)
    second = asyncio.ensure_future(arbiter.acquire(TWO))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait({second})
    arbiter.release(first)
    if not second.cancelled():
        arbiter.release(second.result())
    assert arbiter.try_acquire(ONE) is not None


async def test_a_request_that_is_cancelled_as_it_is_granted_keeps_no_grant(arbiter: Arbiter) -> None:
    first = await arbiter.acquire(ONE)
    second = asyncio.ensure_future(arbiter.acquire(TWO))
    await asyncio.sleep(0)
    arbiter.release(first)
    second.cancel()
    await asyncio.wait({second})
    if not second.cancelled():
        arbiter.release(second.result())
    assert arbiter.try_acquire(ONE) is not None
