"""What Symphony leaves on a machine: its home, what a user asked it to write, and nothing else."""

import os
import subprocess
from pathlib import Path

import pytest
from tests.support.commands import SYMPHONY
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Everything that loads a library
nodes:
  vectors:
    instrument: minilm
    inputs: {texts: [a cat, a dog]}
  said: {command: "echo said"}
  rendered:
    operator: text.render
    inputs: {text: "{{ who | upper }}", data: {who: "${{ said.stdout }}"}}
  found:
    operator: json.query
    inputs: {data: {a: [1, 2]}, expression: "a[0]"}
  slow: {operator: text.slow, inputs: {text: "${{ rendered.text }}"}, timeout: 60s}
outputs: {vectors: "${{ size(vectors.vectors) }}", text: "${{ slow.result }}"}
"""
OPERATORS = """\
from symphony import operator


@operator("text.slow", version="1.0.0", pure=True)
def slow(text: str) -> str:
    return text.strip()
"""
EVERYDAY = (
    "--version", "--help", "doctor", "operators list", "models list", "models test minilm", "template list",
    "validate flow.yaml --operators ops.py", "graph flow.yaml --operators ops.py",
    "run flow.yaml --operators ops.py --dry-run", "run flow.yaml --operators ops.py", "runs list",
    "runs show last", "runs stats", "artifacts list", "cache size", "completion bash", "fsck",
)  # fmt: skip
FOLDERS = {
    "HOME": "user", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_STATE_HOME": "state",
    "XDG_RUNTIME_DIR": "runtime", "XDG_DATA_HOME": "data", "TMPDIR": "tmp",
}  # fmt: skip


class Machine:
    """A user's folders, empty at first, and a folder to work in."""

    def __init__(self, place: Path) -> None:
        self.place = place
        for name in (*FOLDERS.values(), "work"):
            (place / name).mkdir(mode=0o700)

    def type(self, line: str, **variables: str) -> None:
        """Run a command there, as a user without other variables would."""
        told = {name: str(self.place / folder) for name, folder in FOLDERS.items()}
        done = subprocess.run(
            [*SYMPHONY, *line.split()], cwd=self.place / "work", stdin=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"], **told, **variables}, capture_output=True, text=True,
            timeout=PATIENCE_S,
        )  # fmt: skip
        assert done.returncode == 0, (line, done.stdout, done.stderr)

    def found(self) -> set[str]:
        """Every file and folder beneath those that were made."""
        made = {self.place / name for name in (*FOLDERS.values(), "work")}
        return {str(p.relative_to(self.place)) for p in self.place.rglob("*") if p not in made}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    made = Machine(tmp_path)
    (tmp_path / "work" / "flow.yaml").write_text(WORKFLOW, encoding="utf-8")
    (tmp_path / "work" / "ops.py").write_text(OPERATORS, encoding="utf-8")
    return made


def test_everyday_commands_write_to_the_home_in_the_data_folder_alone(machine: Machine) -> None:
    before = machine.found()
    for line in EVERYDAY:
        machine.type(line)
    outside = {path for path in machine.found() - before if not path.startswith("data/symphony/")}
    assert outside == {"data/symphony"}


def test_with_a_named_home_everyday_commands_write_there_alone(machine: Machine) -> None:
    before = machine.found()
    for line in EVERYDAY:
        machine.type(line, SYMPHONY_HOME=str(machine.place / "named"))
    outside = {path for path in machine.found() - before if not path.startswith("named/")}
    assert outside == {"named"}


def test_the_chat_model_writes_nothing(machine: Machine) -> None:
    before = machine.found()
    machine.type("models test smollm2")
    assert {path for path in machine.found() - before if not path.startswith("data/symphony")} == set()
