"""What a run's journal keeps of its workflow, and of those that it refers to."""

from pathlib import Path

from symphony.pit.tracker.store.documents import record_children, recorded_form
from symphony.workflow import Workflow, dumps, load, loads
from symphony.workflow.files import Resolver

CHILD = "name: child\nnodes:\n  a: {operator: debug.value, inputs: {value: 1}}\n"
PARENT = """\
name: parent
nodes:
  a: {operator: debug.value, inputs: {value: 1}}
  b: {operator: debug.value, inputs: {value: "${{ a.result }}"}}
  c: {workflow: child, after: [b]}
edges:
  - {from: b, to: a, when: "false"}
"""


def layers(width: int) -> Workflow:
    """Two layers of `width` nodes; each of the second reads all of the first."""
    nodes: dict[str, str] = {f"a{i}": "{operator: debug.value, inputs: {value: 1}}" for i in range(width)}
    every = ", ".join(f'"${{{{ a{i}.result }}}}"' for i in range(width))
    nodes |= {f"b{i}": f"{{operator: debug.value, inputs: {{value: [{every}]}}}}" for i in range(width)}
    return loads("name: x\nnodes:\n" + "".join(f"  {k}: {v}\n" for k, v in nodes.items()), "yaml")


def test_the_recorded_form_reads_equal_to_the_whole_document_and_holds_no_derived_edge() -> None:
    workflow = loads(PARENT, "yaml")
    recorded = recorded_form(workflow)
    assert loads(recorded, "json") == loads(dumps(workflow, "json"), "json") == workflow
    assert b'"derived"' in dumps(workflow, "json")
    assert b'"derived"' not in recorded
    assert b'"edges":[{"from":"b","to":"a","when":"false"}]' in recorded


def test_the_recorded_form_is_a_third_of_the_whole_document_where_nodes_read_many() -> None:
    workflow = layers(20)
    assert len(recorded_form(workflow)) * 3 < len(dumps(workflow, "json"))


def test_sub_workflows_are_recorded_in_the_same_form(tmp_path: Path) -> None:
    (tmp_path / "child.yaml").write_text(CHILD)
    (tmp_path / "parent.yaml").write_text(PARENT)
    children, references = record_children(load(tmp_path / "parent.yaml"), Resolver(tmp_path / "parent.yaml"))
    assert references == {"child": 0}
    assert children[0].document == recorded_form(loads(CHILD, "yaml"))
