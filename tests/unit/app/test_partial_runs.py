"""A run of some of its workflow's nodes says so wherever it is shown."""

import asyncio
from pathlib import Path

from symphony import RunResult, Symphony
from symphony.app import spelling
from symphony.cli.console.blocks import BlockPage
from symphony.cli.views.ending import closing_text
from symphony.cli.views.listing import runs_text
from symphony.ports.runs import RunSummary
from symphony.workflow import loads

FLOW = """
name: flow
nodes:
  a: {operator: debug.value, inputs: {value: 1}}
  b: {operator: debug.value, inputs: {value: "${{ a.result }}"}}
  c: {operator: debug.value, inputs: {value: "${{ b.result }}"}}
outputs: {b: "${{ b.result }}", c: "${{ c.result }}"}
"""


async def both(home: Path) -> tuple[list[RunResult], list[RunSummary]]:
    """A run of one node, then one of all: as they ended, and as a later process finds them."""
    async with Symphony.open(home) as symphony:
        part = symphony.prepare(loads(FLOW, "yaml"), nodes=["b"])
        ended = [await (await symphony.start(one)).result() for one in (part, loads(FLOW, "yaml"))]
    runs = Symphony.open(home).runs
    shown = [runs.result(run.run_id) for run in ended]
    assert [list(run.only) for run in shown] == [list(run.only) for run in ended]
    return ended, runs.list()[::-1]


def test_its_result_and_its_line_in_lists_have_the_nodes_that_were_asked_for(tmp_path: Path) -> None:
    results, lines = asyncio.run(both(tmp_path))
    assert [list(run.only) for run in results] == [["b"], []]
    assert [list(run.only) for run in lines] == [["b"], []]
    assert [spelling.result(run).get("only") for run in results] == [["b"], None]
    assert [spelling.summary(run).get("only") for run in lines] == [["b"], None]


def test_people_are_told_in_the_last_line_and_in_the_list(tmp_path: Path) -> None:
    results, lines = asyncio.run(both(tmp_path))
    told = [closing_text(run, 1.0, BlockPage(width=80, colours=False), "3f1c09ab") for run in results]
    assert told == [
        "succeeded in 1.0 s: 2 nodes, only for b; run flow-1 (3f1c09ab)",
        "succeeded in 1.0 s: 3 nodes; run flow-2 (3f1c09ab)",
    ]
    first, second = runs_text(lines, {run.run_id: "3f1c09ab" for run in lines}).splitlines()[1:]
    assert first.endswith("only for b")
    assert "only" not in second
