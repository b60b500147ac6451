"""`on_finish` in workflow files: what may stand there, and what is said of the rest."""

import pytest

from symphony.workflow import loads, validate
from symphony.workflow.files import check_bytes
from symphony.workflow.problems import ValidationReport

REST = "nodes: {a: {command: 'true'}}\n"


def report(told: str, more: str = "") -> ValidationReport:
    return check_bytes(f"name: x\non_finish: {told}\n{more}{REST}".encode(), "x.yaml")[1]


@pytest.mark.parametrize(
    "told",
    ["{command: 'echo $STATUS'}", "{url: https://example.org/hook}", "{url: 'http://[::1]:8080/x?y=z'}"],
)
def test_a_command_or_a_url_is_told(told: str) -> None:
    assert report(told) == ValidationReport()


@pytest.mark.parametrize(
    ("told", "code", "place", "said"),
    [
        ("{command: x, url: 'https://a.org'}", "type-mismatch", "on_finish", "both command and url"),
        ("{}", "type-mismatch", "on_finish", "neither command nor url"),
        ("echo done", "type-mismatch", "on_finish", "must be a map"),
        ("{comand: x}", "unknown-key", "on_finish.comand", "no key"),
        ("[echo]", "type-mismatch", "on_finish", "must be a map"),
        ("{command: ' '}", "type-mismatch", "on_finish.command", "is empty"),
        ("{command: 3}", "type-mismatch", "on_finish.command", "must be text"),
        ("{command: x, commnad: y}", "unknown-key", "on_finish.commnad", "no key"),
        ("{command: 'echo ${{ run.id }}'}", "bad-expression", "on_finish.command", "no expressions"),
        ("{command: 'echo ${{'}", "bad-expression", "on_finish.command", "no expressions"),
        ('{command: "a\\0b"}', "type-mismatch", "on_finish.command", "null character"),
        ("{url: 'https://a.org/${{ run.id }}'}", "bad-expression", "on_finish.url", "no expressions"),
        ("{url: example.org}", "type-mismatch", "on_finish.url", "https://"),
        ("{url: 'ftp://example.org'}", "type-mismatch", "on_finish.url", "https://"),
        ("{url: 'https://'}", "type-mismatch", "on_finish.url", "https://"),
        ("{url: 'https://user:word@a.org'}", "type-mismatch", "on_finish.url", "a user and a password"),
        ("{url: 'https://a.org:port'}", "type-mismatch", "on_finish.url", "not a URL"),
        ("{url: 'https://[a'}", "type-mismatch", "on_finish.url", "not a URL"),
        ('{url: "https://a.org/\\n"}', "type-mismatch", "on_finish.url", "https://"),
    ],
)
def test_anything_else_is_told_at_its_place(told: str, code: str, place: str, said: str) -> None:
    errors = report(told).errors
    assert len(errors) == 1
    assert (errors[0].code, errors[0].place) == (code, place)
    assert said in errors[0].message
    assert errors[0].line
    assert errors[0].hint


def test_a_variable_that_the_command_does_not_get_is_a_warning() -> None:
    (warning,) = report("{command: 'curl -H \"$TOKEN\" https://a.org'}", "env: [TOKEN]\n").warnings
    assert (warning.code, warning.place) == ("missing-input", "on_finish.command")
    assert "TOKEN, which is listed under env" in warning.message
    assert not report("{command: 'TOKEN=x; echo $TOKEN'}", "env: [TOKEN]\n").warnings


def test_a_workflow_made_in_code_is_checked_too() -> None:
    from symphony.workflow import WorkflowBuilder

    made = WorkflowBuilder("x").on_finish(command="echo $STATUS")
    assert made is not None
    found = loads(f"name: x\non_finish: {{command: 'echo ${{{{ x }}}}'}}\n{REST}", "yaml")
    assert [one.place for one in validate(found).errors] == ["on_finish.command"]
