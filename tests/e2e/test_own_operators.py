"""Operators in files that a workflow or trusted settings name, as users meet them on the command line."""

import json
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

OPS = '''
import os
from pathlib import Path
from symphony import operator

(Path(__file__).parent / f"executed-{os.getpid()}").touch()

@operator("mine.double", version="1.0.0", pure=True, cpu=True)
def double(number: int) -> int:
    """Twice as much."""
    return 2 * number
'''
FLOW = """
name: Double
operators: [parts/ops.py]
nodes:
  a: {operator: mine.double, for_each: "[1, 2, 3]", inputs: {number: "${{ item }}"}, timeout: 1m}
outputs: {all: "${{ a.result }}"}
"""


@pytest.fixture
def line(tmp_path: Path) -> CommandLine:
    """A folder with a workflow and its operators."""
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts/ops.py").write_text(OPS)
    (tmp_path / "flow.yaml").write_text(FLOW)
    return CommandLine(tmp_path)


def executed(line: CommandLine) -> int:
    return len(list(line.folder.glob("parts/executed-*")))


def test_only_a_run_executes_the_file_and_workers_load_it_too(line: CommandLine) -> None:
    for command in (
        ("validate", "flow.yaml"), ("graph", "flow.yaml"), ("convert", "flow.yaml", "--output", "flow.toml"),
        ("run", "flow.yaml", "--dry-run"), ("operators", "list", "flow.yaml"),
        ("operators", "show", "mine.double", "flow.yaml"), ("validate", "."),
    ):  # fmt: skip
        done = line.call(*command)
        assert done.status == 0, (command, done.out, done.err)
    assert executed(line) == 0
    done = line.call("run", "flow.toml", "--json")
    assert json.loads(done.out)["outputs"] == {"all": [2, 4, 6]}
    assert executed(line) >= 2  # in this process, and in a worker


def test_an_operator_of_a_workflow_is_listed_and_shown(line: CommandLine) -> None:
    listed = line.call("operators", "list", "flow.yaml")
    assert "mine.double" in listed.out
    assert "Twice as much." in listed.out
    assert "text.join" not in listed.out  # what ships is listed without a file
    shown = line.call("operators", "show", "mine.double", "flow.yaml", "--json")
    assert json.loads(shown.out)["inputs"]["number"]["type"] == "integer"
    unknown = line.call("operators", "show", "mine.dubble", "parts/ops.py")
    assert unknown.status != 0
    assert "did you mean mine.double?" in unknown.err


def test_a_file_of_settings_counts_once_they_are_trusted(line: CommandLine) -> None:
    (line.folder / "flow.yaml").write_text(FLOW.replace("operators: [parts/ops.py]\n", ""))
    home = line.folder / ".symphony"
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text('[operators]\nfiles = ["parts/ops.py"]\n')
    user = CommandLine(line.folder, SYMPHONY_HOME=None, XDG_DATA_HOME=str(line.folder / "data"))
    refused = user.call("run", "flow.yaml")
    assert refused.status == 2
    assert "operators.files" in refused.err  # what does not count
    assert "unknown operator mine.double" in refused.err
    assert executed(line) == 0
    assert user.call("trust").status == 0
    assert user.call("validate", "flow.yaml").status == 0
    assert "mine.double" in user.call("operators", "list").out
    assert executed(line) == 0
    done = user.call("run", "flow.yaml", "--json")
    assert json.loads(done.out)["outputs"] == {"all": [2, 4, 6]}


def test_a_file_that_fails_when_it_is_run_ends_the_command_with_its_line(line: CommandLine) -> None:
    (line.folder / "parts/ops.py").write_text(OPS + "\nimport no_such_module_anywhere\n")
    assert line.call("validate", "flow.yaml").status == 0
    done = line.call("run", "flow.yaml")
    assert done.status == 2
    assert "ops.py:13: ModuleNotFoundError" in done.err
    assert "run started" not in done.err
