"""What is told of failures: enough to mend them, and no secret."""

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunError
from symphony.workflow import loads

TOKEN = "c0rrect-horse-battery"


@operator("failing.hinting", version="1.0.0")
async def hinting(token: str | None) -> str:
    """Give the secret away in every part of the error."""
    raise SymphonyError(f"refused: {token}", code="refused", hint=f"not {token}")


NODE = "nodes: {a: {operator: failing.hinting, inputs: {token: '${{ env.TOKEN }}'}}}"
OUTPUT = """
nodes: {a: {operator: data.range, inputs: {count: 1}}}
outputs: {n: '${{ {"a": 1}[env.TOKEN] }}'}
"""


async def failed(text: str) -> RunError:
    workflow = loads(f"name: Failing\nenv: [TOKEN]\n{text}".encode(), "yaml")
    async with Symphony.open(memory=True, operators=[hinting]) as symphony:
        run = await symphony.start(workflow, environment={"TOKEN": TOKEN})
        error = (await run.result()).error
    assert error is not None
    return error


@pytest.mark.parametrize("text", [NODE, OUTPUT], ids=["of a node", "of the workflow's outputs"])
async def test_no_part_of_a_failure_shows_a_secret(text: str) -> None:
    error = await failed(text)
    assert TOKEN not in f"{error.message} {error.hint}"


async def test_a_failure_keeps_its_words_around_a_secret() -> None:
    error = await failed(NODE)
    assert (error.code, error.message, error.hint) == ("refused", "refused: ***", "not ***")
