"""A rerun with a mended workflow reuses each result whose node did not change, and says why others run."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import Operator, RunStatus, Symphony, operator
from symphony.app import Limits
from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value

RAN = list[str]()


@operator("mended.note", version="1.0.0", pure=False)
async def note(name: str, value: Value = None) -> Value:
    """Note that it ran."""
    RAN.append(name)
    return value


@operator("mended.upper", version="1.0.0")
async def upper(text: str) -> str:
    """Spell in capitals."""
    RAN.append("upper")
    return text.upper()


@operator("mended.upper", version="1.0.0")
async def upper_mended(text: str) -> str:
    """Spell in capitals, and mark it."""
    RAN.append("upper")
    return text.upper() + "!"


class Mending:
    """A workflow file that is run, changed and rerun in a home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file, self.operators = folder, folder / "flow.yaml", (note, upper)
        self.again: Mapping[str, str] = {}

    def write(self, text: str, name: str = "flow.yaml") -> None:
        (self.folder / name).write_text(text, encoding="utf-8")

    def change(self, old: str, new: str, name: str = "flow.yaml") -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        self.write(text.replace(old, new), name)

    def run(self, inputs: Mapping[str, Value] | None = None) -> RunStatus:
        return asyncio.run(self._run(inputs))

    async def _run(self, inputs: Mapping[str, Value] | None) -> RunStatus:
        RAN.clear()
        async with Symphony.open(self.folder / "home", operators=self.operators) as symphony:
            return (await (await symphony.start(self.file, inputs, cache=False)).result()).status

    def rerun(self, inputs: Mapping[str, Value] | None = None) -> list[str]:
        """What ran of the newest run's mended workflow."""
        return asyncio.run(self._rerun(inputs))

    async def _rerun(self, inputs: Mapping[str, Value] | None) -> list[str]:
        RAN.clear()
        async with Symphony.open(self.folder / "home", operators=self.operators) as symphony:
            foreseen = symphony.plan_rerun("last", file=self.file, inputs=inputs)
            assert RAN == []
            handle = await symphony.rerun("last", file=self.file, inputs=inputs)
            result = await handle.result()
            assert result.status is RunStatus.SUCCEEDED, result.error
            assert handle.reused is not None
            self.again, self.outputs = handle.reused.again, result.outputs
            assert foreseen.rerun_of == handle.reused.run_id
        return list(RAN)


FLOW = """
name: flow
inputs: {n: {type: integer, default: 2}}
nodes:
  a: {operator: mended.note, inputs: {name: a, value: one}}
  b: {operator: mended.note, inputs: {name: b, value: '${{ a.result }}'}}
  c: {operator: mended.note, inputs: {name: c, value: '${{ b.result }}'}}
  n: {operator: mended.note, inputs: {name: n, value: '${{ inputs.n }}'}}
outputs: {c: '${{ c.result }}', n: '${{ n.result }}'}
"""


@pytest.fixture
def flow(tmp_path: Path) -> Mending:
    flow = Mending(tmp_path)
    flow.write(FLOW)
    return flow


def test_only_what_changed_and_what_depends_on_it_runs_effects_too(flow: Mending) -> None:
    flow.run()
    assert flow.rerun() == []
    flow.change("{name: b, value: '${{ a.result }}'}", "{name: b, value: '${{ a.result }} and more'}")
    assert flow.rerun() == ["b", "c"]
    assert flow.again == {"b": "changed: inputs.value", "c": "it depends on what runs again"}
    assert flow.outputs["c"] == "one and more"
    assert flow.rerun() == []


def test_a_mended_failure_runs_and_what_succeeded_before_it_is_taken(flow: Mending) -> None:
    flow.change("  n:", "  bad: {command: exit 3, after: [c, n]}\n  n:")
    assert flow.run() is RunStatus.FAILED
    flow.change("exit 3", "exit 0")
    assert flow.rerun() == []
    assert flow.again == {"bad": "changed: command"}


@pytest.mark.parametrize(
    "extra", ["retry: 3", "timeout: 5m", "on_error: skip", "description: x", "position: [1, 2]", "cache: off"]
)
def test_what_changes_no_result_lets_nothing_run(flow: Mending, extra: str) -> None:
    flow.run()
    extra = "retry: {attempts: 3}" if extra.startswith("retry") else extra
    flow.change("a: {operator: mended.note,", f"a: {{operator: mended.note, {extra},")
    assert flow.rerun() == []


def test_a_new_node_runs_and_a_renamed_one_does_with_all_after_it(flow: Mending) -> None:
    flow.run()
    flow.change("outputs: {c:", "  new: {operator: mended.note, inputs: {name: new}}\noutputs: {c:")
    assert flow.rerun() == ["new"]
    assert flow.again == {"new": "it is new"}
    flow.change("  b:", "  other:")
    flow.change("b.result", "other.result")
    assert flow.rerun() == ["b", "c"]
    assert flow.again == {"other": "it is new", "c": "changed: inputs.value"}


def test_a_removed_node_is_forgotten(flow: Mending) -> None:
    flow.run()
    flow.change("  n: {operator: mended.note, inputs: {name: n, value: '${{ inputs.n }}'}}\n", "")
    flow.change(", n: '${{ n.result }}'", "")
    assert flow.rerun() == []
    assert set(flow.outputs) == {"c"}


def test_an_edge_and_an_after_are_part_of_a_node(flow: Mending) -> None:
    flow.run()
    flow.change("name: n, value: '${{ inputs.n }}'}", "name: n, value: '${{ inputs.n }}'}, after: [a]")
    assert flow.rerun() == ["n"]
    flow.change("outputs: {c:", "edges: [{from: b, to: n, when: 'true'}]\noutputs: {c:")
    assert flow.rerun() == ["n"]
    assert flow.again == {"n": "changed: edges"}


def test_a_new_default_counts_unless_the_input_was_given(flow: Mending) -> None:
    flow.run()
    flow.change("default: 2", "default: 3")
    assert flow.rerun() == ["n"]
    assert flow.outputs["n"] == 3
    assert flow.rerun({"n": 7}) == ["n"]
    flow.change("default: 3", "default: 4")
    assert flow.rerun() == []
    assert flow.outputs["n"] == 7


def test_code_that_changed_runs_again_and_a_run_without_fingerprints_trusts_none_but_ours(
    flow: Mending, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.write("name: flow\nnodes:\n  v: {operator: debug.value, inputs: {value: hi}}\n"
               "  u: {operator: mended.upper, inputs: {text: '${{ v.result }}'}}\n"
               "outputs: {u: '${{ u.result }}'}\n")  # fmt: skip
    flow.run()
    assert flow.rerun() == []
    monkeypatch.setattr(Operator, "code", property(lambda _: "changed"))
    monkeypatch.setattr(Operator, "part", None)
    assert flow.rerun() == ["upper"]
    assert flow.again == {"u": "changed: the code of mended.upper"}
    monkeypatch.setattr("symphony.app.launching.Launcher._prints", lambda *_: None)
    flow.run()
    assert flow.rerun() == ["upper"]
    assert flow.again == {"u": "changed: it is not known what mended.upper was"}


def test_a_template_beside_the_workflow_counts_and_so_does_a_file_among_the_inputs(flow: Mending) -> None:
    flow.write("one {{ x }}", "page.j2")
    flow.write("data", "data.txt")
    flow.write(
        "name: flow\ninputs: {file: {type: path, default: data.txt}}\nnodes:\n"
        "  page: {operator: text.render, inputs: {template: page.j2, data: {x: 1}}}\n"
        "  send: {operator: mended.note, inputs: {name: send, value: '${{ page.text }}'}}\n"
        "outputs: {page: '${{ page.text }}'}\n"
    )
    flow.run()
    assert flow.rerun() == []
    flow.write("two {{ x }}", "page.j2")
    assert flow.rerun() == ["send"]
    assert flow.again["page"] == "changed: a file that it reads"
    assert flow.outputs["page"] == "two 1"
    assert flow.rerun() == []


CHILD = """
name: child
inputs: {x: {type: any}}
nodes:
  p: {operator: mended.note, inputs: {name: p, value: '${{ inputs.x }}'}}
  q: {operator: mended.note, inputs: {name: q, value: '${{ p.result }}'}}
outputs: {q: '${{ q.result }}'}
"""


@pytest.mark.parametrize("many", [False, True])
def test_in_a_changed_sub_workflow_only_what_changed_runs(flow: Mending, *, many: bool) -> None:
    each, item = ("for_each: [1, 2], ", "${{ item }}") if many else ("", "1")
    flow.write(CHILD, "child.yaml")
    flow.write(
        f"name: flow\nnodes:\n  sub: {{workflow: child.yaml, {each}inputs: {{x: '{item}'}}}}\n"
        "  after: {operator: mended.note, inputs: {name: after, value: '${{ sub.q }}'}}\n"
        "outputs: {a: '${{ after.result }}'}\n"
    )
    flow.run()
    assert flow.rerun() == []
    flow.change("name: q, value: '${{ p.result }}'", "name: q, value: 'was ${{ p.result }}'", "child.yaml")
    assert sorted(flow.rerun()) == sorted(["q", *(["q"] if many else []), "after"])
    flow.change("outputs: {q: '${{ q.result }}'}", "outputs: {q: '${{ p.result }}'}", "child.yaml")
    assert flow.rerun() == ["after"]
    flow.change("  q:", "  r: {operator: mended.note, inputs: {name: r}}\n  q:", "child.yaml")
    assert set(flow.rerun()) == {"r", "after"}


def test_of_a_fan_out_that_failed_the_elements_that_succeeded_are_taken(flow: Mending) -> None:
    flow.write(
        "name: flow\nnodes:\n"
        "  each: {operator: mended.note, for_each: [a, b, c], fail_fast: false, "
        "inputs: {name: '${{ item }}', value: '${{ [1, 2][index] }}'}}\n"
        "outputs: {n: '${{ each.result }}'}\n"
    )
    assert flow.run() is RunStatus.FAILED
    flow.change("fail_fast: false,", "on_error: skip,")
    assert flow.rerun() == []
    assert flow.outputs["n"] == [1, 2, None]


def test_a_loop_whose_body_changed_goes_on_from_what_did_not(flow: Mending) -> None:
    flow.write(
        "name: flow\nnodes:\n  grow:\n    control: loop\n    state: {x: 0}\n    body:\n"
        "      first: {operator: mended.note, inputs: {name: first, value: '${{ state.x }}'}}\n"
        "      second: {operator: mended.note, inputs: {name: second, value: '${{ first.result }}'}}\n"
        "    next: {x: 'state.x + 1'}\n    until: 'state.x >= 1'\n    max_iterations: 5\n"
        "outputs: {x: '${{ grow.x }}'}\n"
    )
    flow.run()
    assert flow.rerun() == []
    flow.change("name: second, value: '${{ first.result }}'", "name: second, value: 'is ${{ first.result }}'")
    ran = flow.rerun()
    assert ran[0] == "second"
    flow.change("max_iterations: 5", "max_iterations: 6")
    assert flow.rerun() == []
    flow.change("state.x >= 1", "state.x >= 2")
    assert flow.rerun() in (["first", "second"], ["first", "second", "first", "second"])
    assert flow.again == {"grow": "changed: until"}


def test_a_loop_that_came_to_its_limit_goes_on_where_it_was_when_the_limit_is_raised(flow: Mending) -> None:
    flow.write(
        "name: flow\nnodes:\n  grow:\n    control: loop\n    state: {x: 0}\n    body:\n"
        "      step:\n        operator: mended.note\n"
        "        inputs: {name: 'r${{ iteration }}', value: '${{ state.x + 1 }}'}\n"
        "    next: {x: step.result}\n    until: 'state.x >= 5'\n    max_iterations: 3\n"
        "outputs: {x: '${{ grow.x }}'}\n"
    )
    assert flow.run() is RunStatus.FAILED
    flow.change("max_iterations: 3", "max_iterations: 9")
    assert flow.rerun() == ["r3", "r4"]
    assert flow.outputs["x"] == 5


def test_a_resume_and_a_rerun_take_other_limits_hosts_and_operators_and_keep_them(tmp_path: Path) -> None:
    file = tmp_path / "flow.yaml"
    file.write_text("name: asks\nbudget: {calls: 1}\nnodes:\n  gate: {control: approval, message: go?}\n")

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(file)
            await handle.result()
            resumed = await symphony.resume(
                handle.run_id, budget=Limits(calls=5), allow_hosts=["a.example"], concurrency=3, cache=False
            )
            await resumed.result()
            meta = symphony.runs.meta(handle.run_id)
            assert (meta.budget, meta.allow_hosts, meta.concurrency, meta.cache) == (
                Limits(calls=5), ("a.example",), 3, False,
            )  # fmt: skip
            again = await symphony.rerun(handle.run_id, allow_hosts=["b.example"], cache=True)
            await again.result()
            meta = symphony.runs.meta(again.run_id)
            assert (meta.budget, meta.allow_hosts, meta.concurrency, meta.cache) == (
                Limits(calls=5), ("a.example", "b.example"), 3, True,
            )  # fmt: skip
            mended = await symphony.rerun(handle.run_id, file=file, budget=Limits(tokens=9))
            await mended.result()
            meta = symphony.runs.meta(mended.run_id)
            assert meta.budget == Limits(calls=1, tokens=9)

    asyncio.run(whole())


OPERATORS_FILE = '''
from symphony import operator

@operator("moved.mark", version="1.0.0")
def mark(text: str) -> str:
    """Mark it."""
    return text + "!"
'''


def test_a_run_whose_file_of_operators_was_moved_says_how_to_go_on_and_does(tmp_path: Path) -> None:
    file, before, after = tmp_path / "flow.yaml", tmp_path / "ops.py", tmp_path / "elsewhere.py"
    before.write_text(OPERATORS_FILE)
    file.write_text(
        "name: moved\nnodes:\n  a: {operator: moved.mark, inputs: {text: hi}}\n"
        "  gate: {control: approval, message: go?}\noutputs: {a: '${{ a.result }}'}\n"
    )

    async def whole() -> None:
        async with Symphony.open(tmp_path / "home", operators=[before]) as symphony:
            run_id = (await (await symphony.start(file)).result()).run_id
        before.rename(after)
        async with Symphony.open(tmp_path / "home") as symphony:
            with pytest.raises(SymphonyError, match="cannot be read") as refused:
                await symphony.resume(run_id)
            assert "--operators FILE" in (refused.value.hint or "")
            await (await symphony.resume(run_id, operators=[after])).result()
            again = await symphony.rerun(run_id, first="a", operators=[after])
            assert (await again.result()).nodes["a"].status == "succeeded"
            mended = await symphony.rerun(run_id, file=file, operators=[after])
            assert mended.reused is not None
            assert mended.reused.reused == 1

    asyncio.run(whole())
