"""No value is larger than the settings allow, whatever path it is made on; the error says which and where."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import RunResult, Symphony, operator
from symphony.commons.settings import Config, SymphonyConfig
from symphony.pit.tracker.nodes.limits import ValueTooLarge, bounded, fits
from symphony.ports.runs import RunStatus
from symphony.ports.values import Value
from symphony.workflow import loads

MB = 1 << 20
SMALL = Config(symphony=SymphonyConfig(value_mb=1))


@operator("limits.text", version="1.0.0", pure=True)
def text(size: int) -> str:
    """So many characters, in a thread."""
    return "x" * size


@operator("limits.inline", version="1.0.0", pure=True)
async def inline(size: int) -> list[str]:
    """The same, on the loop, in pieces."""
    return ["x" * 1_000] * (size // 1_000)


def shared(depth: int) -> list[Value]:
    """A few small lists, each of which holds the one below ten times."""
    made: list[Value] = ["x" * 1_000]
    for _ in range(depth):
        made = [made] * 10
    return made


@operator("limits.shared", version="1.0.0", pure=True)
def shared_thread(depth: int) -> object:
    """In a thread."""
    return tuple(shared(depth)), {"a": shared(1)}


@operator("limits.shared-inline", version="1.0.0", pure=True)
async def shared_inline(depth: int) -> object:
    """On the loop."""
    return {"a": shared(depth)}


@operator("limits.shared-text", version="1.0.0", pure=True)
def shared_text(depth: int) -> list[str]:
    """One text in many places."""
    return ["x" * 1_000] * 10**depth


@operator("limits.count", version="1.0.0", pure=True)
def count(value: object) -> int:
    """How long it is."""
    assert isinstance(value, str | list)
    return len(value)


OPERATORS = [text, inline, count, shared_thread, shared_inline, shared_text]


async def run(home: Path, nodes: str, inputs: Mapping[str, Value] | None = None) -> RunResult:
    workflow = loads(f"name: limits\ninputs: {{big: {{type: any, default: ''}}}}\n{nodes}".encode(), "yaml")
    async with Symphony.open(home, operators=OPERATORS, config=SMALL) as symphony:
        return await (await symphony.start(workflow, inputs)).result()


def taken(home: Path) -> int:
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


THREE = "nodes:\n  a: {operator: limits.text, inputs: {size: 600000}}\n"
LOOP = """nodes:
  grow:
    control: loop
    state: {x: "0123456789"}
    body:
      twice: {operator: debug.value, inputs: {value: "${{ state.x + state.x }}"}}
    next: {x: NEXT}
    until: iteration >= 40
"""
CASES = {
    "a thread's output": (
        "nodes: {a: {operator: limits.text, inputs: {size: 1100000}}}",
        "output result of a ",
    ),
    "an inline output": (
        "nodes: {a: {operator: limits.inline, inputs: {size: 1100000}}}",
        "output result of a ",
    ),
    "an expression": (
        THREE + "  b: {operator: limits.count, inputs: {value: '${{ a.result + a.result }}'}}",
        "input value of b ",
    ),
    "a text around expressions": (
        THREE + "  b: {operator: limits.count, inputs: {value: 'x ${{ a.result }} ${{ a.result }}'}}",
        "input value of b ",
    ),
    "a list of texts": (
        THREE + "  b: {operator: limits.count, inputs: {value: '${{ [a.result, a.result] }}'}}",
        "input value of b ",
    ),
    "a command's input": (
        THREE + "  b: {command: 'true', inputs: {given: '${{ a.result + a.result }}'}}",
        "input given of b ",
    ),
    "a command's stdout": (
        "nodes: {a: {command: 'head -c 1100000 /dev/zero | tr \"\\\\0\" x'}}",
        "output stdout of a ",
    ),
    "a loop's state": (LOOP.replace("NEXT", "state.x + state.x"), "of grow"),
    "a loop's body": (LOOP.replace("NEXT", "twice.result"), "of grow#"),
    "a fan-out's list": (
        THREE + "  b: {for_each: '${{ [1, 2] }}', operator: limits.text, inputs: {size: 600000}}",
        "output result of b ",
    ),
    "what a fan-out runs over": (
        THREE
        + "  b: {for_each: '${{ [a.result, a.result] }}', operator: limits.count, "
        + "inputs: {value: '${{ item }}'}}",
        "for_each of b ",
    ),
    "an output of the workflow": (
        THREE + "outputs: {o: '${{ a.result + a.result }}'}",
        "output o of the workflow ",
    ),
    "what on_error gives": (
        THREE
        + "  b: {command: 'exit 1', inputs: {n: '${{ size(a.result) }}'}, "
        + "on_error: {value: {stdout: '${{ a.result + a.result }}'}}}",
        "on_error.value.stdout of b ",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_value_beyond_the_limit_fails_its_node_and_is_named(case: str, tmp_path: Path) -> None:
    nodes, told = CASES[case]
    result = await run(tmp_path, nodes)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.code == ("command-failed" if "on_error" in case else "limit-exceeded")
    assert told in result.error.message
    assert "is larger than 1 MiB" in result.error.message
    assert "value_mb" in str(result.error.hint)
    assert taken(tmp_path) < 6 * MB


async def test_a_value_just_below_the_limit_passes(tmp_path: Path) -> None:
    result = await run(tmp_path, "nodes: {a: {operator: limits.text, inputs: {size: 1048576}}}")
    assert result.status is RunStatus.SUCCEEDED


async def test_an_input_beyond_the_limit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(ValueTooLarge, match="input big is larger than 1 MiB"):
        await run(tmp_path, "nodes: {a: {operator: limits.text, inputs: {size: 1}}}", {"big": "x" * (MB + 1)})
    assert not (tmp_path / "journal").exists()


async def test_a_run_that_was_recorded_with_a_larger_value_goes_on(tmp_path: Path) -> None:
    workflow = loads(
        b"""
name: earlier
nodes:
  a: {operator: limits.text, inputs: {size: 1100000}}
  gate: {control: approval, message: "go on?", after: [a]}
  b: {operator: limits.count, inputs: {value: "${{ a.result }}"}, after: [gate]}
outputs: {n: "${{ b.result }}"}
""",
        "yaml",
    )
    async with Symphony.open(tmp_path, operators=[text, count]) as symphony:
        run_id = (await (await symphony.start(workflow)).result()).run_id
        symphony.runs.answer(run_id, "gate", approved=True)
    async with Symphony.open(tmp_path, operators=[text, count], config=SMALL) as symphony:
        result = await (await symphony.resume(run_id)).result()
        assert result.outputs == {"n": 1_100_000}
        assert (await (await symphony.rerun(run_id, first="b")).result()).outputs == {"n": 1_100_000}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("x" * 10, 10),
        ("é" * 10, 20),
        (b"x" * 10, 10),
        (["x" * 4, [b"y" * 4]], 13),
        ({"abc": "d" * 6, "e": 1}, 15),
    ],
)
def test_a_value_takes_at_least_what_is_in_it(value: Value, size: int) -> None:
    assert fits(value, size)
    assert not fits(value, size - 1)
    with pytest.raises(ValueTooLarge, match="it is larger"):
        bounded(value, "it", size - 1)
    bounded(7, "it", 0)


@operator("limits.huge", version="1.0.0", pure=True)
async def huge(size: int) -> list[int]:
    """Something large, on the loop."""
    return list(range(size))


async def test_what_is_very_large_is_stored_beside_the_loop_and_arrives(tmp_path: Path) -> None:
    workflow = loads(
        b"""
name: huge
nodes:
  a: {operator: limits.huge, inputs: {size: 700000}}
  b: {operator: limits.count, inputs: {value: "${{ a.result }}"}}
outputs: {n: "${{ b.result }}"}
""",
        "yaml",
    )
    async with Symphony.open(tmp_path, operators=[huge, count]) as symphony:
        handle = await symphony.start(workflow)
        assert (await handle.result()).outputs == {"n": 700_000}
        assert (await (await symphony.rerun(handle.run_id, first="b")).result()).outputs == {"n": 700_000}


async def test_a_run_is_cancelled_while_something_very_large_is_stored(tmp_path: Path) -> None:
    workflow = loads(b"{name: huge, nodes: {a: {operator: limits.huge, inputs: {size: 3000000}}}}", "yaml")
    async with Symphony.open(tmp_path, operators=[huge]) as symphony:
        handle = await symphony.start(workflow)
        while not handle.progress().slowest:  # noqa: ASYNC110  (its task stores what it gave)
            await asyncio.sleep(0)
        handle.cancel()
        result = await handle.result()
        assert result.status is RunStatus.CANCELLED
        assert result.nodes["a"].status == "cancelled"


@pytest.mark.parametrize("name", ["limits.shared", "limits.shared-inline", "limits.shared-text"])
async def test_a_part_that_stands_in_many_places_counts_at_each_before_it_is_copied(
    name: str, tmp_path: Path
) -> None:
    depth = 7 if name == "limits.shared-text" else 60  # no memory would hold what it stands for
    result = await run(tmp_path / "home", f"nodes: {{n: {{operator: {name}, inputs: {{depth: {depth}}}}}}}")
    assert result.error is not None
    assert (result.error.code, result.error.message) == (
        "limit-exceeded", "output result of n is larger than 1 MiB",
    )  # fmt: skip
