"""The cases of the workflow file format, run against the installed command."""

import importlib.util
import shutil
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
spec = importlib.util.spec_from_file_location("conformance_run", HERE / "run.py")
assert spec is not None
assert spec.loader is not None
kit = importlib.util.module_from_spec(spec)
sys.modules["conformance_run"] = kit
spec.loader.exec_module(kit)


def cases() -> list[object]:
    folders = sorted(path.parent for path in (HERE / "cases").glob("*/case.json"))
    return [pytest.param(folder, id=folder.name) for folder in folders]


@pytest.mark.slow
@pytest.mark.parametrize("folder", cases())
def test_the_case_gives_what_it_must(folder: Path) -> None:
    command = Path(sys.executable).parent / "symphony"
    symphony = str(command) if command.exists() else shutil.which("symphony")
    assert symphony, "install the project first: make .venv"
    assert kit.judge(folder, symphony) == []


def test_all_cases_are_here() -> None:
    assert len(cases()) >= 170
