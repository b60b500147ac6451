"""`symphony validate`: one file, several, folders, stdin."""

import io
import json
from pathlib import Path

import pytest

from symphony.cli.main import main

GOOD = "name: Good\nnodes:\n  a: {command: echo hi}\n"
BAD = "name: Bad\nnodes:\n  a: {operator: text.splt}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def validated(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> str:
    assert main(["validate", *words]) == status
    return capsys.readouterr().out


def test_several_files_are_all_checked_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    write("good.yaml", GOOD)
    write("bad.yaml", BAD)
    told = validated(capsys, "good.yaml", "bad.yaml", status=2)
    assert "good.yaml is valid: 1 node" in told
    assert "bad.yaml:3:" in told
    assert told.splitlines()[-1] == "2 files: 1 valid, 1 with errors"
    assert validated(capsys, "good.yaml", "good.yaml").splitlines()[-1] == "1 file: 1 valid"


def test_json_of_several_files_is_a_list_with_their_names(capsys: pytest.CaptureFixture[str]) -> None:
    write("good.yaml", GOOD)
    write("bad.yaml", BAD)
    good, bad, missing = json.loads(
        validated(capsys, "good.yaml", "bad.yaml", "none.yaml", "--json", status=2)
    )
    assert good == {"file": "good.yaml", "errors": [], "warnings": good["warnings"]}
    assert (bad["file"], bad["errors"][0]["code"]) == ("bad.yaml", "unknown-operator")
    assert (missing["file"], missing["errors"][0]["code"]) == ("none.yaml", "workflow-not-found")


def test_json_of_one_file_is_one_object(capsys: pytest.CaptureFixture[str]) -> None:
    write("good.yaml", GOOD)
    assert json.loads(validated(capsys, "good.yaml", "--json"))["errors"] == []


def test_a_file_that_is_not_there_does_not_keep_others_from_being_checked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write("good.yaml", GOOD)
    told = validated(capsys, "none.yaml", "good.yaml", status=2)
    assert "cannot read none.yaml" in told
    assert "good.yaml is valid" in told


def test_a_folder_means_the_workflows_in_it_and_below_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("flows/a.yaml", "flows/deep/b.yml", "flows/.hidden/c.yaml"):
        write(name, GOOD)
    write("flows/d.json", json.dumps({"name": "D", "nodes": {"a": {"command": "echo hi"}}}))
    write("flows/broken.yaml", "name: X\nnodes:\n\ta: 1\n")
    write("flows/compose.yaml", "services: {web: {image: x}}\n")
    write("flows/broken-other.yaml", "a: [\n")
    write("flows/package.json", '{"nested": {"nodes": []}}')
    write("flows/notes.txt", "nodes:\n")
    found = json.loads(validated(capsys, "flows", "--json", status=2))
    assert [one["file"] for one in found] == [
        "flows/a.yaml", "flows/broken.yaml", "flows/d.json", "flows/deep/b.yml"
    ]  # fmt: skip
    assert [bool(one["errors"]) for one in found] == [False, True, False, False]


def test_a_folder_and_a_file_in_it_check_that_file_once(capsys: pytest.CaptureFixture[str]) -> None:
    write("flows/a.yaml", GOOD)
    assert len(json.loads(validated(capsys, "flows", "flows/a.yaml", "--json"))) == 1


def test_a_folder_without_workflows_is_an_error(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    (place / "empty").mkdir()
    assert main(["validate", "empty"]) == 2
    assert "there is no workflow in empty" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "status", "says"),
    [
        (GOOD, 0, "<stdin> is valid: 1 node"),
        (BAD, 2, "<stdin>:3:"),
        ('{"name": "J", "nodes": {"a": {"command": "echo hi"}}}', 0, "<stdin> is valid"),
        ("name: [", 2, "this is not YAML"),
        ("", 2, "<stdin>: "),
    ],
)
def test_stdin_is_a_file_of_any_format(
    text: str, status: int, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert says in validated(capsys, "-", status=status)


def test_sub_workflows_of_stdin_lie_in_the_current_folder(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write("child.yaml", GOOD)
    text = "name: Parent\nnodes:\n  a: {workflow: child}\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    assert "<stdin> is valid" in validated(capsys, "-")
