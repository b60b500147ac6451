"""Loops, sub-workflows, delays and approvals, inside each other and with everything a node may say."""

import asyncio
from pathlib import Path

import pytest

from symphony import Context, operator, run
from symphony.app import Symphony
from symphony.pit.artifacts import FileArtifacts
from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.store.journal import JournalFailed, SqliteStore
from symphony.ports.artifacts import StorageFull
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.ports.values import ArtifactRef
from symphony.workflow import loads


def ran(text: str, **inputs: object) -> RunResult:
    return run(loads(f"name: test\n{text}", "yaml"), dict(inputs), memory=True)  # type: ignore[arg-type]


def statuses(result: RunResult) -> dict[str, str]:
    return {name: str(node.status) for name, node in result.nodes.items()}


def test_a_loop_in_a_loop_sees_its_own_state_and_the_nodes_outside() -> None:
    result = ran("""
nodes:
  step: {operator: debug.value, inputs: {value: 10}}
  outer:
    control: loop
    state: {sum: 0}
    while: state.sum < 40
    body:
      inner:
        control: loop
        state: {n: 0}
        until: state.n >= 2
        body:
          one: {operator: debug.value, inputs: {value: "${{ state.n + 1 }}"}}
        next: {n: one.result}
    next: {sum: "state.sum + inner.n * step.result"}
outputs: {sum: "${{ outer.sum }}", rounds: "${{ outer.iterations }}"}
""")
    assert result.status is RunStatus.SUCCEEDED
    assert result.outputs == {"sum": 40, "rounds": 2}
    assert statuses(result)["outer#1.inner#1.one"] == "succeeded"


@pytest.mark.parametrize(
    ("after", "hint"),
    [
        ("n: state.n", "the last round left the state as it was: look at `next` and the condition"),
        ("n: state.n + 1", "look at the loop's condition, or raise max_iterations"),
    ],
)
def test_a_loop_at_its_limit_whose_state_did_not_change_is_told_so(after: str, hint: str) -> None:
    result = ran(f"""
nodes:
  around:
    control: loop
    state: {{n: 0}}
    until: state.n > 9
    max_iterations: 3
    next: {{{after}}}
    body:
      one: {{operator: debug.value, inputs: {{value: 1}}}}
""")
    assert result.error is not None
    assert (result.error.code, result.error.hint) == ("loop-limit", hint)


def test_a_loop_runs_for_each_element_and_its_body_sees_the_element() -> None:
    result = ran("""
nodes:
  grow:
    control: loop
    for_each: "[1, 10]"
    state: {x: "${{ item }}"}
    while: state.x < 100
    body:
      more: {operator: debug.value, inputs: {value: "${{ state.x * (item + 1) }}"}}
    next: {x: more.result}
outputs: {x: "${{ grow.x }}", n: "${{ grow.iterations }}"}
""")
    assert result.outputs == {"x": [128, 110], "n": [7, 1]}
    assert "grow[1]#0.more" in result.nodes


def test_a_fan_out_in_a_loop_has_elements_in_every_round() -> None:
    result = ran("""
nodes:
  rounds:
    control: loop
    state: {all: []}
    until: iteration >= 1
    body:
      each: {operator: debug.value, for_each: "[1, 2]", inputs: {value: "${{ item + 10 * iteration }}"}}
    next: {all: state.all + each.result}
outputs: {all: "${{ rounds.all }}"}
""")
    assert result.outputs == {"all": [1, 2, 11, 12]}
    assert statuses(result)["rounds#1.each[1]"] == "succeeded"


def test_a_loop_that_fails_is_tried_again_from_its_first_round() -> None:
    result = ran("""
nodes:
  rounds:
    control: loop
    state: {n: 0}
    until: state.n >= 2
    retry: {attempts: 2, initial: 1ms}
    on_error: {value: {n: -1, iterations: 0}}
    body:
      one: {operator: debug.value, inputs: {value: "${{ state.n + 1 }}"}}
      bad: {operator: debug.fail, when: one.result == 2}
    next: {n: one.result}
outputs: {n: "${{ rounds.n }}"}
""")
    assert result.outputs == {"n": -1}
    assert result.nodes["rounds"].attempts == 2
    error = result.nodes["rounds"].error
    assert error is not None
    assert error.message.startswith("rounds#1.bad: ")


def test_a_condition_that_cannot_be_evaluated_fails_the_loop_with_its_reason() -> None:
    result = ran("""
nodes:
  rounds:
    control: loop
    state: {n: []}
    while: size(state.n[0]) == 0
    body: {one: {operator: debug.value, inputs: {value: 1}}}
    next: {n: "[one.result]"}
""")
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.node == "rounds"


def test_a_delay_takes_its_time_and_no_place_from_others() -> None:
    text = "name: test\nnodes:\n  wait: {control: delay, for_each: '[1, 2, 3]', for: 30ms}\n"
    text += "  other: {operator: debug.value, inputs: {value: 1}}\noutputs: {o: '${{ other.result }}'}\n"
    result = run(loads(text, "yaml"), memory=True, concurrency=1)
    assert result.status is RunStatus.SUCCEEDED
    finished = {name: node.finished_at or "" for name, node in result.nodes.items()}
    assert finished["other"] < finished["wait[0]"]


def test_a_delay_until_a_moment_that_has_passed_ends_at_once() -> None:
    result = ran("""
nodes:
  wait: {control: delay, until: 'timestamp("2001-01-01T00:00:00Z")'}
  after: {operator: debug.value, inputs: {value: 1}, after: [wait]}
outputs: {o: "${{ after.result }}"}
""")
    assert result.outputs == {"o": 1}


@pytest.mark.parametrize(
    "node", ["control: delay, for: 1h", "control: loop, until: 'false', body: {w: {control: delay, for: 1h}}"]
)
def test_what_takes_longer_than_its_timeout_fails(node: str) -> None:
    result = ran(f"nodes:\n  slow: {{{node}, timeout: 20ms}}\n")
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert (result.error.code, result.error.node) == ("timeout", "slow")


def test_a_failure_outside_cancels_what_runs_inside_loops_and_delays() -> None:
    result = ran("""
nodes:
  inside:
    control: loop
    until: "false"
    body: {wait: {control: delay, for: 1h}}
  bad: {control: delay, for: 5ms}
  fails: {operator: debug.fail, after: [bad]}
""")
    assert statuses(result) == {
        "inside": "cancelled", "inside#0.wait": "cancelled", "bad": "succeeded", "fails": "failed"
    }  # fmt: skip


@pytest.mark.parametrize(("decision", "later"), [("approve", "succeeded"), ("reject", "skipped")])
def test_a_rejection_lets_nothing_through_that_does_not_ask_for_it(decision: str, later: str) -> None:
    result = ran(f"""
nodes:
  gate: {{control: approval, message: "Go?", timeout: 5ms, on_timeout: {decision}}}
  later: {{operator: debug.value, inputs: {{value: 1}}, after: [gate]}}
  asks: {{operator: debug.value, inputs: {{value: "${{{{ gate.approved }}}}"}}}}
outputs: {{approved: "${{{{ asks.result }}}}"}}
""")
    assert result.outputs == {"approved": decision == "approve"}
    assert statuses(result)["later"] == later


def test_nobody_answers_in_time_and_the_node_fails() -> None:
    result = ran('nodes:\n  gate: {control: approval, message: "Go?", timeout: 5ms}\n')
    assert result.error is not None
    assert (result.error.code, result.error.node) == ("timeout", "gate")


def test_a_run_waits_for_an_approval_in_a_loop_and_says_what_is_asked() -> None:
    result = ran("""
nodes:
  rounds:
    control: loop
    until: "true"
    body: {gate: {control: approval, message: "Round ${{ iteration }}?"}}
""")
    assert result.status is RunStatus.WAITING
    assert result.nodes["rounds#0.gate"].asks == "Round 0?"
    assert result.nodes["rounds#0.gate"].status is NodeStatus.WAITING


def children(folder: Path) -> Path:
    (folder / "child.yaml").write_text(
        "name: child\ninputs: {n: {type: integer}}\nnodes:\n"
        "  below: {workflow: deep/leaf.yaml, for_each: '[1, 2]', inputs: {n: '${{ inputs.n * item }}'}}\n"
        "outputs: {all: '${{ below.twice }}'}\n",
        encoding="utf-8",
    )
    (folder / "deep").mkdir()
    (folder / "deep" / "leaf.yaml").write_text(
        "name: leaf\ninputs: {n: {type: integer, max: 100}}\nnodes:\n"
        "  two: {operator: debug.value, inputs: {value: '${{ inputs.n * 2 }}'}}\n"
        "outputs: {twice: '${{ two.result }}'}\n",
        encoding="utf-8",
    )
    top = folder / "top.yaml"
    top.write_text(
        "name: top\ninputs: {n: {type: integer, default: 5}}\nnodes:\n"
        "  c: {workflow: child, inputs: {n: '${{ inputs.n }}'}}\noutputs: {all: '${{ c.all }}'}\n",
        encoding="utf-8",
    )
    return top


def test_sub_workflows_nest_and_have_names_of_their_own(tmp_path: Path) -> None:
    result = run(children(tmp_path), memory=True)
    assert result.outputs == {"all": [10, 20]}
    assert statuses(result)["c.below[1].two"] == "succeeded"


def test_an_input_that_a_sub_workflow_refuses_fails_its_node(tmp_path: Path) -> None:
    result = run(children(tmp_path), {"n": 99}, memory=True)
    assert result.error is not None
    assert result.error.code == "input-invalid"
    assert result.error.node == "c"


def test_a_paused_run_begins_nothing_more_and_goes_on_when_resumed(tmp_path: Path) -> None:
    text = "name: test\nnodes:\n  a: {control: delay, for: 10ms}\n"
    text += "  b: {operator: debug.value, inputs: {value: 1}, after: [a]}\noutputs: {b: '${{ b.result }}'}\n"

    async def whole() -> tuple[RunResult, RunResult]:
        async with Symphony.open(tmp_path) as symphony:
            handle = await symphony.start(loads(text, "yaml"))
            handle.pause()
            first = await handle.result()
            return first, await (await symphony.resume(handle.run_id)).result()

    first, second = asyncio.run(whole())
    assert first.status is RunStatus.PAUSED
    assert statuses(first)["b"] == "pending"
    assert second.outputs == {"b": 1}


@operator("test.told", version="1.0.0", pure=True)
def told(context: Context) -> str:
    """What the node's config says."""
    return f"{context.config['depth']} {context.config['style']} {context.base.name}"


def test_the_config_of_a_node_reaches_its_operator_and_files_resolve_beside_their_workflow(
    tmp_path: Path,
) -> None:
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "child.yaml").write_text(
        "name: child\ninputs: {n: {type: integer}}\nnodes:\n"
        "  t: {operator: test.told, config: {depth: '${{ inputs.n + 1 }}', style: plain}}\n"
        "outputs: {said: '${{ t.result }}'}\n",
        encoding="utf-8",
    )
    top = tmp_path / "top.yaml"
    top.write_text(
        "name: top\nnodes: {c: {workflow: part/child.yaml, inputs: {n: 2}}}\n"
        "outputs: {said: '${{ c.said }}'}\n",
        encoding="utf-8",
    )
    assert run(top, memory=True, operators=[told]).outputs == {"said": "3 plain part"}


def test_a_disk_that_is_full_ends_a_run_that_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(store: SqliteStore, records: list[Record]) -> None:
        raise JournalFailed("the disk is full")

    async def whole() -> None:
        async with Symphony.open(tmp_path) as symphony:
            handle = await symphony.start(loads("name: t\nnodes: {gate: {control: approval}}", "yaml"))
            with pytest.raises(JournalFailed, match="full"):
                await asyncio.wait_for(handle.result(), 10)

    monkeypatch.setattr(SqliteStore, "commit", full)
    asyncio.run(whole())


def test_a_merge_chooses_among_its_candidates_alone_and_waits_for_what_its_conditions_read() -> None:
    result = ran("""
nodes:
  late: {control: delay, for: 30ms}
  other: {operator: debug.value, inputs: {value: wrong}}
  slow: {operator: debug.value, inputs: {value: true}, after: [late]}
  a: {operator: debug.fail, on_error: {fallback: b}}
  b: {operator: debug.value, inputs: {value: right}}
  first: {control: merge, after: [a], when: slow.result}
edges:
  - {from: other, to: first, when: "other.result == 'wrong'"}
outputs: {first: "${{ first.result }}"}
""")
    assert result.outputs == {"first": "right"}


def test_when_one_element_fails_the_loops_of_the_others_are_cancelled_and_not_tried_again() -> None:
    result = ran("""
nodes:
  each:
    control: loop
    for_each: "[0, 1]"
    retry: {attempts: 3, initial: 1ms}
    state: {x: "${{ item }}"}
    until: iteration == 0
    body:
      wait: {control: delay, for: 1h, when: item == 0}
      odd: {operator: debug.value, inputs: {value: "${{ 1 / (1 - item) }}"}}
    next: {x: odd.result}
""")
    assert result.status is RunStatus.FAILED
    assert statuses(result)["each[0]"] == "cancelled"
    assert result.nodes["each[0]"].attempts == 1


KEPT = """
nodes:
  rounds:
    control: loop
    state: {text: a}
    until: iteration >= 1
    body: {more: {operator: debug.value, inputs: {value: "${{ state.text + 'b' }}"}}}
    next: {text: more.result}
    artifact: {name: "letters-${{ inputs.n }}", port: text, content_type: text/plain}
  child:
    workflow: child.yaml
    inputs: {n: "${{ inputs.n }}"}
    artifact: {name: from-child}
"""
CHILD = (
    "name: child\ninputs: {n: {type: integer}}\nnodes: {c: {operator: debug.value, inputs: {value: seven}}}\n"
)


def kept(folder: Path) -> Path:
    (folder / "child.yaml").write_text(CHILD + "outputs: {out: '${{ c.result }}'}\n", encoding="utf-8")
    file = folder / "workflow.yaml"
    file.write_text(f"name: t\ninputs: {{n: {{type: integer}}}}\n{KEPT}", encoding="utf-8")
    return file


def test_the_outcome_of_a_loop_and_of_a_sub_workflow_is_the_artifact_that_they_declare(
    tmp_path: Path,
) -> None:
    async def whole() -> list[bytes]:
        async with Symphony.open(memory=True) as symphony:
            handle = await symphony.start(kept(tmp_path), {"n": 3})
            result = await handle.result()
            assert result.status is RunStatus.SUCCEEDED
            found = [symphony.artifacts.find(name) for name in ("letters-3", "from-child")]
            assert found[0].content_type == "text/plain"
            assert [one.node for one in found[1].provenance] == ["child"]
            return [symphony.artifacts.get(one.digest) for one in found]

    assert asyncio.run(whole()) == [b"abb", b"seven"]


def test_a_full_store_leaves_a_loop_for_later_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **_more: object) -> ArtifactRef:
        raise StorageFull("no room", hint="make room")

    async def whole() -> RunResult:
        async with Symphony.open(tmp_path / "home") as symphony:
            handle = await symphony.start(kept(tmp_path), {"n": 3})
            with monkeypatch.context() as patched:
                patched.setattr(FileArtifacts, "put", full)
                with pytest.raises(StorageFull):
                    await asyncio.wait_for(handle.result(), 10)
            return await (await symphony.resume(handle.run_id)).result()

    result = asyncio.run(whole())
    assert result.status is RunStatus.SUCCEEDED
    assert result.nodes["rounds"].attempts == 1


def test_what_stands_for_an_element_does_not_stand_for_a_list_that_failed() -> None:
    result = ran("""
nodes:
  each:
    operator: debug.value
    for_each: "[1, 2].filter(i, 1 / (i - 1) == i)"
    inputs: {value: "${{ item }}"}
    on_error: {value: {result: 0}}
""")
    assert result.error is not None
    assert result.error.code == "expression-failed"
    assert "no list of elements" in result.error.message


@pytest.mark.parametrize("said", ["`while: state.n >= 0` still held", "`until: state.n < 0` never did"])
def test_a_loop_that_comes_to_no_end_names_its_condition_and_its_rounds(said: str) -> None:
    result = ran(f"""
nodes:
  a:
    control: loop
    state: {{n: 0}}
    {said.split("`")[1]}
    max_iterations: 2
    body:
      x: {{operator: debug.value, inputs: {{value: 1}}}}
    next: {{n: "${{{{ state.n + 1 }}}}"}}
""")
    assert result.error is not None
    assert result.error.message.endswith(f"in 2 rounds: {said}; its last state: n = 2")


def test_a_loop_without_an_end_shows_its_last_state_even_inside_others(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text("""
name: inner
nodes:
  around:
    control: loop
    state: {k: 0}
    until: "false"
    max_iterations: 2
    body:
      deep:
        control: loop
        state: {n: 0, word: "${{ 'ab' + string(state.k) }}", all: [1, {x: null}]}
        until: "false"
        max_iterations: 3
        body:
          x: {operator: debug.value, inputs: {value: 1}}
        next: {n: "${{ state.n + 1 }}"}
    next: {k: "${{ state.k + 1 }}"}
""")
    outer = tmp_path / "outer.yaml"
    outer.write_text("name: outer\nnodes:\n  sub: {workflow: ./inner.yaml}\n")
    result = run(outer, memory=True)
    assert result.error is not None
    assert result.error.code == "loop-limit"
    said = 'its last state: n = 3, word = "ab0", all = [1, {"x": null}]'
    assert result.error.message.endswith(said)
