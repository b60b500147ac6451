"""Runs that are held while somebody is about to answer what they ask."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from symphony.app import RunHandle, Symphony
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

WORKFLOW = """
name: Asks
nodes:
  one: {control: approval, message: One?}
  two: {control: approval, message: Two?}
  other: {operator: debug.value, inputs: {value: 1}}
  both: {operator: debug.value, inputs: {value: "${{ one.comment }}"}, after: [two]}
outputs: {one: "${{ one.approved }}", two: "${{ two.approved }}", said: "${{ both.result }}"}
"""


async def asked(handle: RunHandle, most: int) -> list[str]:
    """The questions, once there are that many."""
    while len(found := [one.node for one in handle.progress().questions]) != most:  # noqa: ASYNC110
        await asyncio.sleep(0)
    return found


@pytest.mark.parametrize("memory", [False, True])
async def test_a_run_waits_here_for_the_answers_of_somebody_who_is_about_to_give_them(
    tmp_path: Path, memory: bool
) -> None:
    async with Symphony.open(tmp_path, memory=memory) as symphony:
        symphony.attend(bool)
        handle = await symphony.start(loads(WORKFLOW, "yaml"))
        assert await asked(handle, 2) == ["one", "two"]
        handle.answer("one", approved=True, comment="good")
        assert await asked(handle, 1) == ["two"]
        handle.answer("two", approved=True)
        result = await handle.result()
    assert result.status is RunStatus.SUCCEEDED
    assert result.outputs == {"one": True, "two": True, "said": "good"}


async def test_a_run_ends_as_waiting_once_nobody_is_about_to_answer_any_more(tmp_path: Path) -> None:
    left = set[str]()

    def about_to_answer(nodes: Sequence[str]) -> bool:
        return bool(set(nodes) - left)

    async with Symphony.open(tmp_path) as symphony:
        symphony.attend(about_to_answer)
        handle = await symphony.start(loads(WORKFLOW, "yaml"))
        await asked(handle, 2)
        handle.answer("one", approved=False)
        await asked(handle, 1)
        left.add("two")
        assert not handle.task.done()
        handle.unattended()
        assert (await handle.result()).status is RunStatus.WAITING
        again = await symphony.resume(handle.run_id)
        assert (await again.result()).status is RunStatus.WAITING, "two is still left"


async def test_a_held_run_can_be_interrupted_and_cancelled(tmp_path: Path) -> None:
    async with Symphony.open(tmp_path) as symphony:
        symphony.attend(lambda _: True)
        first = await symphony.start(loads(WORKFLOW, "yaml"))
        await asked(first, 2)
        first.interrupt()
        assert (await first.result()).status is RunStatus.WAITING
        second = await symphony.resume(first.run_id)
        await asked(second, 2)
        second.cancel()
        assert (await second.result()).status is RunStatus.CANCELLED


async def test_progress_tells_of_fan_outs_and_of_the_workflows_own_nodes(tmp_path: Path) -> None:
    workflow = """
name: Fan
nodes:
  ask: {control: approval, message: Go?, for_each: "['a', 'b']"}
outputs: {}
"""
    async with Symphony.open(tmp_path) as symphony:
        symphony.attend(lambda _: True)
        handle = await symphony.start(loads(workflow, "yaml"))
        await asked(handle, 2)
        handle.answer("ask[0]", approved=True)
        await asked(handle, 1)
        progress = handle.progress()
        (fan,) = progress.fans
        assert (fan.name, fan.done, fan.count, fan.failed) == ("ask", 1, 2, 0)
        assert sum(progress.nodes.values()) == 1
        assert progress.took_s >= 0
        handle.cancel()
        await handle.result()
