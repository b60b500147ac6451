"""The end of a run and those who watch it."""

import asyncio
from pathlib import Path

import pytest

from symphony.app import Symphony, live
from symphony.workflow import loads

WORKFLOW = '{"symphony": 1, "name": "t", "nodes": {"a": {"operator": "debug.value", "inputs": {"value": 1}}}}'


def test_a_run_that_nobody_watches_waits_for_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PATIENCE_S", 3_600.0)

    async def run() -> None:
        async with Symphony.open(tmp_path / "home") as symphony, asyncio.timeout(60):
            handle = await symphony.start(loads(WORKFLOW, "json"))
            assert (await handle.result()).status == "succeeded"

    asyncio.run(run())
