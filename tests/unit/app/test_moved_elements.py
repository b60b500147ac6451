"""A rerun reuses each element of a fan-out that is made of the same as before, wherever it stands."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.unit.app.test_mended import RAN, Mending, note

from symphony import RunStatus, Symphony, operator
from symphony.cli.views.reusing import reuse_text
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import Value

BROKEN = set[str]()


@operator("moved.list", version="1.0.0", pure=True)
async def listed(items: list[str]) -> list[str]:
    """Give a list, and change nothing."""
    return items


@operator("moved.fragile", version="1.0.0", pure=False)
async def fragile(name: str) -> str:
    """Note that it ran; fail where it is broken."""
    RAN.append(name)
    if name in BROKEN:
        raise RuntimeError(f"{name} is broken")
    return name


class Moving(Mending):
    """A workflow whose lists change between runs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.operators = (note, listed, fragile)
        self.reused: ReuseSummary | None = None

    async def _rerun(self, inputs: Mapping[str, Value] | None) -> list[str]:
        RAN.clear()
        async with Symphony.open(self.folder / "home", operators=self.operators) as symphony:
            file = None if inputs else self.file
            self.foreseen = symphony.plan_rerun("last", file=file, inputs=inputs)
            handle = await symphony.rerun("last", file=file, inputs=inputs)
            result = await handle.result()
            assert result.status is RunStatus.SUCCEEDED, result.error
            assert handle.reused is not None
            self.reused, self.again, self.outputs = handle.reused, handle.reused.again, result.outputs
        return list(RAN)


@pytest.fixture
def flow(tmp_path: Path) -> Moving:
    BROKEN.clear()
    flow = Moving(tmp_path)
    flow.write(
        "name: flow\n"
        "inputs: {more: {type: 'list[string]', default: [x, y]}}\n"
        "nodes:\n"
        "  each: {operator: mended.note, for_each: [a, b, c], concurrency: 1,"
        " inputs: {name: '${{ item }}', value: '${{ item }}!'}}\n"
        "  other: {operator: mended.note, for_each: inputs.more, concurrency: 1,"
        " inputs: {name: '${{ item }}', value: '${{ item }}?'}}\n"
        "outputs: {each: '${{ each.result }}', other: '${{ other.result }}'}\n"
    )
    return flow


@pytest.mark.parametrize(
    ("now", "ran"),
    [
        ("a, b, c, d", ["d"]),
        ("b, c", []),
        ("c, a, b", []),
        ("new, a, b, c", ["new"]),
        ("a, changed, c", ["changed"]),
        ("a, a, b, a", ["a", "a"]),
        ("d, e", ["d", "e"]),
    ],
)
def test_only_new_elements_run_effects_too(flow: Moving, now: str, ran: list[str]) -> None:
    flow.run()
    flow.change("[a, b, c]", f"[{now}]")
    assert flow.rerun() == ran
    assert flow.outputs["each"] == [f"{name}!" for name in now.split(", ")]
    assert flow.rerun() == []


def test_the_reason_says_how_many_are_new_before_anything_runs(flow: Moving) -> None:
    flow.run()
    flow.change("[a, b, c]", "[c, d, b, e]")
    flow.rerun()
    assert flow.again == {"each": "changed: for_each; 2 of 4 elements new"}
    planned = flow.foreseen.nodes["each"]
    assert (planned.reuse, planned.why) == (
        "partly",
        "2 of 4 elements: changed: for_each; 2 of 4 elements new",
    )
    assert flow.reused is not None
    assert reuse_text(flow.reused, "flow-1").splitlines() == [
        "rerun of flow-1: reused 1 of 2 nodes",
        "  each: reused 2 of 4 elements, 2 new",
        "  again: each (changed: for_each; 2 of 4 elements new)",
    ]


def test_two_elements_alike_take_the_two_results_in_order(flow: Moving) -> None:
    flow.change("value: '${{ item }}!'", "value: '${{ item }}'")
    flow.change("[a, b, c]", "[a, b, a]")
    flow.run()
    flow.change("[a, b, a]", "[a, a, a, b]")
    assert flow.rerun() == ["a"]


def test_an_input_that_changed_runs_only_the_new_elements_of_its_list(flow: Moving) -> None:
    flow.run()
    assert flow.rerun({"more": ["y", "z", "x"]}) == ["z"]
    assert flow.outputs["other"] == ["y?", "z?", "x?"]
    assert flow.again == {"other": "it reads an input that changed; 1 of 3 elements new"}


def test_what_an_element_reads_beside_the_item_counts(flow: Moving) -> None:
    flow.change("value: '${{ item }}!'", "value: '${{ item + inputs.more[0] }}'")
    flow.run()
    assert sorted(flow.rerun({"more": ["x", "y", "z"]})) == ["a", "b", "c", "z"]


def test_an_element_that_reads_its_index_is_new_where_it_moves(flow: Moving) -> None:
    flow.change("value: '${{ item }}!'", "value: '${{ index }}'")
    flow.run()
    flow.change("[a, b, c]", "[a, x, b, c]")
    assert flow.rerun() == ["x", "b", "c"]


def test_a_node_that_does_something_else_runs_all_of_them(flow: Moving) -> None:
    flow.run()
    flow.change("[a, b, c]", "[a, b, d]")
    flow.change("value: '${{ item }}!'", "value: '${{ item }}.'")
    assert flow.rerun() == ["a", "b", "d"]


BEHIND = (
    "name: flow\nnodes:\n"
    "  names: {LIST}\n"
    "  each: {operator: mended.note, for_each: names.result, concurrency: 1,"
    " inputs: {name: '${{ item }}', value: '${{ item }}'}}\n"
    "outputs: {each: '${{ each.result }}'}\n"
)


def test_behind_a_list_without_effects_that_changed_only_new_elements_run(flow: Moving) -> None:
    flow.write(BEHIND.replace("LIST", "operator: moved.list, inputs: {items: [a, b]}"))
    flow.run()
    flow.change("[a, b]", "[b, c, a]")
    assert flow.rerun() == ["c"]
    assert flow.outputs["each"] == ["b", "c", "a"]
    assert flow.again["each"] == "it depends on what runs again; elements that are as before are reused"


def test_behind_a_node_with_effects_that_runs_again_effects_are_repeated(flow: Moving) -> None:
    flow.write(BEHIND.replace("LIST", "operator: mended.note, inputs: {name: names, value: [a, b]}"))
    flow.run()
    flow.change("[a, b]", "[a, b, c]")
    assert flow.rerun() == ["names", "a", "b", "c"]


def test_after_a_node_that_runs_again_all_run(flow: Moving) -> None:
    flow.change("for_each: [a, b, c],", "for_each: [a, b, c], after: [first],")
    flow.change("  each:", "  first: {operator: moved.list, inputs: {items: [q]}}\n  each:")
    flow.run()
    flow.change("[q]", "[r]")
    assert flow.rerun() == ["a", "b", "c"]


def test_what_was_asked_for_runs_whatever_its_elements_are(flow: Moving) -> None:
    flow.write(BEHIND.replace("LIST", "operator: moved.list, inputs: {items: [a, b]}"))
    flow.run()

    async def again(first: str) -> list[str]:
        RAN.clear()
        async with Symphony.open(flow.folder / "home", operators=flow.operators) as symphony:
            await (await symphony.rerun("last", first=first)).result()
        return list(RAN)

    assert asyncio.run(again("names")) == ["a", "b"]
    assert asyncio.run(again("each[1]")) == ["b"]


def test_of_an_element_that_failed_what_it_had_done_is_taken_wherever_it_stands(flow: Moving) -> None:
    flow.write(
        "name: flow\nnodes:\n"
        "  each: {workflow: child.yaml, for_each: [a, b, c], fail_fast: false, inputs: {x: '${{ item }}'}}\n"
        "outputs: {each: '${{ each.o }}'}\n"
    )
    flow.write(
        "name: child\ninputs: {x: {type: string}}\nnodes:\n"
        "  one: {operator: moved.fragile, inputs: {name: '${{ inputs.x }}1'}}\n"
        "  two: {operator: moved.fragile, inputs: {name: '${{ inputs.x }}2'}, after: [one]}\n"
        "outputs: {o: '${{ two.result }}'}\n",
        "child.yaml",
    )
    BROKEN.add("b2")
    assert flow.run() is RunStatus.FAILED
    BROKEN.clear()
    flow.change("[a, b, c]", "[d, c, b]")
    assert sorted(flow.rerun()) == ["b2", "d1", "d2"]
    assert flow.outputs["each"] == ["d2", "c2", "b2"]


def test_of_a_body_that_changed_what_did_not_is_taken_wherever_the_element_stands(flow: Moving) -> None:
    flow.write(
        "name: flow\nnodes:\n"
        "  each: {workflow: child.yaml, for_each: [a, b], inputs: {x: '${{ item }}'}}\n"
        "outputs: {each: '${{ each.o }}'}\n"
    )
    flow.write(
        "name: child\ninputs: {x: {type: string}}\nnodes:\n"
        "  one: {operator: moved.fragile, inputs: {name: '${{ inputs.x }}1'}}\n"
        "  two: {operator: moved.fragile, inputs: {name: '${{ inputs.x + one.result }}2'}}\n"
        "outputs: {o: '${{ two.result }}'}\n",
        "child.yaml",
    )
    flow.run()
    flow.change("[a, b]", "[b, c, a]")
    flow.change("}}2'}", "}}3'}", "child.yaml")
    assert sorted(flow.rerun()) == ["aa13", "bb13", "c1", "cc13"]


def test_a_resume_gives_no_result_to_two_elements(tmp_path: Path) -> None:
    gates: list[asyncio.Event] = []

    @operator("moved.gate", version="1.0.0", idempotent=True)
    async def gate(name: str) -> str:
        """Wait, if there is a gate."""
        RAN.append(name)
        if gates and name == "new":
            gates[0].set()
            await asyncio.Event().wait()
        return name

    text = (
        "name: flow\ninputs: {names: {type: 'list[string]'}}\nnodes:\n"
        "  each:\n    operator: moved.gate\n    for_each: inputs.names\n    concurrency: 1\n"
        "    inputs: {name: '${{ item }}'}\n"
        "outputs: {each: '${{ each.result }}'}\n"
    )
    (tmp_path / "flow.yaml").write_text(text)

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home", operators=[gate]) as symphony:
            await (await symphony.start(tmp_path / "flow.yaml", {"names": ["a", "b"]})).result()
            gates.append(asyncio.Event())
            handle = await symphony.rerun("last", inputs={"names": ["b", "new", "b", "a"]})
            await gates[0].wait()
            handle.interrupt()
            assert (await handle.result()).status is RunStatus.INTERRUPTED
        gates.clear()
        RAN.clear()
        async with Symphony.open(tmp_path / "home", operators=[gate]) as symphony:
            result = await (await symphony.resume("last")).result()
        assert RAN == ["new", "b"]
        assert result.outputs["each"] == ["b", "new", "b", "a"]

    asyncio.run(whole())


def test_elements_of_loops_move_too(flow: Moving) -> None:
    flow.write(
        "name: flow\nnodes:\n  grow:\n    control: loop\n    for_each: [a, b]\n    concurrency: 1\n"
        "    state: {x: '${{ item }}'}\n    body:\n"
        "      step: {operator: mended.note, inputs: {name: '${{ item }}', value: '${{ state.x }}+'}}\n"
        "    next: {x: step.result}\n    until: iteration >= 1\n"
        "outputs: {x: '${{ grow.x }}'}\n"
    )
    flow.run()
    flow.change("[a, b]", "[b, c, a]")
    assert flow.rerun() == ["c", "c"]
    assert flow.outputs["x"] == ["b++", "c++", "a++"]


def test_elements_of_a_fan_out_that_was_itself_reused_move_too(flow: Moving) -> None:
    flow.run()
    assert flow.rerun() == []
    flow.change("[a, b, c]", "[c, d, a]")
    assert flow.rerun() == ["d"]
    assert flow.rerun() == []


def test_in_a_sub_workflow_whose_list_changed_only_new_elements_run(flow: Moving) -> None:
    flow.write("name: flow\nnodes:\n  sub: {workflow: child.yaml}\noutputs: {o: '${{ sub.o }}'}\n")
    flow.write(
        "name: child\nnodes:\n"
        "  each:\n    operator: mended.note\n    for_each: [a, b]\n"
        "    inputs: {name: '${{ item }}', value: '${{ item }}'}\n"
        "outputs: {o: '${{ each.result }}'}\n",
        "child.yaml",
    )
    flow.run()
    flow.change("[a, b]", "[b, c]", "child.yaml")
    assert flow.rerun() == ["c"]
    assert flow.outputs["o"] == ["b", "c"]


def test_elements_that_failed_are_again_and_not_new_and_what_is_all_reused_does_not_run(flow: Moving) -> None:
    flow.write(
        "name: flow\nnodes:\n"
        "  u: {operator: moved.fragile, for_each: [a, b, c], on_error: skip, concurrency: 1,"
        " inputs: {name: '${{ item }}'}}\noutputs: {u: '${{ u.result }}'}\n"
    )
    BROKEN.update({"b", "c"})
    flow.run()
    BROKEN.clear()
    flow.change("[a, b, c]", "[a, b, c, d]")
    assert flow.rerun() == ["b", "c", "d"]
    assert flow.again == {"u": "changed: for_each; 1 of 4 elements new, 2 of 4 again"}
    assert flow.reused is not None
    assert "  u: reused 1 of 4 elements, 1 new, 2 again" in reuse_text(flow.reused, "flow-1")
    flow.change("[a, b, c, d]", "[a, b, d]")
    assert flow.rerun() == []
    assert flow.again == {}
    assert (flow.reused.reused, flow.reused.nodes) == (1, 1)
    assert reuse_text(flow.reused, "flow-2").startswith(
        "rerun of flow-2: reused 1 of 1 node; nothing else runs"
    )


def test_a_dry_run_lists_no_effect_of_a_step_that_is_reused(flow: Moving) -> None:
    flow.write(
        "name: child\ninputs: {x: {type: string}}\nnodes:\n"
        "  p: {operator: mended.note, inputs: {name: '${{ inputs.x }}p'}}\n"
        "  q: {operator: moved.fragile, inputs: {name: '${{ inputs.x }}'}, after: [p]}\n",
        "child.yaml",
    )
    flow.write(
        "name: flow\nnodes:\n  s: {workflow: child.yaml, for_each: [a, b], on_error: skip, concurrency: 1,"
        " inputs: {x: '${{ item }}'}}\n"
    )
    BROKEN.add("b")
    flow.run()
    BROKEN.clear()
    assert flow.rerun() == ["b"]
    assert flow.foreseen.nodes["s"].effects == ("q: moved.fragile",)
