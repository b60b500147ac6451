"""A hundred models at once, each a real process, on one machine."""

import asyncio
import selectors
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import psutil
import pytest
from tests.contracts.test_models import spec
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, until

from symphony.pit.pool import LocalModels
from symphony.pit.pool.core.health import BEAT_S
from symphony.pit.pool.heartbeat import UNUSED_MAX
from symphony.pit.pool.memory import memory_of

pytestmark = pytest.mark.slow

MANY: Final = 100
WATCHED_S: Final = 3.0


class CountingSelector(selectors.DefaultSelector):
    """Counts how often the loop has waited, which is how often it woke up."""

    waits = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.waits += 1
        return super().select(timeout)


def test_a_hundred_models_answer_at_once_and_wake_their_supervisor_no_more_than_ten_do(
    tmp_path: Path,
) -> None:
    selector = CountingSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        runner.run(whole(selector, tmp_path / "go"))


async def whole(selector: CountingSelector, go: Path) -> None:
    models = LocalModels({f"m{number}": spec() for number in range(MANY)})

    async def ask(model: str) -> Mapping[str, object]:
        return await models.invoke(model, {"texts": [f"until {go}", model]}, {})

    async with asyncio.timeout(2 * PATIENCE_S):
        calls = [asyncio.ensure_future(ask(f"m{number}")) for number in range(MANY)]
        await until(lambda: sum(len(one.users) for one in models.status().models) == MANY, every_s=0.05)
        pids = models.pids()
        assert len(set(pids.values())) == MANY
        go.touch()  # noqa: ASYNC240
        answers = await asyncio.gather(*calls)
        assert [answer["pid"] for answer in answers] == [pids[f"m{number}"] for number in range(MANY)]
        await until(lambda: all(one.measured for one in models.status().models), every_s=0.05)
        assert models.status().bytes_loaded < MANY * 1.5 * (memory_of(pids["m0"]) or 0)

        before = selector.waits
        await asyncio.sleep(WATCHED_S)
        beats = WATCHED_S / BEAT_S + 1
        assert beats / 2 < selector.waits - before < 2 * beats * (1 + UNUSED_MAX)
        assert models.pids() == pids
        await models.close()
    assert not [pid for pid in pids.values() if alive(pid)]
    assert not psutil.Process().children()
