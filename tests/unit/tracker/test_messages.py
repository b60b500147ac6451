"""What a failed node says of a value that does not fit."""

from pathlib import Path

import pytest

from symphony import Operator, Symphony, operator
from symphony import run as run_kept
from symphony.testing import run, workflow


@operator("own.pick", version="1.0.0", pure=True)
async def pick(what: str) -> object:
    """Give a value of some type."""
    return {"map": {"b": 1}, "text": "s", "mixed": ["x", 3], "number": 3, "nothing": None}[what]


@operator("own.join", version="1.0.0", pure=True)
async def join(parts: list[str]) -> str:
    """Join texts."""
    return "".join(parts)


@operator("own.sync", version="1.0.0")
def in_a_thread(n: int) -> int:
    """Divide."""
    return 1 // n


@operator("own.inline", version="1.0.0")
async def inline(n: int) -> int:
    """Divide."""
    return 1 // n


@operator("own.batched", version="1.0.0", pure=True)
def batched(n: int) -> int:
    """Divide."""
    return 1 // n


@pytest.mark.parametrize("one", [in_a_thread, inline, batched], ids=lambda one: one.info.name)
@pytest.mark.parametrize("node", ["inputs: {n: 0}", 'for_each: [0], inputs: {n: "${{ item }}"}'])
def test_the_log_has_the_traceback_of_what_an_operator_raised(
    one: Operator, node: str, tmp_path: Path
) -> None:
    text = f"name: T\nnodes:\n  f: {{operator: {one.info.name}, {node}}}\n"
    result = run_kept(workflow(text), home=tmp_path, operators=[one])
    lines = [line.text for line in Symphony.open(tmp_path).runs.logs(result.run_id, "f", stream="stderr")]
    written = "".join(lines).rstrip("\n")
    assert written.startswith("Traceback")
    assert written.endswith("ZeroDivisionError: integer division or modulo by zero")
    assert written.count("Traceback") == 1


@pytest.mark.parametrize(
    ("what", "reader", "message"),
    [
        ("map", '{operator: own.join, inputs: {parts: "${{ p.result }}"}}',
         "input parts: a map is not a list[string], from p.result"),
        ("nothing", '{operator: own.join, inputs: {parts: "${{ p.result }}"}}',
         "input parts: null is not a list[string], from p.result"),
        ("mixed", '{operator: own.join, inputs: {parts: "${{ p.result }}"}}',
         "input parts: element 1: an integer is not a string, from p.result"),
        ("mixed", '{operator: own.pick, inputs: {what: "${{ p.result }}"}}',
         "input what: a list is not a string, from p.result"),
        ("number", '{command: "true", when: p.result}', "when gave an integer, not true or false"),
        ("nothing", '{control: branch, condition: p.result}', "condition gave null, not true or false"),
        ("mixed", '{operator: own.pick, inputs: {what: text}, artifact: {name: "${{ p.result }}"}}',
         "artifact.name gave a list, not a string"),
    ],
)  # fmt: skip
def test_the_port_the_type_and_where_the_value_comes_from_are_named(
    what: str, reader: str, message: str
) -> None:
    text = f"name: T\nnodes:\n  p: {{operator: own.pick, inputs: {{what: {what}}}}}\n  r: {reader}\n"
    outcome = run(workflow(text), operators=[pick, join])
    outcome.assert_failed(code="type-mismatch", node="r")
    assert outcome.result.error is not None
    assert outcome.result.error.message == message
