"""Which workflow is meant where none is named."""

import os
from pathlib import Path

import pytest

from symphony.cli.arguments.finding import runnable, workflow_here
from symphony.cli.console.failures import BadUsage
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
