"""What may have had effects when the process of a run was killed."""

from pathlib import Path

from symphony.pit.tracker.store.documents import recorded_form
from symphony.pit.tracker.store.doubts import in_doubt
from symphony.pit.tracker.store.journal import RunMeta
from symphony.workflow import loads

WORKFLOW = """
name: case
operators: [ops.py]
nodes:
  shell: {command: "true"}
  again: {command: "true", idempotent: true}
  many: {command: "true", for_each: [1, 2, 3]}
  shipped: {operator: debug.value, inputs: {value: 1}}
  write: {operator: own.write}
  pure: {operator: own.pure}
  once: {operator: own.pure, idempotent: false}
  gone: {operator: own.gone}
  l:
    control: loop
    state: {n: 0}
    until: state.n > 2
    next: {n: state.n + 1}
    body: {send: {command: "true"}}
"""
OPERATORS = """
from symphony import operator

@operator("own.write", version="1.0.0")
def write() -> int:
    return 1

@operator("own.pure", version="1.0.0", pure=True)
def pure() -> int:
    return 1
"""
STEPS = ["shell", "again", "many[0]", "many[2]", "shipped", "write", "pure", "once", "gone", "l#2.send"]


def meta(folder: Path) -> RunMeta:
    return RunMeta(
        run_id="r", workflow=recorded_form(loads(WORKFLOW, "yaml")), source=None, inputs=b"",
        cwd=str(folder), base=str(folder), created_at=0.0,
    )  # fmt: skip


def test_commands_and_operators_with_effects_are_in_doubt_several_elements_as_one(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(OPERATORS)
    assert in_doubt(meta(tmp_path), STEPS) == ["shell", "many", "write", "once", "gone", "l#2.send"]


def test_an_operator_whose_file_is_gone_is_in_doubt(tmp_path: Path) -> None:
    assert in_doubt(meta(tmp_path), ["pure", "shipped"]) == ["pure"]
