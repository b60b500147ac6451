"""An unknown operator that a Python file beside the workflow defines: the hint names the file."""

from pathlib import Path

import pytest

from symphony.cli.main import main

FLOW = "name: W\nnodes:\n  a: {operator: ratio, inputs: {x: 1}}\n"
OPERATORS = """\
from symphony import operator
raise SystemExit("it was run")
@operator("ratio", version="1.0.0")
def ratio(x: int) -> int: ...
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    Path("w.yaml").write_text(FLOW)


@pytest.mark.parametrize("command", ["validate", "run", "graph"])
def test_the_hint_names_the_file_which_is_not_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("broken.py").write_text("def ratio(:\n")
    Path("large.py").write_text("# ratio\n" + "#" * (1 << 20))
    Path("ops.py").write_text(OPERATORS)
    assert main([command, "w.yaml"]) == 2
    told = "".join(capsys.readouterr())
    assert "ops.py defines ratio: add it at the top of the workflow, operators: [ops.py]" in told


@pytest.mark.parametrize("name", ["folder/ops.py", ".venv/ops.py", "ops.txt"])
def test_other_files_are_not_looked_at(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(OPERATORS)
    assert main(["validate", "w.yaml"]) == 2
    assert "give --operators FILE" in capsys.readouterr().out


def test_many_unknown_names_are_not_all_looked_up(capsys: pytest.CaptureFixture[str]) -> None:
    Path("ops.py").write_text(OPERATORS)
    nodes = "".join(f"  n{number}: {{operator: ratio{number}}}\n" for number in range(30))
    Path("w.yaml").write_text(f"name: W\nnodes:\n{nodes}  a: {{operator: ratio, inputs: {{x: 1}}}}\n")
    assert main(["validate", "w.yaml"]) == 2
    assert "ops.py defines" not in capsys.readouterr().out
