"""What `make` hands on: a name stays a name. A copy of the Makefile is run: no environment is touched."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ['a";touch "$OUT";"', "b$(touch $OUT)", "c`touch $OUT`", "$(shell touch $(OUT))", "d'e f", "g$x", "h\\"],
)
def test_the_name_of_the_repository_to_report_on_is_evaluated_by_nobody(name: str, tmp_path: Path) -> None:
    program, out = tmp_path / "symphony", tmp_path / "out"
    program.write_text('#!/bin/sh\nprintf %s "$4"\n', encoding="utf-8")
    program.chmod(0o755)
    shutil.copy(ROOT / "Makefile", tmp_path)
    done = subprocess.run(
        ["make", "-s", "-o", ".venv/.made/models", "run", f"BIN={tmp_path}", f"REPO={name}", f"OUT={out}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, f"path={name}"), done.stderr
    assert not out.exists()
