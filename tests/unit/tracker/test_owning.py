"""What an operator changes, in its inputs or its context, is nobody else's."""

import asyncio
import contextvars
import json
from pathlib import Path

import pytest

from symphony import Context, operator
from symphony.app import Symphony
from symphony.pit.tracker.nodes.owning import copies_of, own
from symphony.ports.runs import RunResult
from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.workflow import loads
from symphony.workflow.catalog import Port
from symphony.workflow.types import parse_type

LEFT: contextvars.ContextVar[int] = contextvars.ContextVar("left", default=-1)


def changed(rows: Value, number: int) -> int:
    """How much there is in rows, once one more is added at every level."""
    assert isinstance(rows, list)
    inner = rows[0]
    if isinstance(inner, list):
        inner.append(number)
    rows.append(number)
    return len(rows) + (len(inner) if isinstance(inner, list) else 0)


@operator("test.thread", version="1.0.0", pure=True)
def thread(rows: Value, number: int) -> int:
    """In a batch."""
    return changed(rows, number)


@operator("test.alone", version="1.0.0", read=True)
def alone(rows: Value, number: int) -> int:
    """In a thread of its own."""
    return changed(rows, number)


@operator("test.inline", version="1.0.0", pure=True)
async def inline(rows: Value, number: int) -> int:
    """On the loop."""
    return changed(rows, number)


@operator("test.numbers", version="1.0.0", pure=True)
async def numbers(rows: list[int], number: int) -> int:
    """On the loop, with a type that tells what is inside."""
    return changed(rows, number)  # type: ignore[arg-type]  # a value, too


@operator("test.task", version="1.0.0", pure=True, inline=False)
async def task(rows: Value, number: int) -> int:
    """In a task."""
    return changed(rows, number)


@operator("test.leaves", version="1.0.0", pure=True)
async def leaves(number: int) -> int:
    """What was left in its context; it leaves its number there."""
    before = LEFT.get()
    LEFT.set(number)
    return before


@operator("test.defaults", version="1.0.0", pure=True)
def defaults(number: int, context: Context, seen: list[int] = [0], more: dict[str, int] = {}) -> list[int]:  # noqa: B006
    """How much there is in its defaults, its configuration and the environment that it is told of."""
    tags, environment = context.config["tags"], context.environment
    assert isinstance(tags, list)
    assert isinstance(environment, dict)
    for one in (seen, tags):
        one.append(number)
    for each in (more, environment):
        each[f"k{number}"] = "1"
    return [len(seen), len(more), len(tags), len(environment)]


@operator("test.late", version="1.0.0", pure=True)
async def late(number: int, seen: list[int] = []) -> int:  # noqa: B006
    """How much there is in its default."""
    seen.append(number)
    return len(seen)


@operator("test.source", version="1.0.0", pure=True)
async def source(first: Value) -> list[Value]:
    """A list that other nodes share."""
    return [first, 2]


OPERATORS: list[Operator] = [thread, alone, inline, numbers, task, leaves, defaults, late, source]


def ran(nodes: dict[str, object], home: Path | None = None, *, times: int = 1, **inputs: Value) -> RunResult:
    """The last of some runs of one session."""
    outputs = {name: f"${{{{ {name}.result }}}}" for name in nodes}
    document = {
        "symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs,
        "inputs": {name: {"type": "any"} for name in inputs},
    }  # fmt: skip

    async def whole() -> RunResult:
        async with Symphony.open(home, memory=home is None, operators=OPERATORS) as symphony:
            for _ in range(times):
                handle = await symphony.start(loads(json.dumps(document).encode(), "json"), inputs=inputs)
                result = await handle.result()
            return result

    return asyncio.run(whole())


@pytest.mark.parametrize("name", ["thread", "alone", "inline", "numbers", "task"])
@pytest.mark.parametrize("first", [1, [1]])
def test_what_an_operator_changes_in_its_inputs_nobody_else_sees(name: str, first: Value) -> None:
    if name == "numbers" and isinstance(first, list):
        return
    size = 4 + (isinstance(first, list) and 2)
    called = f"test.{name}"
    element = {"number": "${{ index }}"}
    nodes: dict[str, object] = {
        "s": {"operator": "test.source", "inputs": {"first": first}},
        "read": {"operator": called, "for_each": [0] * 20, "inputs": {"rows": "${{ s.result }}", **element}},
        "given": {
            "operator": called, "for_each": [0] * 20, "inputs": {"rows": "${{ inputs.rows }}", **element},
        },
        "written": {"operator": called, "for_each": [0] * 20, "inputs": {"rows": [first, 2], **element}},
        "items": {
            "operator": called, "for_each": [[first, 2]] * 20, "retry": {"attempts": 2},
            "inputs": {"rows": "${{ item }}", **element},
        },
        "picked": {
            "operator": called, "for_each": [0] * 20, "after": ["read"],
            "inputs": {"rows": "${{ [s.result][0] }}", **element},
        },
    }  # fmt: skip
    rows: list[Value] = [first, 2]
    result = ran(nodes, times=2, rows=rows)
    assert result.outputs.pop("s") == [first, 2]  # type: ignore[attr-defined]  # it is a dict
    assert all(output == [size - 1] * 20 for output in result.outputs.values()), result.outputs
    assert rows == [first, 2]


def test_an_attempt_after_one_that_changed_its_inputs_has_them_as_they_were(tmp_path: Path) -> None:
    @operator("test.again", version="1.0.0", pure=True)
    def again(rows: list[Value]) -> int:
        """Fails at first."""
        rows.append(object())  # type: ignore[arg-type]  # no value: nothing else may meet it
        if not tries:
            tries.append(1)
            raise OSError("once")
        return len(rows)

    tries: list[int] = []
    OPERATORS.append(again)
    try:
        nodes: dict[str, object] = {
            "a": {
                "operator": "test.again",
                "inputs": {"rows": [1]},
                "retry": {"attempts": 2},
                "artifact": {"name": "n"},
            }
        }
        result = ran(nodes, tmp_path)
    finally:
        OPERATORS.remove(again)
    assert result.status == "succeeded", result.error


def test_what_an_operator_on_the_loop_sets_in_its_context_is_its_own() -> None:
    nodes: dict[str, object] = {
        "a": {"operator": "test.leaves", "for_each": [1, 2, 3], "inputs": {"number": "${{ item }}"}}
    }
    assert ran(nodes).outputs["a"] == [-1, -1, -1]
    assert LEFT.get() == -1


def test_what_an_operator_changes_in_its_defaults_configuration_and_environment_is_its_own() -> None:
    numbers = {"for_each": [1, 2, 3], "inputs": {"number": "${{ item }}"}}
    nodes: dict[str, object] = {
        "a": {"operator": "test.defaults", "config": {"tags": ["x"]}, **numbers},
        "b": {"operator": "test.late", **numbers},
    }
    outputs = ran(nodes, times=2).outputs
    assert outputs == {"a": [[2, 1, 2, 1]] * 3, "b": [1, 1, 1]}


def test_scalars_are_given_as_they_are_and_lists_of_scalars_by_one_level() -> None:
    names = ["integer", "string?", "enum[a, b]", "artifact", "list[integer]", "map[list[number]]", "any"]
    copies = copies_of({name: Port(type=parse_type(name)) for name in names})
    assert [name for name, _ in copies] == ["list[integer]", "map[list[number]]", "any"]
    given: dict[str, Value] = {"list[integer]": [1], "map[list[number]]": {"a": [1]}, "any": [[1]]}
    arguments = own(copies, given, given)
    assert arguments == given
    for name, value in given.items():
        assert arguments[name] is not value
    assert arguments["any"][0] is not given["any"][0]  # type: ignore[index,call-overload]  # lists both


def test_what_was_loaded_for_one_call_is_not_copied_again() -> None:
    copies = copies_of({"rows": Port(type=parse_type("list[any]"))})
    rows: Value = [1]
    assert own(copies, {"rows": rows}, {"rows": None})["rows"] is rows
