"""What a run makes, for whoever wants it: one output raw, files in a folder, an artifact to open."""

import json
import os
import sys
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Makes
nodes:
  lines: {command: "printf 'one\\ntwo'"}
  data: {operator: debug.value, inputs: {value: {a: [1, "é"]}}}
  raw: {operator: debug.value, inputs: {value: {$bytes: AP8K}}}
  report:
    operator: text.join
    inputs: {parts: ["# Report\\n"]}
    artifact: {name: report, content_type: text/markdown}
  big: {command: seq 1 20000}
outputs:
  lines: "${{ lines.stdout }}"
  data: "${{ data.result }}"
  raw: "${{ raw.result }}"
  report: "${{ report.result }}"
  big: "${{ big.stdout }}"
"""


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path)
    made.write("makes.yaml", WORKFLOW)
    return made


def test_a_folder_for_files_is_not_left_where_a_run_writes_none(desk: CommandLine) -> None:
    desk.write("plain.yaml", "name: Plain\nnodes: {a: {command: 'true'}}\n")
    _, err = desk.type("run", "plain.yaml", "--output-dir", "new/inside")
    assert "no files to write: no node declares an artifact:, and no output is one" in err
    assert not (desk.folder / "new").exists()
    (desk.folder / "old").mkdir()
    desk.type("run", "plain.yaml", "--output-dir", "old/inside")
    assert list((desk.folder / "old").iterdir()) == []


def raw(desk: CommandLine, *words: str) -> bytes:
    process = desk.start(*words, text=False)
    out, _ = process.communicate()
    assert process.returncode == 0
    return bytes(out)


def test_one_output_is_all_there_is_on_stdout(desk: CommandLine) -> None:
    assert raw(desk, "run", "makes.yaml", "--output", "lines") == b"one\ntwo\n"
    show = ("runs", "show", "last", "--output")
    assert raw(desk, *show, "lines") == b"one\ntwo\n"
    assert raw(desk, *show, "report") == b"# Report\n"
    assert raw(desk, *show, "raw") == b"\0\xff\n"
    assert json.loads(raw(desk, *show, "data")) == {"a": [1, "é"]}
    assert raw(desk, *show, "big").count(b"\n") == 20_000
    assert raw(desk, "runs", "rerun", "last", "--output", "lines") == b"one\ntwo\n"
    assert raw(desk, "runs", "resume", "last", "--output", "lines") == b"one\ntwo\n"


def test_an_output_that_is_not_there_is_told_before_anything_runs(desk: CommandLine) -> None:
    _, err = desk.type("run", "makes.yaml", "--output", "repot", status=2)
    assert "did you mean report?" in err
    assert desk.type("runs", "list")[1].startswith("no runs in the home ")
    _, err = desk.type("run", "makes.yaml", "--output", "report", "--json", status=2)
    assert "two formats" in err


def test_a_run_without_outputs_prints_none_and_fails(desk: CommandLine) -> None:
    desk.write("fails.yaml", "name: F\nnodes: {a: {command: 'false'}}\noutputs: {o: '${{ a.stdout }}'}\n")
    out, _ = desk.type("run", "fails.yaml", "--output", "o", status=1)
    assert out == ""
    out, err = desk.type("runs", "show", "last", "--output", "o", status=1)
    assert out == ""
    assert "the run has no outputs: it is failed" in err


def test_files_go_into_the_folder_that_was_named_and_results_say_where(desk: CommandLine) -> None:
    out, err = desk.type("run", "makes.yaml", "--output-dir", "out/here")
    assert "report = out/here/report.md" in out
    assert "wrote out/here/report.md" in err
    names = {p.name for p in (desk.folder / "out/here").iterdir()}
    assert names == {"report.md", "big.txt", ".symphony-files"}
    document = desk.json("run", "makes.yaml", "--output-dir", "out/here")
    assert [one["path"] for one in document["files"]] == ["out/here/report.md", "out/here/big.txt"]
    _, err = desk.type("runs", "rerun", "last", "--output-dir", "again")
    assert "wrote again/report.md" in err
    _, err = desk.type("run", "makes.yaml", "--memory", "--output-dir", "memory")
    assert (desk.folder / "memory/report.md").read_text() == "# Report\n"


def test_files_that_symphony_did_not_write_are_kept_before_and_after_a_run(desk: CommandLine) -> None:
    out = desk.folder / "out"
    out.mkdir()
    desk.write("out/report.md", "mine")
    _, err = desk.type("run", "makes.yaml", "--output-dir", "out", status=1)
    assert "out/report.md is a file that Symphony did not write" in err
    assert desk.type("runs", "list")[1].startswith("no runs in the home ")
    (out / "report.md").unlink()
    desk.write("out/big.txt", "mine")  # only a run tells that there will be one
    _, err = desk.type("run", "makes.yaml", "--output-dir", "out", status=1)
    assert "out/big.txt is a file that Symphony did not write" in err
    assert "symphony runs resume makes-1 --output-dir out" in err
    assert not (out / "report.md").exists()
    desk.type("runs", "resume", "makes-1", "--output-dir", "out", "--overwrite")
    assert (out / "report.md").read_text() == "# Report\n"
    assert (out / "big.txt").read_text() != "mine"


def test_a_folder_that_cannot_be_is_told_before_anything_runs(desk: CommandLine) -> None:
    _, err = desk.type("run", "makes.yaml", "--output-dir", "makes.yaml", status=1)
    assert "makes.yaml is not a folder" in err
    assert desk.type("runs", "list")[1].startswith("no runs in the home ")


@pytest.mark.skipif(sys.platform != "linux", reason="the opener is another one")
def test_an_artifact_is_opened_with_the_systems_program(desk: CommandLine, tmp_path: Path) -> None:
    desk.type("run", "makes.yaml")
    programs = tmp_path / "bin"
    programs.mkdir()
    opener = programs / "xdg-open"
    opener.write_text('#!/bin/sh\ncp "$1" seen\n')
    opener.chmod(0o755)
    path = f"{programs}:{os.environ['PATH']}"
    out, err = desk.type("artifacts", "open", "report", DISPLAY=":0", PATH=path)
    assert (desk.folder / "seen").read_text() == "# Report\n"
    assert out.endswith("/report.md\n")
    assert err == ""
    _, err = desk.type("artifacts", "open", "report", DISPLAY=None, WAYLAND_DISPLAY=None)
    assert "no screen" in err
    (desk.folder / "seen").unlink()
    told = desk.json("artifacts", "open", "report", DISPLAY=":0", PATH=path)
    assert (told["path"], told["names"]) == (out.strip(), ["report"])
    assert not (desk.folder / "seen").exists()
    opener.write_text("#!/bin/sh\nexit 3\n")
    _, err = desk.type("artifacts", "open", "report", DISPLAY=":0", PATH=path, status=1)
    assert "could not open it" in err


def test_a_mistyped_artifact_is_told_the_one_that_is_near(desk: CommandLine) -> None:
    desk.type("run", "makes.yaml")
    for command in ("show", "get", "open"):
        assert "did you mean report?" in desk.type("artifacts", command, "reprot", status=2)[1]
