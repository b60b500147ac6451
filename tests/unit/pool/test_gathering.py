"""Several models for one holder, without processes."""

import asyncio

import pytest

from symphony.pit.pool.core.budget import PoolBudget
from symphony.pit.pool.keeping import Gathering, PoolTooSmall

SIZES = {"a": 10, "b": 10, "c": 10}


async def test_one_holder_at_a_time_collects_in_the_order_in_which_they_came() -> None:
    gathering = Gathering(PoolBudget(bytes_max=20), SIZES.__getitem__)
    order: list[str] = []

    async def collect(name: str) -> None:
        async with gathering.turn(["a", "b"]):
            order.append(f"{name} begins")
            await asyncio.sleep(0)
            order.append(f"{name} ends")

    async with asyncio.TaskGroup() as tasks:
        for name in "12":
            tasks.create_task(collect(name))
    assert order == ["1 begins", "1 ends", "2 begins", "2 ends"]


async def test_a_model_that_grows_ends_the_wait_for_what_does_not_fit_any_more() -> None:
    sizes = dict(SIZES)
    gathering = Gathering(PoolBudget(bytes_max=20), sizes.__getitem__)
    waits = asyncio.Event()

    async def collect() -> None:
        async with gathering.turn(["a", "b"]):
            waits.set()
            await asyncio.Event().wait()

    task = asyncio.ensure_future(collect())
    await waits.wait()
    gathering.measured()
    await asyncio.sleep(0)
    assert not task.done()
    sizes["a"] = 15
    gathering.measured()
    with pytest.raises(PoolTooSmall, match="a, b cannot be loaded at the same time: they need 25 bytes"):
        await task
    async with gathering.turn(["b"]):  # the turn is free again
        pass


async def test_a_timeout_of_the_block_itself_goes_through() -> None:
    gathering = Gathering(PoolBudget(bytes_max=20), SIZES.__getitem__)
    with pytest.raises(TimeoutError, match="mine"):
        async with gathering.turn(["a"]):
            raise TimeoutError("mine")
