"""Commands that take `-` for a workflow file read it from stdin."""

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.cli.main import main
from symphony.workflow import loads

Pipe = Callable[[str | bytes], None]
FLOW = """\
name: Piped
inputs: {who: {type: string, default: world}}
nodes:
  hello:
    operator: text.render
    inputs: {template: hello.j2, data: {who: "${{ inputs.who }}"}}
outputs: {text: "${{ hello.text }}"}
"""
FAILING = "name: Piped\nnodes:\n  hello: {command: exit 3}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    (tmp_path / "hello.j2").write_text("hello, {{ who }}")
    return tmp_path


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Pipe:
    def given(text: str | bytes) -> None:
        body = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(body)))

    return given


def test_a_workflow_from_stdin_runs_with_paths_of_the_current_folder(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(FLOW)
    assert main(["run", "-", "hello", "-i", "who=you", "--quiet"]) == 0
    assert "hello, you" in capsys.readouterr().out
    (Path("hello.j2")).write_text("bye, {{ who }}")
    assert main(["runs", "rerun", "--from", "hello", "--quiet"]) == 0
    assert "bye, you" in capsys.readouterr().out


def test_errors_of_a_workflow_from_stdin_show_its_lines(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    pipe(FAILING.replace("command", "comand"))
    assert main(["run", "-"]) == 2
    assert "--> <stdin>:3:" in capsys.readouterr().err
    pipe(FAILING)
    assert main(["run", "-", "--quiet"]) == 1
    assert "--> <stdin>:3:3 (nodes.hello)" in capsys.readouterr().err
    assert main(["runs", "show"]) == 0
    assert "<stdin>:3:3 (nodes.hello)" in "".join(capsys.readouterr())


def test_a_mended_workflow_may_come_from_stdin(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(FAILING)
    assert main(["run", "-", "--quiet"]) == 1
    pipe(FAILING.replace("exit 3", "exit 0"))
    assert main(["runs", "rerun", "--file", "-", "--quiet"]) == 0
    assert "again: hello (changed: command)" in capsys.readouterr().err


def test_stdin_is_read_by_one_reader(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(FLOW)
    assert main(["run", "-", "--input-file", "who=-"]) == 2
    assert "stdin is read once, and FILE and --input-file who=- want it" in capsys.readouterr().err


def test_a_graph_is_drawn_of_stdin(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(FLOW)
    assert main(["graph", "-"]) == 0
    assert capsys.readouterr().out.startswith("Piped (1 node")


def test_stdin_is_converted(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    pipe(json.dumps({"name": "Piped", "nodes": {"a": {"command": "exit 3"}}}))
    assert main(["convert", "-", "-o", "made.yaml"]) == 0
    assert loads(Path("made.yaml").read_bytes(), "yaml").name == "Piped"


@pytest.mark.parametrize(
    "words", [("run",), ("validate",), ("graph",), ("convert", "--to", "json"), ("fmt",)]
)
@pytest.mark.parametrize(
    "body", [b"", b"\xff\xfe\x00", b"\x28\xb5\x2f\xfd damaged", b"\0" * 64, "ä: ö".encode("latin-1"), b"3"]
)
def test_what_is_no_workflow_on_stdin_is_told(
    pipe: Pipe, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], body: bytes
) -> None:
    pipe(body)
    assert main([words[0], "-", *words[1:]]) == 2
    told = "".join(capsys.readouterr())
    assert "error[" in told
    assert "hint:" in told
    assert "internal" not in told


@pytest.mark.parametrize("command", ["run", "validate", "graph", "fmt"])
def test_a_named_pipe_is_refused_with_the_way_to_read_it(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo("pipe.yaml")
    assert main([command, "pipe.yaml"]) == 2
    told = capsys.readouterr().err
    assert "cannot read pipe.yaml: it is not a regular file" in told
    assert "hint: to read a pipe: - in place of the file" in told
