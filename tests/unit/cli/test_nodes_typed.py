"""Nodes and runs may be typed as they are printed: with a label, with an id behind the name."""

import asyncio
from pathlib import Path

import pytest

from symphony import RunResult, Symphony
from symphony.cli.actions.run_nodes import reused_step, step_named
from symphony.cli.main import main
from symphony.cli.views.transcript import elsewhere
from symphony.commons.errors import SymphonyError
from symphony.workflow import loads

FLOW = """\
name: Fan
inputs: {bad: {type: string, default: c}}
nodes:
  t:
    command: 'echo "out $I"; test "$I" != "$BAD"'
    for_each: [a, b b, c]
    inputs: {i: "${{ item }}", bad: "${{ inputs.bad }}"}
    fail_fast: false
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    Path("fan.yaml").write_text(FLOW)
    assert main(["run", "-q", "fan.yaml"]) == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ("t[1]",), ("t[1] b b",), ("t[1] b…",), ("t[1]", "b b"), ("fan-1", "t[1]"), ("fan-1", "t[1] b b"),
        ("last", "t[1] b b"),
    ],
)  # fmt: skip
def test_an_element_is_meant_by_its_name_with_or_without_its_label(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "logs", *words]) == 0
    assert capsys.readouterr().out == "out b b\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("t[1] x",), "t[1] is 't[1] b b', not 't[1] x'"),
        (("fan-1", "t[1] x"), "t[1] is 't[1] b b', not 't[1] x'"),
        (("last", "t x"), "t has no label, not 't x'"),
        (("t[9]",), "run fan-1 has no node 't[9]'"),
        (("t[9]", "x"), "run fan-1 has no node 't[9]'"),
        (("x",), "there is no run 'x'"),
        (("x y",), "there is no run 'x y'"),
    ],
)
def test_what_is_neither_is_told(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "logs", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert "hint: " in told


def test_a_rerun_begins_at_an_element_as_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "rerun", "-q", "--from", "t[1] b b"]) == 1
    assert "t: reused 1 of 3 elements, 2 again" in capsys.readouterr().err
    assert main(["runs", "rerun", "-q", "--from", "t[1] a"]) == 2


def test_a_run_is_meant_as_it_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "show", "fan-1"]) == 0
    printed = next(line for line in capsys.readouterr().out.split("\n") if "; run fan-1 (" in line)
    called = printed.partition("; run ")[2]
    assert main(["runs", "logs", called, "t[0]"]) == 0
    assert capsys.readouterr().out == "out a\n"


def test_a_difference_names_elements_with_their_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-q", "fan.yaml", "-i", "bad=b b"]) == 1
    capsys.readouterr()
    assert main(["runs", "diff", "fan-1", "fan-2"]) == 1
    lines = capsys.readouterr().out.split("\n")
    assert any(line.startswith("  t[1] b b  succeeded → failed") for line in lines), lines


def test_the_log_of_a_step_is_asked_for_without_numbers_and_of_a_reused_one_elsewhere(tmp_path: Path) -> None:
    text = """
name: logs
nodes:
  u:
    control: loop
    for_each: [1, 2]
    state: {n: 0}
    body: {b: {command: echo hello}}
    next: {n: '${{ state.n + 1 }}'}
    until: state.n >= 1
    max_iterations: 3
"""

    async def whole() -> tuple[RunResult, RunResult]:
        async with Symphony.open(tmp_path) as symphony:
            old = await (await symphony.start(loads(text, "yaml"))).result()
            assert len(list(symphony.runs.logs(old.run_id, "u.b"))) == 2
            assert len(list(symphony.runs.logs(old.run_id, "u[0].b"))) == 1
            assert not list(symphony.runs.logs(old.run_id, "u.c"))
            return old, await (await symphony.rerun(old.run_id, first="u[1]")).result()

    old, new = asyncio.run(whole())
    assert [step_named(old, name) for name in ("u.b", "u[1]#0.b", "u[1].b")] == ["u.b", "u[1]#0.b", "u[1].b"]
    assert step_named(new, "u[0]#0.b") == "u[0]#0.b"
    assert reused_step(new, "u[0]#0.b") == (old.run_id, "u[0]#0.b")
    assert reused_step(new, "u[1]#0.b") is None
    with pytest.raises(SymphonyError, match="has no node"):
        step_named(new, "u.c")
    assert elsewhere("u[0]", "logs-1", "u[0]") == (
        "u[0] was reused from logs-1, which has its log: symphony runs logs logs-1 'u[0]'"
    )
