"""What `symphony operators show` advises for an operator that it does not know."""

import pytest

from symphony.cli.main import main


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("approval", "write control: approval; see docs/reference/workflow-files.md#approval"),
        ("loop", "write control: loop;"),
        ("workflow", "write workflow: in place of operator:"),
        ("shell.run", "a node with command:; see docs/reference/workflow-files.md#command"),
        ("fs.grep", "there are fs.glob, fs.read, fs.write"),
        ("fs.globb", "did you mean fs.glob?\n        all: symphony operators list"),
    ],
)
def test_a_word_that_is_no_operator_is_told_what_it_is_or_where_to_look(
    name: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["operators", "show", name]) == 2
    assert told in capsys.readouterr().err


def test_an_unknown_operator_is_looked_for_in_a_workflow(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operators", "show", "my.ratio"]) != 0
    assert "symphony operators show my.ratio FILE" in capsys.readouterr().err
