"""What a failed node says of a value that does not fit."""

import pytest

from symphony import operator
from symphony.testing import run, workflow


@operator("own.pick", version="1.0.0", pure=True)
async def pick(what: str) -> object:
    """Give a value of some type."""
    return {"map": {"b": 1}, "text": "s", "mixed": ["x", 3], "number": 3, "nothing": None}[what]


@operator("own.join", version="1.0.0", pure=True)
async def join(parts: list[str]) -> str:
    """Join texts."""
    return "".join(parts)


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
