"""What a workflow names, found from one place: beside the file that a symbolic link leads to."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from symphony import run
from symphony.workflow.files import WorkflowNotFound

pytestmark = pytest.mark.slow
Take: TypeAlias = Callable[[str], Any]


def made(case: Any) -> None:
    script = "".join(
        line for line in (case.folder / "make.sh").read_text().splitlines(True) if "symphony " not in line
    )
    case.sh(script)


def test_symlinked_workflow_two_bases_are_one(fault: Take) -> None:
    case = fault("symlinked-workflow-two-bases")
    made(case)
    assert case.symphony("validate", "linked/main.yaml").returncode == 0
    outputs = {"c": 1, "t": "text\n"}
    assert case.run("linked/main.yaml")["outputs"] == outputs
    assert case.run("real/main.yaml")["outputs"] == outputs


MAIN = """name: Main
nodes:
  sub: {workflow: sub/child}
  call: {operator: python.call, inputs: {file: mod.py, function: double, arguments: {n: 4}}}
  page: {operator: text.render, inputs: {template: pages/a.txt, data: {}}}
  fails: {command: "test -e ok", after: [sub, call, page]}
outputs: {sub: "${{ sub.x }}", call: "${{ call.result }}", page: "${{ page.text }}"}
"""
CHILD = """name: Child
nodes:
  page: {operator: text.render, inputs: {template: b.txt, data: {}}}
outputs: {x: "${{ page.text }}"}
"""


def test_a_run_behind_links_finds_the_same_files_when_it_goes_on_and_runs_again(
    fault: Take, tmp_path: Path
) -> None:
    case = fault("symlinked-workflow-two-bases")
    real, links = tmp_path / "real", case.folder / "links"
    for folder in (real / "sub", real / "pages", real / "elsewhere", links):
        folder.mkdir(parents=True)
    (real / "main.yaml").write_text(MAIN)
    (real / "elsewhere" / "child.yaml").write_text(CHILD)
    (real / "elsewhere" / "b.txt").write_text("b")
    (real / "sub" / "child.yaml").symlink_to("../elsewhere/child.yaml")
    (real / "mod.py").write_text("def double(n):\n    return 2 * n\n")
    (real / "pages" / "a.txt").write_text("{% include 'pages/part.txt' %}")
    (real / "pages" / "part.txt").write_text("part")
    (links / "main.yaml").symlink_to(real / "main.yaml")
    (links / "pages").mkdir()
    (links / "pages" / "a.txt").write_text("of the link")  # which nobody means
    first = case.run("links/main.yaml")
    assert first["error"]["node"] == "fails", first
    (case.folder / "ok").touch()
    again = case.symphony("runs", "rerun", first["run_id"], "--json")
    assert again.returncode == 0, again.stdout + again.stderr
    assert '"sub": "b"' in again.stdout
    assert '"call": 8' in again.stdout
    assert '"page": "part"' in again.stdout


def test_a_link_that_leads_to_itself_is_no_workflow(fault: Take) -> None:
    case = fault("symlinked-workflow-two-bases")
    (case.folder / "loop.yaml").symlink_to("loop.yaml")
    (case.folder / "nowhere.yaml").symlink_to("missing.yaml")
    for command in ("run", "validate"):
        for name in ("loop.yaml", "nowhere.yaml"):
            done = case.symphony(command, name)
            assert done.returncode == 2, (command, name, done.stderr)
            assert "internal" not in done.stderr
    for name in ("loop.yaml", "nowhere.yaml"):
        with pytest.raises(WorkflowNotFound):
            run(case.folder / name)
