"""Pausing and cancelling runs that are paused, cancelled or otherwise ended already."""

import json
from pathlib import Path

import pytest

from symphony.cli.main import main


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))


def test_a_state_that_holds_already_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ask.yaml").write_text("name: Ask\nnodes: {a: {control: approval, message: ok}}\n")
    assert main(["run", "-q", "ask.yaml"]) == 4
    assert [main(["runs", "pause", "last"]) for _ in range(2)] == [0, 0]
    assert [main(["runs", "cancel", "last"]) for _ in range(2)] == [0, 0]
    capsys.readouterr()
    assert main(["runs", "pause", "last"]) == 2
    assert "the run has ended: cancelled" in capsys.readouterr().err


def test_a_run_that_has_succeeded_is_neither_paused_nor_cancelled(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("done.yaml").write_text("name: Done\nnodes: {a: {operator: debug.value, inputs: {value: 1}}}\n")
    assert main(["run", "-q", "done.yaml"]) == 0
    for verb in ("pause", "cancel"):
        capsys.readouterr()
        assert main(["runs", verb, "last", "--json"]) == 2
        told = capsys.readouterr()
        assert "the run has ended: succeeded" in told.err
        assert json.loads(told.out)["errors"][0]["code"] == "run-ended"
