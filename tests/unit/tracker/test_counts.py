"""How many nodes of a run stand where: counted without making a result for each."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from symphony import Symphony, operator
from symphony.cli.actions.running import RunOutcome
from symphony.pit.tracker.core.lazy_nodes import LazyNodes
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.workflow import loads


@operator("test.odd", version="1.0.0", pure=True)
async def odd(number: int) -> int:
    """The number, if it is odd."""
    if number % 2 == 0:
        raise ValueError("even")
    return number


NODES = {
    "numbers": {"operator": "debug.value", "inputs": {"value": [1, 2, 3, 4, 5]}},
    "each": {
        "operator": "test.odd", "for_each": "${{ numbers.result }}", "inputs": {"number": "${{ item }}"},
        "on_error": "skip",
    },
    "never": {"operator": "debug.value", "when": "false", "inputs": {"value": 1}},
    "rounds": {
        "control": "loop", "max_iterations": 3, "until": "false", "on_error": "skip",
        "state": {"n": "${{ 1 }}"}, "next": {"n": "state.n + 1"},
        "body": {"step": {"operator": "debug.value", "inputs": {"value": 1}}},
    },
    "again": {"operator": "test.odd", "inputs": {"number": 2}, "retry": {"attempts": 2}, "on_error": "skip"},
}  # fmt: skip


@dataclass
class Seen:
    """A run that ended: its result, and how its slots stood at the end."""

    result: RunResult
    standing: dict[NodeStatus, int]
    replay: RunReplay


async def ran(home: Path) -> list[Seen]:
    """A run, and one that takes over what succeeded in it."""
    workflow = loads(json.dumps({"symphony": 1, "name": "t", "nodes": NODES}), "json")
    async with Symphony.open(home, operators=[odd]) as symphony:
        first = await symphony.start(workflow)
        await first.result()
        handles, out = (first, await symphony.rerun(first.run_id)), list[Seen]()
        for handle in handles:
            result, counts = await handle.result(), handle.progress().counts
            out.append(Seen(result, dict(counts), symphony.runs.replay(handle.run_id)))
        return out


def test_counts_are_those_of_the_nodes_one_by_one(tmp_path: Path) -> None:
    for seen in asyncio.run(ran(tmp_path / "home")):
        own = Counter(one.status for name, one in seen.result.nodes.items() if not set("[.#") & set(name))
        assert seen.result.counts == own
        machine = seen.replay.machine
        slots = [slot for slot in range(len(machine.status)) if slot not in machine.groups]
        assert seen.standing == Counter(map(seen.replay.status, slots)) == seen.replay.standing()
    assert seen.standing[NodeStatus.CACHED] > 2


def test_a_result_is_spelled_without_its_nodes(tmp_path: Path) -> None:
    result = asyncio.run(ran(tmp_path / "home"))[0].result
    assert isinstance(result.nodes, LazyNodes)
    outcome = RunOutcome(result=result, elapsed_s=1.0, stopped_by=None)
    assert "each" not in repr(result) + repr(outcome)
    assert len(repr(outcome)) < 100
    assert result.status is RunStatus.SUCCEEDED
