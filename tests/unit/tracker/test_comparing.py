"""Two runs are compared by what they ran, were given and gave; how long it took does not count."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import Symphony
from symphony.cli.views import comparing
from symphony.ports.comparison import RunComparison
from symphony.ports.runs import NodeStatus, short_id
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.workflow import loads

FLOW = """
name: flow
inputs: {n: {type: integer, default: 2}, text: {type: string, default: "one\\ntwo\\n"}}
nodes:
  a: {operator: debug.value, inputs: {value: '${{ inputs.n }}'}}
  b: {operator: debug.value, inputs: {value: '${{ inputs.text }}'}}
  each: {operator: debug.value, for_each: [1, 2], inputs: {value: '${{ item + inputs.n }}'}}
outputs: {a: '${{ a.result }}', b: '${{ b.result }}', each: '${{ each.result }}'}
"""


def compared(home: Path, *what: tuple[str, Mapping[str, Value]]) -> RunComparison:
    async def whole() -> list[str]:
        async with Symphony.open(home) as symphony:
            handles = [await symphony.start(loads(text, "yaml"), inputs) for text, inputs in what]
            for handle in handles:
                await handle.result()
            return [handle.run_id for handle in handles]

    one, other = asyncio.run(whole())
    return Symphony.open(home).views.compare(one, other)


def said(found: RunComparison) -> str:
    def body(_: ArtifactRef) -> bytes:
        raise AssertionError

    def text_of(value: StoredValue) -> str | None:
        return comparing.comparable(value, body)

    return comparing.text(found, {run.run_id: short_id(run.run_id) for run in (found.a, found.b)}, text_of)


def test_runs_that_did_the_same_do_not_differ_though_one_reused_results(tmp_path: Path) -> None:
    found = compared(tmp_path, (FLOW, {}), (FLOW, {}))
    assert found.same
    assert said(found).endswith("no differences\n")
    assert not found.nodes["a"].differs


def test_another_input_shows_in_inputs_results_and_outputs_of_what_reads_it(tmp_path: Path) -> None:
    found = compared(tmp_path, (FLOW, {}), (FLOW, {"n": 3}))
    assert not found.same
    assert [(one.name, one.a, one.b) for one in found.inputs] == [("n", 2, 3)]
    assert [(one.name, one.a, one.b) for one in found.outputs] == [("a", 2, 3), ("each", [3, 4], [4, 5])]
    assert {name for name, node in found.nodes.items() if node.differs} >= {"a"}
    assert not found.nodes["b"].differs


def test_a_text_of_several_lines_is_compared_line_by_line(tmp_path: Path) -> None:
    found = compared(tmp_path, (FLOW, {}), (FLOW, {"text": "one\nthree\n"}))
    assert "  ~ b\n    @@ -1,2 +1,2 @@\n     one\n    -two\n    +three\n" in said(found)
    many = "".join(f"{number}\n" for number in range(1000))
    long = said(compared(tmp_path, (FLOW, {"text": many}), (FLOW, {"text": many.replace("1", "x")})))
    assert "more lines\n" in long
    assert len(long.splitlines()) < 300


@pytest.mark.parametrize(
    ("old", "new", "place", "kind"),
    [
        ("debug.value, inputs: {value: '${{ inputs.n }}'}", "debug.value, inputs: {value: 7}",
         "nodes.a.inputs.value", "changed"),
        ("  b:", "  extra: {command: 'true'}\n  b:", "nodes.extra", "added"),
        ("name: flow", "name: flow two", "name", "changed"),
        ("default: 2", "default: 4", "inputs.n.default", "changed"),
    ],
)  # fmt: skip
def test_a_change_of_the_workflow_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, place: str, kind: str
) -> None:
    found = compared(tmp_path, (FLOW, {}), (FLOW.replace(old, new, 1), {}))
    assert [(one.place, one.kind) for one in found.workflow] == [(place, kind)]
    assert not found.same


def test_where_a_node_is_drawn_and_described_is_no_difference(tmp_path: Path) -> None:
    moved = FLOW.replace("  a: {", "  a: {position: [1, 2], description: here, ")
    assert compared(tmp_path, (FLOW, {}), (moved, {})).same


def test_a_failure_and_what_it_cancelled_are_told(tmp_path: Path) -> None:
    broken = FLOW.replace("  b:", "  bad: {command: exit 3}\n  b:")
    found = compared(tmp_path, (FLOW, {}), (broken, {}))
    bad = found.nodes["bad"]
    assert bad.a is None
    assert bad.b is not None
    assert bad.b.status is NodeStatus.FAILED
    assert "none → bad: [command-failed]" in said(found).replace("->", "→")


def test_what_nobody_wrote_for_a_terminal_does_not_reach_it(tmp_path: Path) -> None:
    found = compared(tmp_path, (FLOW, {"text": "a\n\x1b[31m"}), (FLOW, {"text": "b\n\x1b[32m\u202e"}))
    assert "\x1b" not in said(found)
    assert "\u202e" not in said(found)


def test_long_values_are_shown_from_where_they_begin_to_differ() -> None:
    a, b = comparing.briefly("x" * 500 + "one", "x" * 500 + "two")
    assert (a[-3:], b[-3:]) == ("one", "two")
    assert a.startswith(("…", "..."))
    assert comparing.briefly('"a"', '"b"') == ('"a"', '"b"')


INNER = """
name: inner
nodes:
  c: {workflow: child.yaml, for_each: [1, 2], inputs: {x: '${{ item }}'}}
  l:
    control: loop
    state: {n: 0}
    body:
      b: {command: cat t}
      d: {workflow: child.yaml, for_each: [1, 2], inputs: {x: '${{ item }}'}}
    next: {n: '${{ state.n + 1 }}'}
    until: state.n >= 2
    max_iterations: 5
"""
INSIDE = "name: child\ninputs: {x: {type: integer}}\nnodes:\n  one: {command: cat t}\n"


def test_steps_inside_of_elements_and_rounds_are_compared_also_where_they_were_reused(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text(INNER, encoding="utf-8")
    (tmp_path / "child.yaml").write_text(INSIDE, encoding="utf-8")

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:

            async def begun(text: str) -> str:
                (tmp_path / "t").write_text(text, encoding="utf-8")
                return (await (await symphony.start(file, cwd=tmp_path)).result()).run_id

            async def again(run: str, first: str | None = None) -> str:
                return (await (await symphony.rerun(run, first=first)).result()).run_id

            def different(a: str, b: str) -> list[str]:
                found = symphony.views.compare(a, b)
                assert not any(one.unknown for one in found.nodes.values())
                return [name for name, one in found.nodes.items() if one.differs]

            a, b, c = await begun("one"), await begun("one"), await begun("two")
            assert different(a, b) == []
            assert symphony.views.compare(a, b).same
            assert different(a, c) == [
                "c[0].one", "c[1].one", "l#0.b", "l#0.d[0].one", "l#0.d[1].one", "l#1.b", "l#1.d[0].one",
                "l#1.d[1].one",
            ]  # fmt: skip
            assert different(a, await again(b)) == []
            assert different(a, await again(c)) == ["c", "l"]
            part = await again(b, "c[1]")
            assert different(b, part) == ["c[1].one"]
            symphony.runs.delete(c)
            assert different(a, await again(part)) == ["c"]

    asyncio.run(whole())
