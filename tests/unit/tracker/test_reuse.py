"""Running again: what is taken over from the old run, and what runs anew."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import RunBusy, Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.values import Value
from symphony.workflow import loads

RAN: list[str] = []
BROKEN: set[str] = set()


@operator("test.step", version="1.0.0", pure=False)
async def step(name: str, value: Value = None) -> Value:
    """Note that it ran; give the value."""
    RAN.append(name)
    if name in BROKEN:
        raise RuntimeError("broken")
    return value


@operator("test.pure", version="1.0.0", pure=True)
async def pure(name: str, value: Value = None) -> Value:
    """Note that it ran; give the value. It may be cached."""
    RAN.append(name)
    if name in BROKEN:
        raise RuntimeError("broken")
    return value


OPERATORS = [step, pure]


@pytest.fixture(autouse=True)
def fresh() -> None:
    RAN.clear()
    BROKEN.clear()


DIAMOND = """
name: diamond
inputs: {x: {type: integer, default: 1}, y: {type: integer, default: 2}}
nodes:
  a: {operator: test.step, inputs: {name: a, value: "${{ inputs.x }}"}}
  b: {operator: test.step, inputs: {name: b, value: "${{ a.result + inputs.y }}"}}
  c: {operator: test.step, inputs: {name: c, value: "${{ a.result }}"}}
  d: {operator: test.step, inputs: {name: d, value: "${{ b.result * c.result }}"}}
outputs: {d: "${{ d.result }}"}
"""
ROUNDS = """
name: rounds
nodes:
  grow:
    control: loop
    state: {x: 0}
    until: iteration >= 2
    body:
      one: {operator: test.step, inputs: {name: "one${{ iteration }}", value: "${{ state.x + 1 }}"}}
      two: {operator: test.step, inputs: {name: "two${{ iteration }}", value: "${{ one.result }}"}}
    next: {x: two.result}
  each:
    operator: test.step
    for_each: "[0, 1, 2]"
    concurrency: 1
    inputs: {name: "e${{ item }}"}
    after: [grow]
outputs: {x: "${{ grow.x }}"}
"""


def twice(
    home: Path, text: str, *, first: str | list[str] | None = None, inputs: Mapping[str, Value] | None = None
) -> tuple[RunResult, RunResult, list[str]]:
    """Run, mend what was broken, run again: both results, and what ran the second time."""

    async def whole() -> tuple[RunResult, RunResult, list[str]]:
        async with Symphony.open(home, operators=OPERATORS) as symphony:
            old = await (await symphony.start(loads(text, "yaml"))).result()
            RAN.clear()
            BROKEN.clear()
            new = await (await symphony.rerun(old.run_id, first=first, inputs=inputs)).result()
            again = symphony.runs.result(new.run_id)
            assert again.nodes == new.nodes
            return old, new, list(RAN)

    return asyncio.run(whole())


def test_from_a_node_it_and_all_after_it_run_and_the_rest_is_taken_over(tmp_path: Path) -> None:
    old, new, ran = twice(tmp_path, DIAMOND, first="b")
    assert sorted(ran) == ["b", "d"]
    assert new.outputs == old.outputs == {"d": 3}
    assert {name: node.cached_from for name, node in new.nodes.items()} == {
        "a": old.run_id, "b": None, "c": old.run_id, "d": None
    }  # fmt: skip
    assert new.run_id != old.run_id


def test_another_input_runs_what_depends_on_it(tmp_path: Path) -> None:
    _, new, ran = twice(tmp_path, DIAMOND, inputs={"y": 5})
    assert sorted(ran) == ["b", "d"]
    assert new.outputs == {"d": 6}


def test_an_input_that_stays_the_same_runs_nothing(tmp_path: Path) -> None:
    _, new, ran = twice(tmp_path, DIAMOND, inputs={"x": 1})
    assert ran == []
    assert new.outputs == {"d": 3}


MAPS = """
name: maps
inputs: {x: {type: json, default: {z: [{y: 1, b: 2}], a: 1}}, y: {type: any, default: 1}}
nodes:
  a: {operator: test.step, inputs: {name: a, value: "${{ inputs.x }}"}}
  b: {operator: test.step, inputs: {name: b, value: "${{ inputs.y }}"}}
outputs: {a: "${{ a.result }}", b: "${{ b.result }}"}
"""


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"x": {"z": [{"y": 1, "b": 2}], "a": 1}, "y": 1}, []),
        ({"x": {"a": 1, "z": [{"y": 1, "b": 2}]}}, ["a"]),
        ({"x": {"z": [{"b": 2, "y": 1}], "a": 1}}, ["a"]),
        ({"x": {"z": [{"y": 1, "b": 2}], "a": 1.0}}, ["a"]),
        ({"y": 1.0}, ["b"]),
    ],
)
def test_an_input_with_its_keys_in_another_order_is_another(
    tmp_path: Path, inputs: dict[str, Value], expected: list[str]
) -> None:
    _, new, ran = twice(tmp_path, MAPS, inputs=inputs)
    assert ran == expected
    given = {"x": {"z": [{"y": 1, "b": 2}], "a": 1}, "y": 1} | inputs
    assert repr(dict(new.outputs)) == repr({"a": given["x"], "b": given["y"]})


def test_a_failed_run_is_run_to_its_end(tmp_path: Path) -> None:
    BROKEN.add("d")
    old, new, ran = twice(tmp_path, DIAMOND)
    assert old.status is RunStatus.FAILED
    assert ran == ["d"]
    assert new.outputs == {"d": 3}


def test_rounds_and_elements_that_succeeded_do_not_run_again(tmp_path: Path) -> None:
    BROKEN.add("two1")
    _, new, ran = twice(tmp_path, ROUNDS)
    assert ran == ["two1", "one2", "two2", "e0", "e1", "e2"]
    assert new.outputs == {"x": 3}


def test_elements_that_succeeded_do_not_run_again(tmp_path: Path) -> None:
    BROKEN.add("e1")
    _, _, ran = twice(tmp_path, ROUNDS)
    assert ran == ["e1", "e2"]


def test_from_a_node_in_a_round_the_later_rounds_run_too(tmp_path: Path) -> None:
    _, new, ran = twice(tmp_path, ROUNDS, first="grow#1.two")
    assert ran == ["two1", "one2", "two2", "e0", "e1", "e2"]
    assert new.nodes["grow#1.one"].cached_from is not None


def test_from_an_element_only_it_and_what_follows_run(tmp_path: Path) -> None:
    _, _, ran = twice(tmp_path, ROUNDS, first="each[1]")
    assert ran == ["e1"]


def test_a_failure_that_was_handled_is_tried_again_with_all_after_it(tmp_path: Path) -> None:
    BROKEN.add("a")
    text = DIAMOND.replace(
        'value: "${{ inputs.x }}"}}', 'value: "${{ inputs.x }}"}, on_error: {value: {result: 7}}}', 1
    )
    _, new, ran = twice(tmp_path, text)
    assert sorted(ran) == ["a", "b", "c", "d"]
    assert new.outputs == {"d": 3}


def test_results_taken_over_come_from_the_run_that_made_them(tmp_path: Path) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            one = await (await symphony.start(loads(DIAMOND, "yaml"))).result()
            two = await (await symphony.rerun(one.run_id, first="d")).result()
            three = await (await symphony.rerun(two.run_id, first="d")).result()
            assert three.nodes["a"].cached_from == one.run_id
            assert RAN.count("a") == 1

    asyncio.run(whole())


def test_large_results_outlive_the_run_that_made_them(tmp_path: Path) -> None:
    text = """
name: large
nodes:
  a: {operator: test.step, inputs: {name: a, value: "${{ ['x'.repeat()] }}"}}
"""
    text = text.replace("\"${{ ['x'.repeat()] }}\"", '"' + "x" * 70_000 + '"')
    text += "outputs: {a: '${{ a.result }}'}\n"

    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            one = await (await symphony.start(loads(text, "yaml"))).result()
            two = await (await symphony.rerun(one.run_id)).result()
            symphony.runs.delete(one.run_id)
            symphony.artifacts.collect(0.0)
            three = await (await symphony.rerun(two.run_id)).result()
            assert three.status is RunStatus.SUCCEEDED
            value = three.outputs["a"]
            assert symphony.artifacts.get(value.digest) == b"x" * 70_000  # type: ignore[union-attr]
            assert RAN == ["a"]

    asyncio.run(whole())


def test_a_node_that_is_not_there_and_a_run_that_is_alive_are_refused(tmp_path: Path) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            one = await (await symphony.start(loads(DIAMOND, "yaml"))).result()
            with pytest.raises(SymphonyError, match="no node 'nope'"):
                await symphony.rerun(one.run_id, first="nope")
            lock = symphony.runs.lock(one.run_id)
            lock.acquire(1)
            with pytest.raises(RunBusy):
                await symphony.rerun(one.run_id)
            lock.release()
            assert symphony.runs.ids() == [one.run_id]

    asyncio.run(whole())
