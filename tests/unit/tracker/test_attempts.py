"""Attempts that are stopped before they have begun, and attempts that the engine cannot report."""

import asyncio
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.pit.tracker.engine.transitions import Transitions
from symphony.ports.runs import RunResult
from symphony.workflow import loads

BEGUN: list[str] = []


@operator("test.long", version="1.0.0", pure=True, inline=False)
async def long() -> None:
    """Never ends by itself."""
    BEGUN.append("long")
    await asyncio.Event().wait()


@pytest.mark.parametrize("beside", ["operator: test.long", "command: echo begun > file"])
def test_work_that_is_stopped_before_its_first_turn_is_cancelled_and_the_run_ends(
    beside: str, tmp_path: Path
) -> None:
    text = f"name: t\nnodes:\n  a: {{{beside}}}\n  b: {{operator: debug.fail}}\n"

    async def whole() -> RunResult:
        async with Symphony.open(memory=True, operators=[long]) as symphony:
            handle = await symphony.start(loads(text, "yaml"), cwd=tmp_path)
            return await asyncio.wait_for(handle.result(), 20)

    BEGUN.clear()
    result = asyncio.run(whole())
    assert {name: str(node.status) for name, node in result.nodes.items()} == {
        "a": "cancelled",
        "b": "failed",
    }
    assert (BEGUN, list(tmp_path.iterdir())) == ([], [])


def test_a_fault_of_the_engine_itself_ends_the_run_instead_of_letting_it_stand(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(*arguments: object, **named: object) -> None:
        raise RuntimeError("the engine is broken")

    monkeypatch.setattr(Transitions, "finished", broken)
    monkeypatch.setattr(Transitions, "failed", broken)

    async def whole() -> RunResult:
        async with Symphony.open(memory=True) as symphony:
            handle = await symphony.start(loads("name: t\nnodes:\n  a: {command: 'true'}\n", "yaml"))
            return await asyncio.wait_for(handle.result(), 20)

    with pytest.raises(RuntimeError, match="the engine is broken"):
        asyncio.run(whole())
