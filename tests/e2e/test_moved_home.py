"""A home that is moved, removed or replaced while a run goes on: the result is told from memory."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Moved
nodes:
  a: {{command: "cd '{folder}'; {act}"}}
  b: {{command: echo second, after: [a]}}
  c: {{operator: data.range, inputs: {{count: {count}}}, after: [b]}}
  d: {{operator: debug.{last}, after: [c]}}
outputs: {{n: "${{{{ b.stdout }}}}", c: "${{{{ c.result }}}}"}}
"""
ACTS = {
    "moved": "mv home elsewhere",
    "removed": "rm -rf home",
    "replaced": "mv home elsewhere; mkdir -m 700 home",
    "a file": "mv home elsewhere; echo no folder > home",
}


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("form", [["--json"], []])
@pytest.mark.parametrize("last", ["value", "fail"])
def test_the_result_is_told_though_the_home_is_gone(
    tmp_path: Path, act: str, form: list[str], last: str
) -> None:
    text = WORKFLOW.format(folder=tmp_path, act=ACTS[act], count=3, last=last)
    if last == "value":
        text = text.replace("debug.value,", "debug.value, inputs: {value: 1},")
    (tmp_path / "w.yaml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "symphony", "run", "w.yaml", *form],
        cwd=tmp_path,
        env={**os.environ, "SYMPHONY_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (1 if last == "fail" else 0), done.stderr
    if form:
        assert json.loads(done.stdout)["status"] == ("failed" if last == "fail" else "succeeded")
    elif last == "value":
        assert done.stdout == "n = second\nc = [1, 2, 3]\n"
    assert "the record of this run is no longer in" in done.stderr
    assert "symphony runs " not in done.stderr
    if act in ("moved", "replaced"):
        shown = subprocess.run(
            [sys.executable, "-P", "-m", "symphony", "runs", "show", "last", "--json"],
            cwd=tmp_path,
            env={**os.environ, "SYMPHONY_HOME": str(tmp_path / "elsewhere")},
            capture_output=True,
            timeout=60,
        )
        assert json.loads(shown.stdout)["status"] == ("failed" if last == "fail" else "succeeded")
