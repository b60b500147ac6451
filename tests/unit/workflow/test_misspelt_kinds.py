"""Nodes whose kind is misspelt, or written as other tools write it."""

import pytest

from symphony.workflow.documents import format_named
from symphony.workflow.files import read_bytes
from symphony.workflow.problems import Problem


def _problems(text: str) -> list[Problem]:
    return list(read_bytes(f"name: x\n{text}".encode(), format_named("yaml")).problems)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("operater", "operator"),
        ("Operator", "operator"),
        ("OPERATOR", "operator"),
        ("comand", "command"),
        ("run", "command"),
        ("cmd", "command"),
        ("script", "command"),
        ("uses", "operator"),
        ("model", "instrument"),
        ("agent", "instrument"),
    ],
)
def test_a_misspelt_kind_is_one_error_at_its_line_that_names_the_kind(key: str, meant: str) -> None:
    found = _problems(f"nodes:\n  a:\n    inputs: {{}}\n    {key}: fs.read\n")
    assert [(one.code, one.place, one.line, one.hint) for one in found] == [
        ("unknown-key", f"nodes.a.{key}", 5, f"did you mean {meant}?")
    ]


def test_a_step_with_a_misspelt_command_is_one_error() -> None:
    found = _problems("steps:\n- {name: a, run: echo hi}\n")
    assert [(one.place, one.hint) for one in found] == [("steps[0].run", "did you mean command?")]


def test_a_node_without_a_key_that_is_near_a_kind_is_told_the_kinds() -> None:
    found = _problems("nodes: {a: {color: red}}")
    assert [one.message for one in found] == ["the node has no kind"]


@pytest.mark.parametrize(
    ("node", "hint"),
    [
        ("{command: ls, env: {A: 1}}", "give the command `inputs:`; they arrive as environment variables"),
        ("{command: ls, needs: [b]}", "did you mean after?"),
        ("{operator: fs.read, with: {path: x}}", "did you mean inputs?"),
        ("{command: [echo, hi]}", "write one text: echo hi"),
        ("{command: [echo, hi there, 3]}", "write one text: echo 'hi there' 3"),
        ("{command: []}", "write one text, as in a shell"),
        ("{command: 3}", "put it in quotes"),
    ],
)
def test_what_other_tools_would_accept_is_told_in_the_words_of_the_format(node: str, hint: str) -> None:
    assert [one.hint for one in _problems(f"nodes: {{a: {node}}}")] == [hint]
