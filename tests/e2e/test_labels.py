"""Every command that names an element shows its label, and a hostile one moves nothing."""

from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


FLOW = """\
name: labels
env: [TOKEN]
nodes:
  say:
    command: 'echo "word $WORD"; test "$WORD" != bad'
    for_each: '[{"n": "good"}, {"n": "\\x1b[2J\\u202e" + env.TOKEN}, {"n": "bad"}]'
    label: '"the " + item.n'
    on_error: skip
    inputs: {word: "${{ item.n }}"}
    artifact: {name: "said-${{ index }}", port: stdout}
"""
TITLES = ["say[0] the good", "say[1] the \\x1b[2J\\u202e***", "say[2] the bad"]


def test_every_view_of_a_run_shows_the_labels_of_elements(command_line: CommandLine) -> None:
    command_line.write("flow.yaml", FLOW)
    _, lines = command_line.type("run", "flow.yaml", TOKEN="hunter2hunter2")
    views = {
        "lines": lines,
        "nodes": command_line.type("runs", "show", "last", "--elements")[0],
        "events": command_line.type("runs", "events", "last")[0],
        "logs": command_line.type("runs", "logs", "last")[0],
        "watch": command_line.type("runs", "watch", "last")[0],
    }
    for name, text in views.items():
        assert [title for title in TITLES if title not in text] == [], (name, text)
        assert "hunter2" not in text
        assert name == "logs" or "\x1b" not in text
    shown = command_line.json("runs", "show", "last")
    labels = [title.partition(" ")[2] for title in TITLES]
    assert [shown["nodes"][f"say[{n}]"]["label"] for n in range(3)] == labels
    assert [step["label"] for step in shown["steps"] if "[" in step["node"]] == labels
    assert "node say[0] the good, " in command_line.type("artifacts", "show", "said-0")[0]


def test_the_artifact_of_a_run_that_is_gone_is_shown_without_a_label(command_line: CommandLine) -> None:
    command_line.write("flow.yaml", FLOW)
    command_line.type("run", "flow.yaml", TOKEN="hunter2hunter2")
    command_line.type("runs", "delete", "last", "--yes")
    assert "said-0" in command_line.type("artifacts", "show", "said-0")[0]
