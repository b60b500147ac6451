"""Expressions in `on_error: {value: …}` and in the name of an artifact."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from symphony import Context, operator, run
from symphony.app import Symphony
from symphony.commons.errors import SerializationFailed
from symphony.pit.tracker.core.records import FailedRecord, decode_batch, encode_batch, usage_of, usage_row
from symphony.ports.models import Usage
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.values import ArtifactRef
from symphony.workflow import loads


@operator("test.broken", version="1.0.0", pure=True)
def broken(value: int) -> int:
    """Fails, whatever it is given."""
    raise RuntimeError(f"cannot take {value}")


@operator("test.text", version="1.0.0", pure=True)
def text_of(value: int) -> str:
    """The value as text."""
    return f"text {value}"


@operator("test.unlucky", version="1.0.0", pure=True)
def unlucky(context: Context) -> int:
    """Fails at its first attempt."""
    if context.attempt < 2:
        raise RuntimeError("not yet")
    return 2


OPERATORS = [broken, text_of, unlucky]


def ran(text: str, **inputs: object) -> RunResult:
    workflow = loads(f"name: test\n{text}", "yaml")
    return run(workflow, dict(inputs), operators=OPERATORS, memory=True)  # type: ignore[arg-type]


def test_the_value_after_a_failure_reads_inputs_and_nodes_and_waits_for_these() -> None:
    result = ran("""
inputs: {n: {type: integer}}
nodes:
  wait: {control: delay, for: 20ms}
  spare: {operator: debug.value, inputs: {value: 40}, after: [wait]}
  x:
    operator: test.broken
    inputs: {value: 1}
    on_error: {value: {result: "${{ int(spare.result) + inputs.n }}"}}
  more: {operator: debug.value, inputs: {value: "${{ x.result + 1 }}"}}
outputs: {more: "${{ more.result }}"}
""", n=2)  # fmt: skip
    assert result.outputs == {"more": 43}
    assert result.nodes["x"].status == "succeeded"
    assert result.nodes["x"].error is not None


def test_the_value_after_the_failure_of_an_element_sees_item_index_and_the_state_around() -> None:
    result = ran("""
nodes:
  rounds:
    control: loop
    state: {all: []}
    until: iteration == 1
    body:
      x:
        operator: test.broken
        for_each: "[5, 6]"
        inputs: {value: "${{ item }}"}
        on_error: {value: {result: "${{ item * 100 + index * 10 + iteration }}"}}
    next: {all: state.all + x.result}
outputs: {all: "${{ rounds.all }}"}
""")
    assert result.outputs == {"all": [500, 610, 501, 611]}


def test_the_value_stands_in_after_the_last_attempt_alone() -> None:
    result = ran("""
nodes:
  x:
    operator: test.unlucky
    retry: {attempts: 2, initial: 1ms}
    on_error: {value: {result: "${{ 1 / 0 }}"}}
outputs: {x: "${{ x.result }}"}
""")
    assert result.outputs == {"x": 2}


@pytest.mark.parametrize(
    ("value", "said"),
    [("${{ 1 / inputs.zero }}", "no value"), ("${{ inputs.words }}", "on_error.value.result")],
)
def test_a_value_that_cannot_be_had_fails_the_node_for_the_first_reason(
    value: str, said: str, tmp_path: Path
) -> None:
    text = f"""
name: test
inputs: {{zero: {{type: integer, default: 0}}, words: {{type: any, default: words}}}}
nodes:
  x:
    operator: test.broken
    inputs: {{value: 1}}
    on_error: {{value: {{result: "{value}"}}}}
"""

    async def whole() -> tuple[RunResult, RunResult]:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            result = await (await symphony.start(loads(text, "yaml"))).result()
            return result, symphony.runs.result(result.run_id)

    result, read = asyncio.run(whole())
    assert result.status is RunStatus.FAILED
    assert (read.error, dict(read.nodes)) == (result.error, dict(result.nodes))
    assert result.error is not None
    assert (result.error.code, result.error.node) == ("operator-failed", "x")
    assert "cannot take 1" in result.error.message
    assert said in result.error.message


def test_a_literal_integer_in_a_port_of_numbers_is_a_number() -> None:
    @operator("test.half", version="1.0.0", pure=True)
    def half(value: int) -> float:
        raise RuntimeError(value)

    text = "name: t\nnodes:\n  x: {operator: test.half, inputs: {value: 1}, on_error: {value: {result: 7}}}\n"
    text += "  y: {operator: debug.value, inputs: {value: '${{ x.result * 0.5 }}'}}\n"
    text += "outputs: {y: '${{ y.result }}'}\n"
    assert run(loads(text, "yaml"), operators=[half], memory=True).outputs == {"y": 3.5}


def test_a_resumed_run_keeps_the_value_that_it_gave_though_the_environment_changed(tmp_path: Path) -> None:
    text = """
name: test
env: [PLACE]
nodes:
  x:
    operator: test.broken
    inputs: {value: 1}
    on_error: {value: {result: "${{ size(env.PLACE) }}"}}
  gate: {control: approval, after: [x]}
  y: {operator: debug.value, inputs: {value: "${{ x.result }}"}, after: [gate]}
outputs: {y: "${{ y.result }}"}
"""

    async def life(place: str, run_id: str = "") -> RunResult:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            environment = {"PLACE": place}
            if not run_id:
                return await (await symphony.start(loads(text, "yaml"), environment=environment)).result()
            symphony.runs.answer(run_id, "gate", approved=True)
            return await (await symphony.resume(run_id, environment=environment)).result()

    first = asyncio.run(life("here"))
    assert first.status is RunStatus.WAITING
    assert asyncio.run(life("elsewhere", first.run_id)).outputs == {"y": 4}


def test_a_large_value_after_a_failure_travels_by_reference() -> None:
    result = ran("""
inputs: {big: {type: string}}
nodes:
  x:
    operator: debug.fail
    on_error: {value: {result: "${{ inputs.big + inputs.big }}"}}
outputs: {x: "${{ x.result }}"}
""", big="a" * 40_000)  # fmt: skip
    assert isinstance(result.outputs["x"], ArtifactRef)


def test_each_element_names_its_artifact() -> None:
    async def whole() -> list[str]:
        async with Symphony.open(memory=True, operators=OPERATORS) as symphony:
            text = """
name: test
nodes:
  x:
    operator: test.text
    for_each: "[1, 2]"
    inputs: {value: "${{ item }}"}
    artifact: {name: "page-${{ item }}"}
"""
            await (await symphony.start(loads(text, "yaml"))).result()
            return [
                str(symphony.artifacts.get(symphony.artifacts.find(f"page-{n}").digest), "utf-8")
                for n in (1, 2)
            ]

    assert asyncio.run(whole()) == ["text 1", "text 2"]


def test_a_name_that_is_no_text_fails_the_node_before_it_runs() -> None:
    result = ran("""
inputs: {name: {type: any, default: 7}}
nodes:
  x: {operator: test.broken, inputs: {value: 1}, artifact: {name: "${{ inputs.name }}"}}
""")
    assert result.error is not None
    assert (result.error.code, result.error.node) == ("type-mismatch", "x")


def test_a_result_from_the_cache_gets_the_name_that_this_run_gives_it(tmp_path: Path) -> None:
    text = "name: t\ninputs: {n: {type: string}}\nnodes:\n  x: {operator: test.text, inputs: {value: 1}, "
    text += "artifact: {name: 'is-${{ inputs.n }}'}}\noutputs: {x: '${{ x.result }}'}\n"

    async def whole() -> list[object]:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            results = [
                await (await symphony.start(loads(text, "yaml"), {"n": name})).result() for name in "ab"
            ]
            assert results[1].nodes["x"].status == "cached"
            return [getattr(result.outputs["x"], "name", None) for result in results]

    assert asyncio.run(whole()) == ["is-a", "is-b"]


def test_a_secret_in_a_name_is_hidden(tmp_path: Path) -> None:
    text = "name: t\nenv: [API_KEY]\nnodes:\n  x: {operator: test.text, inputs: {value: 1}, "
    text += "artifact: {name: 'for-${{ env.API_KEY }}'}}\noutputs: {x: '${{ x.result }}'}\n"

    async def whole() -> str | None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            handle = await symphony.start(loads(text, "yaml"), environment={"API_KEY": "hush-hush-123"})
            out = (await handle.result()).outputs["x"]
            assert isinstance(out, ArtifactRef)
            return out.name

    assert asyncio.run(whole()) == "for-***"


@pytest.mark.parametrize("usage", [None, Usage(calls=1)])
@pytest.mark.parametrize("instead", [None, b"values"])
def test_the_record_of_a_failure_holds_usage_and_what_stood_in(
    usage: Usage | None, instead: bytes | None
) -> None:
    made = FailedRecord(1, 2.0, 1.0, ("a", "b", None), 1, usage_row(usage), instead)
    [record] = decode_batch(encode_batch([made]))
    assert isinstance(record, FailedRecord)
    assert (usage_of(record), record.instead) == (usage, instead)


def test_a_record_whose_values_are_damaged_is_refused() -> None:
    body = msgspec.msgpack.encode([(3, 1, 2.0, 1.0, ("a", "b", None), 1, None, 7)])
    with pytest.raises(SerializationFailed, match="damaged"):
        list(decode_batch(body))
