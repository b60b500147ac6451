"""Real processes that hang are noticed within a second, and those that work are left alone."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from time import monotonic

import psutil
import pytest
from tests.contracts.test_models import spec
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, until

from symphony.pit.pool import LocalModels
from symphony.ports.models import ModelFailed
from symphony.ports.pool import LeaseLost, ModelPhase, PoolEvent

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")]

NOTICED_S = 1.0
SPARE_S = 2.0
"""For a machine that has other things to do."""

Make = Callable[..., LocalModels]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LocalModels] = []

    def pool(step_cpu_s: float | None = None, tell: Callable[[PoolEvent], None] | None = None) -> LocalModels:
        made.append(LocalModels({"m": replace(spec(), step_cpu_s=step_cpu_s)}, tell=tell))
        return made[-1]

    yield pool
    async with asyncio.timeout(PATIENCE_S):
        for one in made:
            await one.close()


async def ask(models: LocalModels, text: str) -> object:
    return (await models.invoke("m", {"texts": [text]}, {}))["vectors"]


async def test_a_stopped_process_is_ended_within_a_second_and_another_one_answers(make: Make) -> None:
    models = make()
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        await asyncio.sleep(0.5)  # a few answers to pings
        first = models.pids()["m"]
        os.kill(first, signal.SIGSTOP)
        began_s = monotonic()
        await until(lambda: not alive(first), every_s=0.01)
        assert monotonic() - began_s < NOTICED_S + SPARE_S
        assert "stopped by a signal" in models.status().models[0].reason
        assert await ask(models, "ab") == [[2, 0]]
        assert models.pids()["m"] != first


@pytest.mark.parametrize(
    ("order", "step_cpu_s", "why"),
    [
        ("stop", None, "it was stopped by a signal"),
        ("stuck-whole", None, "all of its threads sleep"),
        ("stuck", 10.0, "a deadlock"),
        ("loop", 0.5, "an endless loop"),
    ],
)
async def test_a_call_that_hangs_is_asked_once_more_and_then_fails(
    make: Make, tmp_path: Path, order: str, step_cpu_s: float | None, why: str
) -> None:
    heard: list[PoolEvent] = []
    models = make(step_cpu_s, heard.append)
    mark = tmp_path / "mark"
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        await asyncio.sleep(0.5)
        began_s = monotonic()
        with pytest.raises(ModelFailed, match=f"it hung: .*{why}.*twice") as caught:
            await ask(models, f"{order} {mark}")
        # A loop is told by processor time, of which other tests leave as much as they like.
        assert order == "loop" or monotonic() - began_s < 2 * (NOTICED_S + SPARE_S)
        assert mark.exists()
        assert caught.value.hint == "this input may be too much for the model"
        assert [type(one) for one in heard].count(LeaseLost) == 2
        assert await ask(models, "ab") == [[2, 0]]


@pytest.mark.parametrize(
    ("order", "step_cpu_s"),
    [("busy 3", None), ("busy 3", 1.5), ("busy-whole 3", None), ("busy-whole 3", 10.0), ("take 2000", None)],
)
async def test_a_call_that_takes_long_is_left_alone(make: Make, order: str, step_cpu_s: float | None) -> None:
    models = make(step_cpu_s)
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        first = models.pids()["m"]
        assert await ask(models, order) == [[len(order), 0]]
        assert models.pids()["m"] == first


async def test_a_loop_that_was_held_up_itself_blames_nobody(make: Make) -> None:
    models = make()
    async with asyncio.timeout(PATIENCE_S):
        await ask(models, "a")
        first = models.pids()["m"]
        for _ in range(3):
            await asyncio.sleep(0.31)
            os.kill(first, signal.SIGSTOP)
            began_s = monotonic()
            while monotonic() - began_s < 1.5:
                pass
            os.kill(first, signal.SIGCONT)
        await asyncio.sleep(0.7)
        assert await ask(models, "ab") == [[2, 0]]
        assert models.pids()["m"] == first


async def test_a_process_that_is_stopped_while_it_loads_is_replaced(make: Make) -> None:
    models = LocalModels({"m": spec("silent")})
    warming = asyncio.ensure_future(models.warm("m"))
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: models.pids() != {}, every_s=0.01)
        await asyncio.sleep(1.5)  # it has answered pings, though it is still loading
        first = models.pids()["m"]
        assert models.status().models[0].phase is ModelPhase.WARMING
        os.kill(first, signal.SIGSTOP)
        await until(lambda: not psutil.pid_exists(first), every_s=0.01)
        await models.close()
    await asyncio.wait([warming])
