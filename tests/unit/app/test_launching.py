"""How a run of this process ends for those around it."""

import asyncio
import threading
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony, launching
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

WORKFLOW = """
name: waits
nodes:
  first: {operator: launching.forever}
  then: {command: "true", after: [first]}
"""


@operator("launching.forever", version="1.0.0")
async def forever() -> None:
    """It waits until it is cancelled."""
    await asyncio.Event().wait()


def test_a_run_that_is_cancelled_as_soon_as_it_has_begun_lets_go_of_its_lock(tmp_path: Path) -> None:
    async def whole() -> str:
        async with Symphony.open(tmp_path / "home", operators=[forever]) as symphony:
            handle = await symphony.start(loads(WORKFLOW, "yaml"))
        assert not symphony.runs.lock(handle.run_id).held()
        return handle.run_id

    run_id = asyncio.run(whole())
    assert Symphony.open(tmp_path / "home").runs.status(run_id) is RunStatus.INTERRUPTED


def test_a_run_lets_go_of_all_it_has_however_often_its_task_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ending, going = threading.Event(), threading.Event()

    def ended(marks: object) -> int:
        ending.set()
        going.wait(10)
        return 0

    monkeypatch.setattr(launching, "end_escaped", ended)

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home", operators=[forever]) as symphony:
            handle = await symphony.start(loads(WORKFLOW, "yaml"))
            handle.task.cancel()
            assert await asyncio.to_thread(ending.wait, 10)
            handle.task.cancel()
            await asyncio.wait({handle.task})
            going.set()
            assert handle.task.cancelled()
            assert not symphony.runs.lock(handle.run_id).held()
            assert symphony.runs.status(handle.run_id) is RunStatus.INTERRUPTED
            with pytest.raises(KeyError):  # nobody is told of it any more
                await symphony.live.ended(handle.run_id)

    asyncio.run(whole())
