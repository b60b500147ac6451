"""Which workflow is meant where none is named."""

import os
from pathlib import Path

import pytest

from symphony.cli.arguments.finding import instead_of, runnable, workflow_here
from symphony.cli.console.failures import BadUsage
from symphony.cli.main import main
from symphony.workflow import dumps, loads
from symphony.workflow.documents import FORMATS

FLOW = "name: x\nnodes: {a: {command: 'true'}}\n"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_workflow_of_any_format_is_meant(name: str) -> None:
    ending = {"pretty-json": "json"}.get(name, name)
    Path(f"workflow.{ending}").write_bytes(dumps(loads(FLOW, "yaml"), name))
    Path("other.yaml").write_text(FLOW)
    assert workflow_here(None) == Path(f"workflow.{ending}")


def test_the_only_workflow_is_meant_whatever_else_lies_there(tmp_path: Path) -> None:
    Path("only.toml").write_text('name = "x"\n[nodes.a]\ncommand = "true"\n')
    Path("data.json").write_text('{"a": 1}')
    Path("large.json").write_text('{"nodes": "' + "x" * (2 << 20) + '"}')
    Path("broken.yaml").write_text("a: [\n")
    Path(".hidden.yaml").write_text(FLOW)
    Path("folder.yaml").mkdir()
    Path("workflow.txt").write_text("notes")
    os.mkfifo("pipe.yaml")
    assert workflow_here(None) == Path("only.toml")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "there is no workflow here"),
        (["b.yaml", "a.yaml"], r"several workflows here: a\.yaml, b\.yaml"),
        (
            ["workflow.yaml", "workflow.json", "a.yaml"],
            r"several workflows here: workflow\.json, workflow\.yaml",
        ),
        ([f"{n:02}.yaml" for n in range(12)], r"06\.yaml, 07\.yaml, …"),
        ([f"{n}.yaml" for n in range(300)], "too many files"),
    ],
)
def test_none_and_several_are_told(names: list[str], said: str) -> None:
    for name in names:
        Path(name).write_text(FLOW)
    with pytest.raises(BadUsage, match=said) as caught:
        workflow_here(None)
    assert "FILE" in (caught.value.hint or "")


def test_instead_of_what_is_no_file_the_workflows_there_are_named() -> None:
    assert instead_of(Path("nope.yaml")) is None
    Path("sub").mkdir()
    for name in ("report.yaml", "other.toml", "sub/deep.yaml"):
        Path(name).write_text(FLOW if name.endswith("yaml") else "name = 'x'\n[nodes.a]\ncommand = 'true'\n")
    Path("data.json").write_text("{}")
    assert instead_of(Path("zzz.yaml")) == "name a file; the workflows here: other.toml, report.yaml"
    assert instead_of(Path()) == "name a file; the workflows here: other.toml, report.yaml"
    assert instead_of(Path("reprot.yml")) == "did you mean report.yaml?"
    assert instead_of(Path("sub")) == "name a file; the workflows there: sub/deep.yaml"
    assert instead_of(Path("sub/dep.yaml")) == "did you mean sub/deep.yaml?"
    assert instead_of(Path("none/at/all.yaml")) is None
    assert instead_of(Path("x" * 300)) is None


def test_every_command_names_the_workflows_that_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    Path("report.yaml").write_text(FLOW)
    for words in (["run"], ["validate"], ["graph"], ["fmt"], ["run", "--dry-run"]):
        assert main([*words, "reprot.yaml"]) == 2
        assert "did you mean report.yaml?" in capsys.readouterr().err


def test_a_file_in_place_of_a_command_is_told_how_to_run_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["my flow.yaml", "run"]) == 2
    assert "Did you mean `symphony run 'my flow.yaml'`?" in capsys.readouterr().err


def test_what_was_named_is_taken() -> None:
    Path("workflow.yaml").write_text(FLOW)
    for name in ("other.yaml", "absent.yaml", "-"):
        assert workflow_here(Path(name)) == Path(name)


def test_a_node_in_place_of_a_file_is_told_how_to_run_it() -> None:
    assert runnable(Path("a")) == Path("a")  # which is then not found
    Path("workflow.yaml").write_text(FLOW)
    with pytest.raises(BadUsage, match="no file a") as caught:
        runnable(Path("a"))
    assert caught.value.hint == "for a node of workflow.yaml: symphony run workflow.yaml a"
    assert runnable(Path("absent.yaml")) == Path("absent.yaml")
