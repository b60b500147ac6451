"""`symphony graph`: which format is written where."""

import json
from pathlib import Path

import pytest

from symphony.cli.main import main

WORKFLOW = """\
name: Two
nodes:
  a: {command: echo hi}
  b: {operator: text.split, inputs: {text: "${{ a.stdout }}"}}
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two.yaml").write_text(WORKFLOW, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.svg", "<svg"),
        ("a.SVG", "<svg"),
        ("a.mmd", "---\n"),
        ("a.txt", "Two ("),
        ("a", "Two ("),
        ("a.json", "{"),
    ],
)
def test_the_name_of_the_output_tells_the_format(name: str, begins: str, place: Path) -> None:
    assert main(["graph", "two.yaml", "-o", name]) == 0
    assert (place / name).read_text(encoding="utf-8").startswith(begins)


def test_a_format_that_is_said_is_taken_whatever_the_name(place: Path) -> None:
    assert main(["graph", "two.yaml", "-o", "a.png", "--format", "svg"]) == 0
    assert (place / "a.png").read_text(encoding="utf-8").startswith("<svg")


def test_a_name_of_another_format_is_refused(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "two.yaml", "-o", "a.png"]) == 2
    assert "graphs are not drawn as .png" in capsys.readouterr().err
    assert not (place / "a.png").exists()


def test_json_has_every_node_edge_and_level(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "two.yaml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "Two",
        "nodes": [
            {"id": "a", "kind": "command", "detail": "$ echo hi", "for_each": False},
            {"id": "b", "kind": "operator", "detail": "text.split", "for_each": False},
        ],
        "edges": [{"source": "a", "target": "b", "kind": "data", "label": None}],
        "levels": [["a"], ["b"]],
    }


def test_json_and_another_format_are_one_too_many(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "two.yaml", "--json", "--format", "svg"]) == 2


BROKEN = WORKFLOW.replace("text.split", "text.splitt")


def test_a_workflow_with_errors_is_drawn_and_the_status_is_that_of_validate(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "two.yaml").write_text(BROKEN)
    assert main(["graph", "two.yaml"]) == 2
    drawn = capsys.readouterr()
    assert drawn.out.startswith("Two (2 nodes")
    assert "unknown operator text.splitt" in drawn.err
    assert "--> two.yaml:4:" in drawn.err


def test_json_of_a_workflow_with_errors_has_them_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "two.yaml").write_text(BROKEN)
    assert main(["graph", "two.yaml", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["levels"] == [["a"], ["b"]]
    assert [one["code"] for one in found["errors"]] == ["unknown-operator"]


def test_operators_of_a_file_are_known_to_a_drawing(place: Path) -> None:
    (place / "ops.py").write_text(
        "from symphony.sdk import operator\n\n\n@operator('text.splitt')\n"
        "def split(text: str) -> list[str]:\n    return text.split()\n"
    )
    (place / "two.yaml").write_text(BROKEN)
    assert main(["graph", "two.yaml", "--operators", "ops.py"]) == 0


def test_a_file_and_a_run_are_not_drawn_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "two.yaml", "--run", "x"]) == 2
    assert "name a workflow file or --run RUN, one of them" in capsys.readouterr().err


def test_a_run_is_drawn_with_the_workflow_that_it_was_begun_with(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMPHONY_HOME", str(place / "home"))
    (place / "two.yaml").write_text(
        "name: Two\nnodes:\n  a: {command: exit 3, on_error: skip}\n  sub: {workflow: other.yaml}\n"
    )
    (place / "other.yaml").write_text("name: Other\nnodes:\n  inner: {command: echo hi}\n")
    assert main(["run", "two.yaml", "--json"]) == 0
    run = json.loads(capsys.readouterr().out)["run_id"]
    (place / "two.yaml").unlink()
    (place / "other.yaml").unlink()
    assert main(["graph", "--run", run, "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["nodes"]
    assert (first["id"], first["status"]) == ("a", "skipped")
    assert second["graph"]["nodes"][0]["status"] == "succeeded"
    assert main(["graph", "--run", run]) == 0
    assert "└─ inner  $ echo hi  ✓" in capsys.readouterr().out
