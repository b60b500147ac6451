"""Output that exceeds its bound: the node fails only if something reads it."""

import asyncio
import sys
from pathlib import Path
from typing import TypedDict

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.kit.processes import CUT_BYTES, run_process
from symphony.ports.outputs import OutputCut
from symphony.ports.runs import RunResult, RunStatus
from symphony.workflow import loads


class _Given(TypedDict):
    stdout: str
    stderr: str


@operator("cut.print", version="1.0.0")
async def print_much() -> _Given:
    """Print more to stdout than may be kept."""
    raise OutputCut("stdout exceeds 1 MiB", ports=("stdout",), outputs={"stdout": "a…z", "stderr": "e"})


def _run(home: Path, rest: str) -> RunResult:
    async def whole() -> RunResult:
        async with Symphony.open(home, operators=[print_much]) as symphony:
            text = f"name: cut\nnodes:\n  build: {{operator: cut.print}}\n{rest}"
            return await (await symphony.start(loads(text, "yaml"))).result()

    return asyncio.run(whole())


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "  next: {control: delay, for: 0ms, after: [build]}\n",
        'outputs: {told: "${{ build.stderr }}"}\n',
    ],
    ids=["nothing else", "a node after it", "another port is read"],
)
def test_a_node_succeeds_if_nothing_reads_the_output_that_was_cut(tmp_path: Path, rest: str) -> None:
    assert _run(tmp_path, rest).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize(
    "rest",
    [
        'outputs: {all: "${{ build.stdout }}"}\n',
        '  next: {control: delay, for: 0ms, when: "${{ size(build.stdout) > 1 }}"}\n',
    ],
    ids=["an output", "a node"],
)
def test_a_node_fails_if_something_reads_the_output_that_was_cut(tmp_path: Path, rest: str) -> None:
    result = _run(tmp_path, rest)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.code == "limit-exceeded"


@pytest.mark.slow
def test_a_process_that_prints_too_much_runs_to_its_end_and_loses_the_middle(tmp_path: Path) -> None:
    code = "import sys; sys.stdout.write('a' * 3_000_000 + 'm' * 3_000_000 + 'z' * 3_000_000); sys.exit(7)"
    ended = asyncio.run(
        run_process((sys.executable, "-c", code), cwd=tmp_path, env={}, output_bytes_max=4_000_000, cuts=True)
    )
    assert ended.exit_code == 7
    assert ended.cut == ("stdout",)
    assert ended.stdout[:CUT_BYTES] == b"a" * CUT_BYTES
    assert ended.stdout[-CUT_BYTES:] == b"z" * CUT_BYTES
    assert (
        ended.stdout[CUT_BYTES:-CUT_BYTES] == f"\n[{9_000_000 - 2 * CUT_BYTES:,} bytes left out]\n".encode()
    )
