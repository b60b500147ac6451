"""Comparisons with what a command prints, which ends with a newline."""

import pytest

from symphony.workflow.files import loads
from symphony.workflow.problems import ValidationReport
from symphony.workflow.validation import validate

_START = """
name: case
nodes:
  c: {command: echo yes}
  p: {command: printf yes}
  n: {command: "echo -n yes"}
  many: {command: echo yes, for_each: [1, 2]}
"""


def _report(rest: str) -> ValidationReport:
    return validate(loads(_START + rest, "yaml"))


def _hints(report: ValidationReport) -> list[tuple[str, str]]:
    return [(one.place, one.hint) for one in report.warnings if one.code == "bad-expression"]


def _said(test: str) -> str:
    return f"write {test}, or let the command print no newline: printf"


@pytest.mark.parametrize(
    ("condition", "test"),
    [
        ("c.stdout == 'yes'", "c.stdout.startsWith('yes')"),
        ("c.stdout != 'yes' && c.exit_code == 0", "!c.stdout.startsWith('yes')"),
        ("'yes' == c.stdout", "c.stdout.startsWith('yes')"),
        ("true || c.stderr in ['yes', 'y']", "c.stderr.startsWith('yes')"),
        ("nodes['c'].stdout == r'yes'", "c.stdout.startsWith(r'yes')"),
        ("[1].exists(x, c.stdout == 'yes')", "c.stdout.startsWith('yes')"),
    ],
)
def test_a_comparison_that_a_newline_prevents_is_a_warning(condition: str, test: str) -> None:
    report = _report(f'  w: {{command: "true", when: "{condition}"}}')
    assert not report.errors
    assert _hints(report) == [("nodes.w.when", _said(test))]


def test_the_comparison_is_found_in_texts_and_loops_too() -> None:
    report = _report(
        """  w: {command: "echo $X", inputs: {x: "${{ c.stdout == 'yes' ? 1 : 2 }}"}}
  l:
    control: loop
    state: {ready: false}
    until: state.ready
    next: {ready: "check.stdout == 'yes'"}
    body: {check: {command: echo yes}}
"""
    )
    assert not report.errors
    assert _hints(report) == [
        ("nodes.w.inputs.x", _said("c.stdout.startsWith('yes')")),
        ("nodes.l.next.ready", _said("check.stdout.startsWith('yes')")),
    ]


@pytest.mark.parametrize(
    "condition",
    [
        "c.stdout == 'yes\\\\n'",
        "c.stdout != ''",
        "c.stdout.startsWith('yes') && c.exit_code == 0",
        "size(c.stdout) == 3",
        "p.stdout == 'yes' && n.stdout in ['yes']",
        "many.stdout[0] == 'yes'",
        "c.stdout == run.id",
        "c.stdout in [c.stderr]",
    ],
)
def test_other_comparisons_are_left_alone(condition: str) -> None:
    report = _report(f'  w: {{command: "true", when: "{condition}"}}')
    assert not report.errors
    assert _hints(report) == []
