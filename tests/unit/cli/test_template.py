"""`symphony template`: found, explained, made; nothing is overwritten or written by halves."""

import json
from pathlib import Path

import pytest

from symphony.cli.arguments import templates
from symphony.cli.console import output
from symphony.cli.main import main

GREET = """\
name: Greet
description: Says hello
tags: [demo]
metadata:
  template:
    parameters:
      word: {type: string, max_length: 5, examples: [Hi], label: Word}
inputs:
  who: {type: string, description: whom to greet}
nodes:
  hello:
    command: printf '%s, %s' $[[ word ]] "$WHO"
    inputs: {who: "${{ inputs.who }}"}
outputs: {said: "${{ hello.stdout }}"}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "templates").mkdir()
    (tmp_path / "symphony-templates").mkdir()
    return tmp_path


def typed(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    assert main(["template", *words]) == status
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out, err


def test_the_nearest_of_one_name_counts_and_broken_ones_are_shown(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "home/templates/greet.yaml").write_text(GREET, encoding="utf-8")
    (folder / "symphony-templates/greet.yaml").write_text(GREET.replace("Says", "Shouts"), encoding="utf-8")
    (folder / "symphony-templates/broken.yaml").write_text("name: [", encoding="utf-8")
    (folder / "symphony-templates/plain.yaml").write_text(
        "name: x\nnodes: {a: {command: x}}\n", encoding="utf-8"
    )
    (folder / "symphony-templates/notes.md").write_text("x", encoding="utf-8")
    (folder / "deep").mkdir()
    monkeypatch.chdir(folder / "deep")
    listed = {one["name"]: one for one in json.loads(typed(capsys, "list", "--json")[0])}
    assert listed["greet"]["description"] == "Shouts hello"
    assert listed["greet"]["from"] == "project"
    assert listed["csv-profile"]["from"] == "symphony"
    assert listed["broken"]["problems"][0]["code"] == "syntax"
    assert not {"plain", "notes"} & set(listed)
    assert "cannot be used" in typed(capsys, "list")[0]
    out, _ = typed(capsys, "search", "SHOUTS", "word")
    assert [line.split()[0] for line in out.splitlines()] == ["TEMPLATE", "greet"]
    assert typed(capsys, "search", "no such thing")[0] == "none found\n"


def test_a_template_is_explained_for_people_and_programs(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    out, _ = typed(capsys, "show", "greet")
    assert "word: string, 0 to 5 characters, for instance Hi (required)" in out
    assert "symphony template use greet -p who=STRING -p word=Hi --run" in out
    about = json.loads(typed(capsys, "show", "./symphony-templates/greet.yaml", "--json")[0])
    assert about["from"] == "file"
    assert [(one["name"], one["required"], one["input"]) for one in about["parameters"]] == [
        ("who", True, True), ("word", True, False)
    ]  # fmt: skip
    assert about["parameters"][1]["examples"] == ["Hi"]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["show", "gret"], "template-not-found", "did you mean greet?"),
        (["show", "nothing-like-it"], "template-not-found", "template list"),
        (["show", "./nowhere.yaml"], "workflow-not-found", "check the path"),
        (["use", "./greet.txt"], "unknown-format", "ending"),
        (["use", "greet", "-p", "who"], "bad-usage", "--param 'who' is not KEY=VALUE"),
        (["use", "greet", "-o", "out.txt", "-p", "who=a", "-p", "word=b"], "unknown-format", "ending"),
        (["use", "greet", "-o", "deep.yaml/", "-p", "who=a", "-p", "word=b"], "bad-usage", "folder"),
        (["use", "broken"], "syntax", "broken.yaml"),
    ],
)
def test_what_cannot_be_done_is_said_with_the_fix(
    folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: str, says: str
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    (folder / "symphony-templates/broken.yaml").write_text("name: [", encoding="utf-8")
    (folder / "deep.yaml").mkdir()
    out, err = typed(capsys, *words, status=2)
    assert out == ""
    assert f"[{code}]" in err
    assert says in err


def test_all_wrong_parameters_are_told_at_once_and_nothing_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    out, _ = typed(capsys, "use", "greet", "-p", "word=much too long", "-p", "x=1", "--json", status=2)
    assert [(one["code"], one["place"]) for one in json.loads(out)["errors"]] == [
        ("unknown-port", "parameters.x"), ("missing-input", "parameters.who"),
        ("type-mismatch", "parameters.word"),
    ]  # fmt: skip
    assert not (folder / "greet.yaml").exists()


def test_a_workflow_is_written_once_and_replaced_only_by_force(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    words = ["use", "greet", "-p", "who=Zoë $(id)", "-p", "word=Hé"]
    assert typed(capsys, *words)[0] == "wrote greet.yaml\n"
    made = (folder / "greet.yaml").read_text(encoding="utf-8")
    assert "$[[" not in made
    assert main(["validate", "greet.yaml"]) == 0
    capsys.readouterr()
    (folder / "greet.yaml").write_text("mine", encoding="utf-8")
    assert "--force" in typed(capsys, *words, status=2)[1]
    assert (folder / "greet.yaml").read_text(encoding="utf-8") == "mine"
    (folder / "link.yaml").symlink_to("nowhere.yaml")
    assert "exists already" in typed(capsys, *words, "-o", "link.yaml", status=2)[1]
    out, _ = typed(capsys, *words, "--force", "--json")
    assert json.loads(out) == {"template": "greet", "path": str(folder / "greet.yaml")}
    assert (folder / "greet.yaml").read_text(encoding="utf-8") == made


def test_a_file_that_comes_there_meanwhile_is_not_overwritten(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    before = templates.check_target

    def check(target: Path | None, *, force: bool) -> None:
        before(target, force=force)
        (folder / "greet.yaml").write_text("mine", encoding="utf-8")

    monkeypatch.setattr(templates, "check_target", check)
    typed(capsys, "use", "greet", "-p", "who=a", "-p", "word=b", status=2)
    assert (folder / "greet.yaml").read_text(encoding="utf-8") == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["greet.yaml", "home", "symphony-templates"]


def test_on_a_terminal_missing_parameters_are_asked_for_until_they_are_right(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "symphony-templates/greet.yaml").write_text(GREET, encoding="utf-8")
    monkeypatch.setattr(output, "is_terminal", lambda stream: True)
    answers = iter(["much too long", "Hello"])
    monkeypatch.setattr("click.prompt", lambda *_, **__: next(answers))
    _, err = typed(capsys, "use", "greet", "-p", "who=you")
    assert "Word: " in err
    assert "it has 13 characters, and must have at most 5" in err
    assert "'Hello'" in (folder / "greet.yaml").read_text(encoding="utf-8")


def test_a_template_is_checked_by_validate(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "greet.yaml"
    file.write_text(GREET, encoding="utf-8")
    assert main(["validate", "greet.yaml"]) == 0
    file.write_text(
        GREET.replace("$[[ word ]]", '"$[[ word ]]"').replace("label:", "lable:"), encoding="utf-8"
    )
    assert main(["validate", "greet.yaml"]) == 2
    out = capsys.readouterr().out
    assert "greet.yaml:7" in out
    assert "greet.yaml:12" in out
