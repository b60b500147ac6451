import asyncio
from collections.abc import Callable, Coroutine
from typing import TypeVar

import pytest

from symphony.commons.deadline import AFTERWARDS_S, Allowance, collecting, left_s, within

T = TypeVar("T")


class _Loop(asyncio.SelectorEventLoop):
    """A loop that never waits: its time moves on to the next timer."""

    passed_s = 0.0

    def time(self) -> float:
        return self.passed_s

    def stopped(self, seconds: float) -> None:
        """The process is stopped for so long."""
        self.passed_s += seconds


def _run(test: Callable[[_Loop], Coroutine[object, object, T]]) -> T:
    loop = _Loop()
    select = loop._selector.select  # type: ignore[attr-defined]

    def moving(timeout: float | None = None) -> object:
        if timeout:
            loop.passed_s += timeout
        return select(0 if timeout is not None else None)

    loop._selector.select = moving  # type: ignore[attr-defined]
    try:
        return loop.run_until_complete(test(loop))
    finally:
        loop.close()


def test_a_limit_is_over_once_its_time_has_passed() -> None:
    async def test(loop: _Loop) -> tuple[list[float], float]:
        over: list[float] = []
        allowance = Allowance(100.0, lambda: over.append(loop.time()))
        await asyncio.sleep(60)
        left = allowance.left_s
        await asyncio.sleep(60)
        return over, left

    over, left = _run(test)
    assert over == [pytest.approx(100.0, abs=0.01)]
    assert left == pytest.approx(40.0, abs=0.01)


def test_a_cancelled_limit_is_never_over() -> None:
    async def test(_: _Loop) -> list[int]:
        over: list[int] = []
        Allowance(10.0, lambda: over.append(1)).cancel()
        await asyncio.sleep(60)
        return over

    assert _run(test) == []


@pytest.mark.parametrize("before", [0.5, 5.0, 9.9])
def test_time_in_which_the_process_was_stopped_does_not_count(before: float) -> None:
    async def test(loop: _Loop) -> float:
        over: asyncio.Future[float] = loop.create_future()
        Allowance(10.0, lambda: over.set_result(loop.time()))
        loop.call_later(before, loop.stopped, 500.0)
        return await over

    assert _run(test) == pytest.approx(510.0, abs=1.0)


def test_what_ended_while_the_process_was_stopped_is_not_late() -> None:
    async def test(loop: _Loop) -> str:
        async def answered() -> str:
            ended: asyncio.Future[None] = loop.create_future()
            loop.call_later(9.95, lambda: (loop.stopped(60.0), loop.call_later(0.2, ended.set_result, None)))
            await ended
            return "answer"

        async with within(10.0):
            return await answered()

    assert _run(test) == "answer"


def test_what_ends_at_the_very_moment_is_not_late() -> None:
    async def test(loop: _Loop) -> str:
        ended: asyncio.Future[None] = loop.create_future()
        async with within(10.0):
            loop.call_at(10.0, ended.set_result, None)
            await ended
            return "answer"

    assert _run(test) == "answer"


def test_a_block_that_takes_too_long_is_ended_and_says_so() -> None:
    async def test(loop: _Loop) -> tuple[bool, float]:
        limit = None
        try:
            async with within(10.0) as limit:
                await asyncio.sleep(99)
        except TimeoutError:
            pass
        assert limit is not None
        return limit.expired(), loop.time()

    assert _run(test) == (True, pytest.approx(10.0, abs=0.01))


def test_to_collect_what_an_ended_process_gave_takes_no_time() -> None:
    async def test(loop: _Loop) -> float:
        async with within(10.0):
            ended: asyncio.Future[None] = loop.create_future()
            loop.call_later(9.8, ended.set_result, None)
            with collecting(ended):
                await ended
                await asyncio.sleep(1.5)
            return left_s()

    assert _run(test) == pytest.approx(AFTERWARDS_S, abs=0.01)


def test_a_second_process_of_the_same_attempt_has_what_is_left() -> None:
    async def test(loop: _Loop) -> float:
        try:
            async with within(10.0):
                for _ in range(9):
                    ended: asyncio.Future[None] = loop.create_future()
                    loop.call_later(3.0, ended.set_result, None)
                    with collecting(ended):
                        await ended
                        await asyncio.sleep(0)
        except TimeoutError:
            return loop.time()
        return 0.0

    assert _run(test) == pytest.approx(10.0, abs=0.1)


def test_without_a_limit_there_is_endless_time() -> None:
    async def test(_: _Loop) -> float:
        return left_s()

    assert _run(test) == float("inf")
