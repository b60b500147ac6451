"""Conversions that fail show the value that they could not take, but nothing of a secret."""

from pathlib import Path

import pytest

from symphony.app import Symphony
from symphony.workflow import loads
from symphony.workflow.expressions import ExpressionFailed
from symphony.workflow.languages.cel_text import compiled_cel

LONG = "a" * 100


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("int(item)", "12x\n", 'cannot convert string to int: "12x\\n" in'),
        ("double(item)", LONG, f'cannot convert string to double: "{LONG[:59]}… in'),
        ("uint(item)", -1, "int is out of the range of uint: -1 in"),
        ("uint(item)", "-1", 'cannot convert string to uint: "-1" in'),
        ("int(item)", 1e30, "double is out of the range of int: 1e+30 in"),
        ("bool(item)", "maybe", 'cannot convert string to bool: "maybe" in'),
        ("timestamp(item)", "no", 'cannot convert string to timestamp: "no" in'),
        ("duration(item)", "5 parsecs", 'cannot convert string to duration: "5 parsecs" in'),
        ("int(item)", [1], "`int` does not take (list): [1] in"),
        ("int(item)", None, "`int` does not take (null) in"),
        ("string(item)", b"\xff", "the bytes are not a text in UTF-8 in"),
        ("int('1') + int(item.a)", {"a": "x"}, 'cannot convert string to int: "x" in'),
        ("int(timestamp(item))", "x", 'cannot convert string to timestamp: "x" in'),
        ("item.map(v, int(v))", ["1", "2", "q"], 'cannot convert string to int: "q" in'),
        ("item.all(v, int(v.n) > 0)", [{"n": "1"}, {"n": "q"}], 'cannot convert string to int: "q" in'),
        ("item.map(v, int(v + '0'))", ["1", "q"], "cannot convert string to int in"),
        ("item * 2", 2**62, "integer overflow in"),
    ],
)
def test_the_value_is_shown_in_part(text: str, value: object, said: str) -> None:
    with pytest.raises(ExpressionFailed) as failed:
        compiled_cel(text, ("item",)).render(lambda _: value)  # type: ignore[arg-type,return-value]
    assert failed.value.message.startswith(said)


@pytest.mark.parametrize("secret", ["supersecret", "supersecret" + "0123456789" * 9])
async def test_nothing_of_a_secret_is_shown(tmp_path: Path, secret: str) -> None:
    flow = """
name: W
env: [TOKEN]
nodes:
  lines: {operator: debug.value, inputs: {value: ["1", "x-${{ env.TOKEN }}"]}}
  every: {operator: debug.value, inputs: {value: "${{ lines.result.map(v, int(v)) }}"}, on_error: skip}
  one: {operator: debug.value, inputs: {value: "${{ int(lines.result[1]) }}"}, on_error: skip}
  each: {operator: data.map, inputs: {items: "${{ lines.result }}", expression: int(item)}, on_error: skip}
outputs: {it: "${{ int(env.TOKEN) }}"}
"""
    async with Symphony.open(tmp_path, memory=True) as symphony:
        handle = await symphony.start(loads(flow, "yaml"), environment={"TOKEN": secret})
        result = await handle.result()
    told = [error.message for node in result.nodes.values() if (error := node.error) is not None]
    assert len(told) == 3
    assert all('cannot convert string to int: "x-***' in message for message in told)
    assert result.error is not None
    assert "cannot convert string to int in" in result.error.message
    assert not any(secret[:4] in message for message in [*told, result.error.message])
