"""Nodes that nothing reads: a warning, unless they do something that counts."""

from symphony.workflow.files import loads
from symphony.workflow.model import Workflow
from symphony.workflow.validation import validate

NODES = """
  one: {command: make}
  two: {operator: fs.write, inputs: {path: x, text: y}}
  three: {control: approval, message: go on?}
  four: {operator: debug.value, inputs: {value: 1}, artifact: {name: kept}}
  five: {control: loop, max_iterations: 1, while: "true", body: {x: {command: make}}}
  six: {workflow: acting}
  seven:
    {control: loop, max_iterations: 1, while: "true", body: {x: {operator: debug.value, inputs: {value: 1}}}}
  eight: {workflow: quiet}
  nine: {operator: debug.value, inputs: {value: 1}}
  ten: {control: delay, for: 1s}
"""
FILES = {
    "acting": "name: a\nnodes: {x: {command: make}}",
    "quiet": "name: q\nnodes: {x: {operator: debug.value, inputs: {value: 1}}}",
}


def resolve(reference: str) -> Workflow | None:
    text = FILES.get(reference)
    return None if text is None else loads(text, "yaml")


def test_nodes_with_effects_are_no_orphans_whoever_reads_them() -> None:
    report = validate(loads(f"name: case\nnodes:{NODES}", "yaml"), resolve=resolve)
    assert report.errors == ()
    orphans = [(problem.code, problem.place) for problem in report.warnings]
    assert orphans == [("orphan", f"nodes.{name}") for name in ("seven", "eight", "nine", "ten")]


def test_what_is_not_known_may_have_effects() -> None:
    nodes = "{a: {workflow: nowhere}, b: {workflow: nowhere}}"
    assert validate(loads(f"name: case\nnodes: {nodes}", "yaml")).warnings == ()
