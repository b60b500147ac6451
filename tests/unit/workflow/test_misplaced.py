"""Keys that are indented too little: one problem says where they belong, and nothing else follows."""

import pytest

from symphony.workflow.documents import format_named
from symphony.workflow.files import check_bytes, read_bytes

A = "  a:\n    operator: debug.value\n    inputs:\n      value: 1\n"

CASES = [
    # the text after the name, the line and the place of the problem, below what it belongs
    ("nodes:\n  a:\n  operator: debug.value\n  inputs:\n    value: 1\n", 4, "nodes.operator", "a"),
    ("nodes:\n  a:\n    operator: debug.value\n  inputs:\n    value: 1\n", 5, "nodes.inputs", "a"),
    (f"nodes:\n{A}  retry:\n    attempts: 3\n", 7, "nodes.retry", "a"),
    (f"nodes:\n{A}  timeout: 5s\n", 7, "nodes.timeout", "a"),
    ("nodes:\na:\n  operator: debug.value\n  inputs:\n    value: 1\n", 3, "a", "nodes"),
    (f"nodes:\n{A}b:\n  command: ls\n", 7, "b", "nodes"),
    ("nodes:\n  a:\n    operator: debug.value\n    inputs:\n    value: 1\n", 6, "nodes.a.value", "inputs"),
    (f"nodes:\n{A}    retry:\n    attempts: 3\n", 8, "nodes.a.attempts", "retry"),
    (f"nodes:\n{A}    on_error:\n    value: {{result: 1}}\n", 8, "nodes.a.value", "on_error"),
    (f"nodes:\n{A}    artifact:\n    name: x\n", 8, "nodes.a.name", "artifact"),
    (f"nodes:\n{A}outputs:\nx: '${{{{ a.result }}}}'\n", 8, "x", "outputs"),
    (f"nodes:\n{A}budget:\ncalls: 3\n", 8, "calls", "budget"),
    (f"inputs:\n  n:\n  type: integer\n  default: 3\nnodes:\n{A}", 4, "inputs.type", "n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "line", "place", "owner"), CASES)
def test_what_is_indented_too_little_is_one_error_that_says_below_what_it_belongs(
    text: str, line: int, place: str, owner: str
) -> None:
    _, report = check_bytes(f"name: x\n{text}".encode(), "w.yaml")
    assert [(p.place, p.line, p.hint) for p in report.errors] == [
        (place, line, f"indent this below `{owner}:`")
    ]


def test_two_levels_that_are_lost_are_two_errors() -> None:
    text = b"name: x\nnodes:\n  a:\n  operator: debug.value\n  inputs:\n  value: 1\n"
    _, report = check_bytes(text, "w.yaml")
    hints = [(p.line, p.hint) for p in report.errors]
    assert hints == [(4, "indent this below `a:`"), (6, "indent this below `inputs:`")]


def test_what_is_wrong_with_a_moved_key_is_told_where_it_was_written() -> None:
    text = "name: x\nnodes:\n  a:\n  operator: debug.value\n  timeout: soon\n  inputs: {value: 1}\n"
    found = read_bytes(text.encode(), format_named("yaml")).problems
    assert [(p.place, p.line) for p in found] == [("nodes.operator", 4), ("nodes.a.timeout", 5)]


@pytest.mark.parametrize("name", ["operator", "timeout", "config", "retry", "command", "message", "body"])
def test_a_node_may_have_the_name_of_a_key(name: str) -> None:
    text = f"name: x\nnodes:\n{A}  {name}:\n    operator: debug.value\n    inputs: {{value: 1}}\n"
    reading = read_bytes(text.encode(), format_named("yaml"))
    assert reading.problems == ()
    assert reading.workflow is not None
    assert list(reading.workflow.nodes) == ["a", name]


def test_where_nothing_is_indented_the_hint_says_where_to_put_it() -> None:
    text = b'{"name": "x", "nodes": {"a": null, "operator": "debug.value", "inputs": {"value": 1}}}'
    (problem,) = read_bytes(text, format_named("json")).problems
    assert problem.hint == "put this into a"


RESERVED = ["list", "inputs", "item", "run", "env", "state", "nodes", "int", "type", "for", "if"]


@pytest.mark.parametrize("name", RESERVED)
def test_a_node_with_a_reserved_name_is_one_error_whoever_reads_it(name: str) -> None:
    text = f"""name: x
nodes:
  {name}: {{operator: text.render, inputs: {{template: hi}}}}
  b: {{operator: text.render, inputs: {{template: x, data: {{a: "${{{{ {name}.text }}}}"}}}}}}
  c:
    operator: text.render
    after: [{name}]
    when: {name}.text != ""
    inputs: {{template: "${{{{ nodes.{name}.text }}}}", data: "${{{{ {name} }}}}"}}
  d: {{operator: debug.value, for_each: {name}.text, inputs: {{value: "${{{{ item }}}}"}}}}
  e: {{control: branch, condition: size({name}.text) > 0}}
outputs: {{o: "${{{{ {name}.text }}}}", p: "${{{{ size({name}.text) }}}}"}}
"""
    _, report = check_bytes(text.encode(), "w.yaml")
    assert [(p.code, p.place) for p in report.errors] == [("reserved-name", f"nodes.{name}")]
