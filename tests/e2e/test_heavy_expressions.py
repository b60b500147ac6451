"""The worst that expressions can do: the run goes on beside them, and ends them when it is told to."""

import asyncio
import json
import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, longest_wait, wait_until

from symphony import Symphony
from symphony.commons.settings import Config, SymphonyConfig
from symphony.ports.runs import RunStatus
from symphony.ports.values import Value
from symphony.workflow import loads

pytestmark = pytest.mark.slow

TIMES_IDLE = 10
ROUNDS = 3
"""The best one counts: other programs disturb a single one."""
FOREVER = "inputs.l.map(a, inputs.l.filter(b, b == a))"
"""Of so many elements as below it takes more than half a minute."""
MANY = list(range(9_000))
SMALL = Config(symphony=SymphonyConfig(value_mb=16))


def rows(count: int) -> list[Value]:
    return [{"id": i, "name": f"n{i}", "a": 1.5, "b": None} for i in range(count)]


def value(source: str) -> Mapping[str, object]:
    return {"nodes": {"n": {"operator": "debug.value", "inputs": {"value": source}}}}


ONE = {"operator": "debug.value", "inputs": {"value": 1}}
WORST: Mapping[str, tuple[Mapping[str, object], Mapping[str, Value]]] = {
    "a filter": (value("${{ size(inputs.r.filter(r, r.id >= 0)) }}"), {"r": rows(100_000)}),
    "a table": (value("${{ inputs.r.filter(r, r.id >= 0) }}"), {"r": rows(20_000)}),
    "a text": (value("so ${{ inputs.r }} it is"), {"r": rows(30_000)}),
    "a nest": (value(f"${{{{ size({FOREVER}) }}}}"), {"l": list(range(1_500))}),
    "sums": (value("${{ size(" + " + ".join(["inputs.s"] * 200) + ") }}"), {"s": "x" * 400_000}),
    "contains": (
        value("${{ inputs.s.contains('a' + inputs.t + 'b') }}"),
        {"s": "a" * 300_000, "t": "a" * 150_000},
    ),
    "matches": (value("${{ inputs.s.matches('(.{0,100}){9}b') }}"), {"s": "x" * 30_000}),
    "when": ({"nodes": {"n": {**ONE, "when": "inputs.r.all(r, r.id >= 0)"}}}, {"r": rows(100_000)}),
    "for_each": (
        {
            "nodes": {
                "n": {
                    "operator": "debug.value",
                    "for_each": "inputs.l.filter(i, i < 60)",
                    "inputs": {"value": "${{ size(inputs.r.filter(r, r.id >= item)) }}"},
                }
            }
        },
        {"l": list(range(3_000)), "r": rows(400)},
    ),
    "a loop": (
        {
            "nodes": {
                "n": {
                    "control": "loop",
                    "state": {"x": 0},
                    "until": "inputs.r.exists(r, r.id < 0) || state.x > 2",
                    "next": {"x": "size(inputs.r.filter(r, r.id < state.x + 1))"},
                    "body": {"b": ONE},
                }
            }
        },
        {"r": rows(5_000)},
    ),
    "an output": (
        {"nodes": {"n": ONE}, "outputs": {"o": "${{ size(inputs.r.map(r, r.id)) }}"}},
        {"r": rows(30_000)},
    ),
}


def document(parts: Mapping[str, object], given: Mapping[str, Value]) -> bytes:
    inputs = {name: {"type": "list[integer]" if name == "l" else "any"} for name in given}
    return json.dumps({"name": "W", "inputs": inputs, **parts}).encode()


@pytest.mark.parametrize("name", WORST)
async def test_the_worst_expression_holds_nothing_else_up(name: str, tmp_path: Path) -> None:
    parts, given = WORST[name]
    workflow, best = loads(document(parts, given), "json"), float("inf")
    async with Symphony.open(tmp_path / "home") as symphony:
        # a first call, so that starting the worker is not measured
        warm = value("${{ size(inputs.r.filter(r, r.id >= 0)) }}")
        small: Mapping[str, Value] = {"r": rows(3_000)}
        await (await symphony.start(loads(document(warm, small), "json"), small)).result()
        for _ in range(ROUNDS):
            idle = max(await longest_wait(None), 0.02)
            handle = await symphony.start(workflow, given)
            ended = asyncio.ensure_future(handle.result())
            best = min(best, await longest_wait(ended) / idle)
            result = await ended
            assert result.status is RunStatus.SUCCEEDED, result.error
            if best < TIMES_IDLE:
                return
    pytest.fail(f"the loop was held {best:.1f} times as long as when it was idle")


PLACES: Mapping[str, Mapping[str, object]] = {
    "inputs": value(f"${{{{ {FOREVER} }}}}"),
    "when": {"nodes": {"n": {**ONE, "when": f"size({FOREVER}) > 0"}}},
    "outputs": {"nodes": {"n": ONE}, "outputs": {"o": f"${{{{ {FOREVER} }}}}"}},
    "while": {
        "nodes": {
            "n": {"control": "loop", "state": {"x": 0}, "while": f"size({FOREVER}) > 0", "body": {"b": ONE}}
        }
    },
}


@pytest.mark.parametrize("place", PLACES)
async def test_a_run_is_cancelled_in_the_middle_of_an_expression(place: str, tmp_path: Path) -> None:
    given: Mapping[str, Value] = {"l": MANY}
    async with Symphony.open(tmp_path / "home") as symphony:
        handle = await symphony.start(loads(document(PLACES[place], given), "json"), given)
        ended = asyncio.ensure_future(handle.result())
        while not (workers := children()):  # noqa: ASYNC110  (a process tells no event)
            await asyncio.sleep(0.05)
        handle.cancel()
        result = await asyncio.wait_for(ended, PATIENCE_S)
        assert result.status is RunStatus.CANCELLED
        assert not any(map(alive, workers))


@pytest.mark.parametrize("place", ["inputs", "when", "while"])
async def test_the_timeout_of_a_node_ends_its_expressions(place: str, tmp_path: Path) -> None:
    parts = json.loads(json.dumps(PLACES[place]))
    parts["nodes"]["n"]["timeout"] = "1s"
    given: Mapping[str, Value] = {"l": MANY}
    async with Symphony.open(tmp_path / "home") as symphony:
        handle = await symphony.start(loads(document(parts, given), "json"), given)
        result = await asyncio.wait_for(handle.result(), PATIENCE_S)
    assert result.error is not None
    assert (result.error.code, result.error.message) == ("timeout", "it took longer than 1s")


async def test_memory_is_bounded_while_an_expression_grows(tmp_path: Path) -> None:
    doubled = value("${{ size([inputs.s]" + ".map(a, a + a)" * 20 + ") }}")  # a terabyte
    given: Mapping[str, Value] = {"s": "x" * 1_000_000}
    async with Symphony.open(tmp_path / "home", config=SMALL) as symphony:
        handle = await symphony.start(loads(document(doubled, given), "json"), given)
        result = await asyncio.wait_for(handle.result(), PATIENCE_S)
    assert result.error is not None
    assert result.error.code == "limit-exceeded"
    assert result.error.message == "an expression needs more than 1,024 MiB of memory"


async def test_a_sum_that_is_too_large_is_refused_before_it_is_made(tmp_path: Path) -> None:
    summed = value("${{ " + " + ".join(["inputs.s"] * 300) + " }}")
    given: Mapping[str, Value] = {"s": "x" * 5_000_000}
    async with Symphony.open(tmp_path / "home", config=SMALL) as symphony:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        handle = await symphony.start(loads(document(summed, given), "json"), given)
        result = await handle.result()
        grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert not children(), "no worker was needed"
    assert result.error is not None
    assert result.error.message == "input value of n is larger than 16 MiB"
    assert grown_kib < 500 * 1024  # the sum has 1,500 MB


async def test_what_a_macro_makes_too_large_is_named_too(tmp_path: Path) -> None:
    grown = value("${{ [inputs.s]" + ".map(a, a + a)" * 6 + " }}")
    given: Mapping[str, Value] = {"s": "x" * 1_000_000}
    async with Symphony.open(tmp_path / "home", config=SMALL) as symphony:
        handle = await symphony.start(loads(document(grown, given), "json"), given)
        result = await handle.result()
    assert result.error is not None
    assert result.error.message == "input value of n is larger than 16 MiB"


@pytest.mark.parametrize(("how", "status"), [("ctrl-c", 130), ("cancel", 3)])
def test_a_process_ends_soon_that_is_told_to_in_the_middle_of_an_expression(
    how: str, status: int, tmp_path: Path
) -> None:
    given: Mapping[str, Value] = {"l": MANY}
    line = CommandLine(tmp_path)
    (tmp_path / "wf.json").write_bytes(document(PLACES["inputs"], given))
    (tmp_path / "given.json").write_text(json.dumps(MANY), encoding="utf-8")
    process = line.start("run", "wf.json", "--input-file", "l=given.json")
    wait_until(lambda: children(process.pid), process)
    workers = children(process.pid)
    if how == "ctrl-c":
        process.send_signal(signal.SIGINT)
    else:
        _, err = line.type("runs", "cancel", line.json("runs", "list")[0]["run_id"])
        assert not err, err
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == status, err
    assert not any(map(alive, workers))


def children(parent: int | None = None) -> list[int]:
    """The worker processes below a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            above = int((folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
            words = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if above == (os.getpid() if parent is None else parent) and b"symphony.pit.workers.process" in words:
            found.append(int(folder.name))
    return found
