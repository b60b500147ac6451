"""Whatever operators and their children write to standard output: a result there is whole, and alone."""

import json
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

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
    line = CommandLine(tmp_path)
    line.write("ops.py", OPERATOR.format(style=style, way=WAYS[way]))
    line.write("w.yaml", "name: Noise\nnodes: {n: {operator: noisy}}\noutputs: {n: '${{ n.result }}'}\n")
    done = line.call("run", "w.yaml", "--operators", "ops.py", *form)
    assert done.status == 0, done.err
    if form == ["--json"]:
        assert json.loads(done.out)["outputs"] == {"n": 1}
    else:
        assert done.out == "n = 1\n"


@pytest.mark.parametrize("way", ["print", "descriptor 1", "a child", "native code"])
def test_what_a_file_prints_when_it_is_loaded_is_not_on_stdout(tmp_path: Path, way: str) -> None:
    line = CommandLine(tmp_path)
    loud = OPERATOR.format(style="def", way="pass") + WAYS[way] + "\n"
    line.write("ops.py", loud)
    nodes = "nodes: {n: {operator: noisy, cache: off}}\noutputs: {n: '${{ n.result }}'}\n"
    line.write("own.yaml", f"name: Own\noperators: [ops.py]\n{nodes}")
    line.write("given.yaml", f"name: Given\n{nodes}")
    for words in (
        ("run", "own.yaml"), ("run", "given.yaml", "--operators", "ops.py"), ("runs", "rerun", "last"),
        ("run", "own.yaml", "--dry-run"),
    ):  # fmt: skip
        done = line.call(*words, "--json")
        assert done.status == 0, done.err
        assert json.loads(done.out)
