"""`symphony validate --watch`: what makes it validate again, and what it survives."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from symphony.cli.actions.validating_again import watch
from symphony.cli.arguments.files import catalog_with
from symphony.cli.console.failures import BadUsage

GOOD = "name: Good\nnodes:\n  a: {command: echo hi}\n"
BAD = "name: Bad\nnodes:\n  a: {operator: text.splt}\n"
OPERATOR = (
    'from symphony import operator\n@operator("my.op", version="1.0.0")\ndef op(x: int = 1) -> int: ...\n'
)


class Over(Exception):
    """The script is at its end."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / ".home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Callable[[], object]:
    def do() -> None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    return do


def watched(
    capsys: pytest.CaptureFixture[str],
    steps: Iterable[Callable[[], object]],
    *given: str,
    operators: Iterable[str] = (),
    as_json: bool = False,
) -> list[str]:
    """What is printed while, between two looks, each of `steps` is done: rounds, without their times."""

    def script() -> Iterator[None]:
        yield
        for step in steps:
            step()
            for _ in range(4):
                yield

    running = script()

    def wait() -> None:
        if next(running, running) is running:
            raise Over

    with pytest.raises(Over):
        watch(
            [Path(one) for one in given], catalog_with(()), [Path(one) for one in operators],
            as_json=as_json, wait=wait,
        )  # fmt: skip
    out, err = capsys.readouterr()
    assert err.count("end with Ctrl-C") == 1
    if as_json:
        return out.splitlines()
    return [
        part.strip()
        for part in re.split(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ", out, flags=re.MULTILINE)[1:]
    ]


def test_a_file_is_validated_again_when_it_changes_and_only_then(capsys: pytest.CaptureFixture[str]) -> None:
    write("w.yaml", GOOD)()
    rounds = watched(
        capsys, [lambda: None, write("w.yaml", BAD), lambda: None, write("w.yaml", GOOD)], "w.yaml"
    )
    assert [one.splitlines()[0] for one in rounds] == ["validating", "changed: w.yaml", "changed: w.yaml"]
    assert [one.splitlines()[-1] for one in rounds] == [
        "w.yaml is valid: 1 node, 0 edges, 1 level",
        "w.yaml: 1 error",
        "w.yaml is valid: 1 node, 0 edges, 1 level",
    ]


def test_a_file_may_be_half_written_removed_replaced_and_unreadable(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def replace() -> None:
        write(".w.tmp", GOOD)()
        Path(".w.tmp").replace("w.yaml")

    def folder() -> None:
        Path("w.yaml").unlink()
        Path("w.yaml").mkdir()

    write("w.yaml", GOOD)()
    rounds = watched(
        capsys,
        [
            write("w.yaml", "name: W\nno"), Path("w.yaml").unlink, replace, folder,
            Path("w.yaml").rmdir, replace, lambda: Path("w.yaml").write_bytes(b"\xff\xfe\x00"), replace,
        ],
        "w.yaml",
    )  # fmt: skip
    said = [one.splitlines() for one in rounds]
    assert "error" in said[1][-1]
    assert said[2][0] == "changed: w.yaml (gone)"
    assert "workflow-not-found" in said[2][1]
    assert "is valid" in said[3][-1]
    assert "is valid" in said[-1][-1]


def test_what_the_file_needs_counts_there_or_not(capsys: pytest.CaptureFixture[str]) -> None:
    write(
        "w.yaml",
        "name: W\noperators: [ops.py]\nnodes:\n  a: {workflow: sub/child}\n"
        "  b: {operator: text.render, inputs: {template: t.j2}}\n  c: {operator: my.op}\n"
        "outputs: {a: '${{ a.a }}', b: '${{ b.text }}', c: '${{ c.result }}'}\n",
    )()
    child = (
        "name: C\nnodes:\n  a: {operator: text.render, inputs: {template: inner.j2}}\n"
        "outputs: {a: '${{ a.text }}'}\n"
    )
    rounds = watched(
        capsys,
        [
            write("sub/child.yaml", child), write("t.j2", "{{ 1 }}"), write("ops.py", OPERATOR),
            write("sub/inner.j2", "{{ oh"), write("sub/inner.j2", "{{ 1 }}"), write("t.j2", "{% if"),
            write("ops.py", OPERATOR.replace("my.op", "my.other")),
        ],
        "w.yaml",
    )  # fmt: skip
    assert [one.splitlines()[0] for one in rounds] == [
        "validating", "changed: sub/child.yaml", "changed: t.j2", "changed: ops.py", "changed: sub/inner.j2",
        "changed: sub/inner.j2", "changed: t.j2", "changed: ops.py",
    ]  # fmt: skip
    assert [one.splitlines()[-1].partition(":")[2] for one in rounds] == [
        " 2 errors, 1 warning", " 1 error, 1 warning", " 1 error", " 3 nodes, 0 edges, 1 level", " 1 error",
        " 3 nodes, 0 edges, 1 level", " 1 error", " 2 errors",
    ]  # fmt: skip


def test_files_of_operators_are_read_again_and_never_run(capsys: pytest.CaptureFixture[str]) -> None:
    write("w.yaml", "name: W\nnodes:\n  c: {operator: my.op}\noutputs: {c: '${{ c.result }}'}\n")()
    write("ops.py", f"raise SystemExit('run')\n{OPERATOR}")()
    rounds = watched(
        capsys,
        [write("ops.py", OPERATOR.replace("int = 1", "int")), write("ops.py", "def ("), Path("ops.py").unlink,
         write("ops.py", OPERATOR)],
        "w.yaml",
        operators=["ops.py"],
    )  # fmt: skip
    assert "missing-input" in rounds[1]
    assert "error[" in rounds[2]
    assert "error[" in rounds[3]
    assert "is valid" in rounds[4]


def test_files_come_into_folders_and_leave_them(capsys: pytest.CaptureFixture[str]) -> None:
    write("flows/a.yaml", GOOD)()
    rounds = watched(
        capsys,
        [
            write("flows/deep/b.yaml", BAD), write("flows/notes.yaml", "some: data\n"),
            write("flows/x.txt", ""), Path("flows/a.yaml").unlink, Path("flows/deep/b.yaml").unlink,
            write("flows/notes.yaml", GOOD),
        ],
        "flows",
    )  # fmt: skip
    assert [one.splitlines()[0] for one in rounds] == [
        "validating", "changed: flows/deep/b.yaml", "changed: flows/notes.yaml",
        "changed: flows/a.yaml (gone)", "changed: flows/deep/b.yaml (gone)", "changed: flows/notes.yaml",
    ]  # fmt: skip
    assert rounds[4].splitlines()[1] == "there is no workflow"
    assert "flows/notes.yaml is valid" in rounds[5]


def test_json_is_one_object_a_round(capsys: pytest.CaptureFixture[str]) -> None:
    write("w.yaml", GOOD)()
    first, second = map(json.loads, watched(capsys, [write("w.yaml", BAD)], "w.yaml", as_json=True))
    assert first["files"] == [{"file": "w.yaml", "errors": [], "warnings": []}]
    assert second["files"][0]["errors"][0]["code"] == "unknown-operator"
    assert first["at"] <= second["at"]


def test_stdin_and_what_is_not_there_are_refused_at_once() -> None:
    for name in ("-", "none.yaml"):
        with pytest.raises(BadUsage):
            watch([Path(name)], catalog_with(()), (), as_json=False)
