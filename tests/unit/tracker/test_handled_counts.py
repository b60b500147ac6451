"""How many failures of a run were handled: its result, its summary and its overview agree."""

import asyncio
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

from symphony import Symphony, operator
from symphony.cli.views.listing import lines_text
from symphony.ports.insight import NodeLine, Overview
from symphony.ports.runs import RunResult, RunStatus
from symphony.testing import workflow


@operator("own.odd", version="1.0.0", pure=True)
async def fails_if_odd(n: int) -> int:
    """Fail at odd numbers."""
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n


TRIES: dict[str, int] = {}


@operator("own.second", version="1.0.0")
async def second(name: str) -> int:
    """Succeed at the second attempt."""
    TRIES[name] = TRIES.get(name, 0) + 1
    if TRIES[name] < 2:
        raise ValueError("not yet")
    return 1


def counted(text: str, home: Path) -> tuple[RunResult, dict[str, NodeLine]]:
    """A run whose process and whose record say the same, and its nodes as an overview has them."""
    TRIES.clear()

    async def whole() -> tuple[RunResult, dict[str, NodeLine]]:
        async with Symphony.open(home, operators=[fails_if_odd, second]) as symphony:
            result = await (await symphony.start(workflow(f"name: T\n{text}"))).result()
            read = symphony.runs.result(result.run_id)
            [summary] = symphony.runs.list(limit=1)
            symphony.runs.close()
            [indexed] = symphony.runs.list(limit=1)
            said = (read.handled_failures, summary.handled_failures, indexed.handled_failures)
            assert set(said) == {result.handled_failures}
            return result, {line.name: line for line in symphony.runs.overview(result.run_id).lines}

    return asyncio.run(whole())


ODD = "operator: own.odd, inputs: {n: 1}"
EACH = 'operator: own.odd, inputs: {n: "${{ item }}"}'


SPARE = "b: {operator: debug.value, inputs: {value: [1]}}"
RETRY = "retry: {attempts: 2, initial: 1ms}"


@pytest.mark.parametrize(
    ("nodes", "count"),
    [
        (f"a: {{{ODD}, on_error: skip}}", 1),
        (f"a: {{{ODD}, on_error: {{value: {{result: 0}}}}}}", 1),
        (f"a: {{{ODD}, on_error: {{fallback: b}}}}\n  b: {{operator: debug.value, inputs: {{value: 1}}}}", 1),
        (f"a: {{{EACH}, for_each: [0, 1, 2, 3, 5], on_error: skip}}", 3),
        (f"a: {{{EACH}, for_each: [0, 1, 2], on_error: {{value: {{result: 0}}}}}}", 1),
        (f"a: {{{EACH}, for_each: [1, 3], on_error: {{fallback: b}}}}\n  {SPARE}", 1),
        (f"a: {{{EACH}, for_each: [1, 3], fail_fast: false, on_error: {{fallback: b}}}}\n  {SPARE}", 1),
        (f"a: {{operator: own.second, inputs: {{name: x}}, {RETRY}, on_error: skip}}", 0),
        (f"a: {{{ODD}, when: 'false', on_error: skip}}", 0),
        ('a: {operator: debug.value, inputs: {value: 1}, for_each: "dyn(3)", on_error: skip}', 1),
        (f"r: {{control: loop, until: iteration == 2, body: {{a: {{{ODD}, on_error: skip}}}}}}", 3),
    ],
)  # fmt: skip
def test_each_node_and_element_counts_whose_final_failure_was_handled(
    nodes: str, count: int, tmp_path: Path
) -> None:
    result, _ = counted(f"nodes:\n  {nodes}\n", tmp_path)
    assert (result.status, result.handled_failures) == ("succeeded", count)


def test_of_a_loop_that_was_tried_again_the_last_attempt_counts(tmp_path: Path) -> None:
    result, _ = counted(
        """
nodes:
  r:
    control: loop
    until: iteration == 1
    retry: {attempts: 2, initial: 1ms}
    body:
      a: {operator: own.odd, inputs: {n: 1}, on_error: skip}
      b: {operator: own.second, inputs: {name: b}, after: [a], join: any}
""".replace(", after: [a], join: any", ""),
        tmp_path,
    )
    assert (result.status, result.handled_failures) == ("succeeded", 2)
    assert result.nodes["r"].attempts == 2


def test_a_failure_that_nothing_handles_does_not_count(tmp_path: Path) -> None:
    each = f"a: {{{EACH}, for_each: [1, 3], concurrency: 1}}\n  b: {{{ODD}, on_error: skip}}"
    result, _ = counted(f"nodes:\n  {each}\n", tmp_path)
    assert result.status == "failed"
    assert result.handled_failures <= 1


def test_a_fallback_that_fails_too_has_handled_nothing(tmp_path: Path) -> None:
    result, _ = counted(f"nodes:\n  a: {{{ODD}, on_error: {{fallback: b}}}}\n  b: {{{ODD}}}\n", tmp_path)
    assert (result.status, result.handled_failures) == ("failed", 0)


def test_an_overview_says_how_many_elements_failed_and_why_the_first_did(tmp_path: Path) -> None:
    _, lines = counted(f"nodes:\n  a: {{{EACH}, for_each: [0, 1, 2, 3], on_error: skip}}\n", tmp_path)
    line = lines["a"]
    assert (line.handled, line.on_error, line.fans_out) == (2, "skip", True)
    assert line.error is not None
    assert line.error.message.startswith("a[1] 1: ")


def test_a_row_counts_the_failed_elements_for_which_one_fallback_stands_in(tmp_path: Path) -> None:
    each = EACH + ", for_each: [0, 1, 3], fail_fast: false, on_error: {fallback: b}"
    spare = 'b: {operator: debug.value, inputs: {value: "x"}}'
    result, lines = counted(f"nodes:\n  a: {{{each}}}\n  {spare}\n", tmp_path)
    assert (result.status, result.handled_failures) == ("succeeded", 1)
    table = lines_text(
        Overview(began_at=None, ended_at=None, lines=list(lines.values())), RunStatus.SUCCEEDED
    )
    assert "1 of 3 elements, 2 failed (replaced by the fallback)" in table


@pytest.mark.slow
def test_the_summary_line_the_lists_and_json_say_that_failures_were_handled(tmp_path: Path) -> None:
    (tmp_path / "flow.yaml").write_text("""
name: T
nodes:
  a:
    command: 'test "$N" != 1'
    for_each: '[0, 1, 2]'
    on_error: skip
    inputs: {n: "${{ item }}"}
""")
    command = CommandLine(tmp_path)
    _, told = command.type("run", "flow.yaml")
    assert "1 node, 1 failure handled; run" in told
    assert "1 failure handled" in command.type("runs", "list")[0]
    assert "2 of 3 elements, 1 failed (skipped)" in command.type("runs", "show", "last")[0]
    assert command.json("run", "flow.yaml")["handled_failures"] == 1
    assert command.json("runs", "list")[0]["handled_failures"] == 1
    assert command.json("runs", "show", "last")["handled_failures"] == 1
