"""Whatever operators and their children write to standard output: a result there is whole, and alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

WAYS = {
    "print": 'print("noise")',
    "the first stdout": 'print("noise", file=sys.__stdout__, flush=True)',
    "the first stdout, unflushed": 'sys.__stdout__.write("noise")',
    "bytes": 'sys.stdout.buffer.write(b"noise\\xff\\n")',
    "descriptor 1": 'os.write(1, b"noise\\n")',
    "the stream's descriptor": 'os.write(sys.stdout.fileno(), b"noise\\n")',
    "a child": 'subprocess.run(["echo", "noise"], check=True)',
    "a child with our stream": 'subprocess.run(["echo", "noise"], stdout=sys.stdout, check=True)',
    "a shell": 'os.system("echo noise")',
    "a shell beside us": 'os.spawnlp(os.P_WAIT, "sh", "sh", "-c", "echo noise")',
    "native code": 'ctypes.CDLL(None).puts(b"noise")',
    "a thread": 'threading.Thread(target=lambda: print("noise", flush=True)).start()',
    "a child that stays": 'subprocess.Popen(["sh", "-c", "sleep 1; echo noise; sleep 600"])',
}
OPERATOR = """
import ctypes, os, subprocess, sys, threading
from symphony import operator

@operator("noisy", version="1.0.0", read=True)
{style} noisy() -> int:
    {way}
    return 1
"""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("style", ["def", "async def"])
@pytest.mark.parametrize("form", [["--json"], ["--quiet"]])
def test_nothing_but_the_result_is_on_stdout(tmp_path: Path, way: str, style: str, form: list[str]) -> None:
    (tmp_path / "ops.py").write_text(OPERATOR.format(style=style, way=WAYS[way]))
    (tmp_path / "w.yaml").write_text(
        "name: Noise\nnodes: {n: {operator: noisy}}\noutputs: {n: '${{ n.result }}'}\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-m", "symphony", "run", "w.yaml", "--operators", "ops.py", *form],
        cwd=tmp_path,
        env={**os.environ, "SYMPHONY_HOME": str(tmp_path / "home")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    if form == ["--json"]:
        assert json.loads(done.stdout)["outputs"] == {"n": 1}
    else:
        assert done.stdout == b"n = 1\n"
