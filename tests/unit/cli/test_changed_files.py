"""A rerun says that it does not take workflow files as they are now."""

from pathlib import Path

import pytest

from symphony.cli.main import main

CHILD = "name: child\ninputs: {}\nnodes:\n  fails: {operator: debug.fail, inputs: {message: no}}\n"
PARENT = "name: main\nnodes:\n  inner: {workflow: child.yaml}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "main.yaml").write_text(PARENT, encoding="utf-8")
    (tmp_path / "child.yaml").write_text(CHILD, encoding="utf-8")
    assert main(["run", "main.yaml", "--quiet"]) == 1
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *more: str) -> str:
    capsys.readouterr()
    main(["runs", "rerun", "last", "--dry-run", *more])
    return capsys.readouterr().err


def test_nothing_is_said_while_the_files_are_as_they_were(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "has changed" not in said(capsys)


@pytest.mark.parametrize("file", ["main.yaml", "child.yaml"])
def test_a_rerun_names_the_file_that_has_changed_and_the_option_that_takes_it(
    file: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / file).read_text(encoding="utf-8")
    (folder / file).write_text(text + "# mended\n", encoding="utf-8")
    assert (
        f"{file} has changed since this run, which goes by the file as it was; "
        "add --file main.yaml to run it as it is now\n"
    ) in said(capsys)
    assert "has changed" not in said(capsys, "--file", "main.yaml")


def test_a_file_that_is_gone_has_not_changed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "main.yaml").unlink()
    assert "has changed" not in said(capsys)


def test_the_advice_after_a_failure_mentions_the_option(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "main.yaml", "--quiet"])
    assert "symphony runs rerun main-2 (if you have changed the workflow since: --file FILE)" in (
        capsys.readouterr().err
    )
