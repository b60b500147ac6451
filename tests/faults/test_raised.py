"""Operators that raise what is no ordinary error, in whole processes; and Ctrl-C, which is none of theirs."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.conftest import Fault
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

Take = Callable[[str], Fault]


@pytest.mark.parametrize("how", ["pure=True", "cpu=True", "read=True"])
@pytest.mark.parametrize("timeout", ["", ", timeout: 1h"])
def test_next_that_finds_nothing_fails_its_node(fault: Take, how: str, timeout: str) -> None:
    case = fault("operator-stopiteration-hangs")
    ops, flow = case.folder / "ops.py", case.folder / "flow.yaml"
    ops.write_text(ops.read_text().replace("pure=True", how))
    flow.write_text(flow.read_text().replace("[1, 3]}}", f"[1, 3]}}{timeout}}}"))
    result = case.run("flow.yaml", "--operators", "ops.py")
    assert result["status"] == "failed"
    assert isinstance(error := result["error"], dict)
    assert error["code"] == "operator-failed"
    assert "StopIteration" in error["message"]


@pytest.mark.parametrize("base", ["BaseException", "KeyboardInterrupt", "GeneratorExit", "SystemExit"])
@pytest.mark.parametrize("style", ["def", "async def"])
def test_an_error_that_is_no_exception_is_caught_by_on_error(fault: Take, base: str, style: str) -> None:
    case = fault("operator-baseexception-kills-run")
    ops = case.folder / "ops.py"
    text = ops.read_text().replace("class Odd(BaseException)", f"class Odd({base})")
    ops.write_text(text.replace("def odd()", f"{style.removesuffix('def')}def odd()"))
    result = case.run("flow.yaml", "--operators", "ops.py")
    assert result["status"] == "succeeded"
    assert isinstance(nodes := result["nodes"], dict)
    assert nodes["n"]["error"]["code"] == "operator-failed"


@pytest.mark.parametrize("error", ["pytest.skip.Exception('no')", "GeneratorExit()", "SystemExit(0)"])
def test_a_file_of_operators_that_raises_anything_is_not_loaded(fault: Take, error: str) -> None:
    case = fault("operator-baseexception-kills-run")
    (case.folder / "ops.py").write_text(f"import pytest\nraise {error}\n")
    done = case.symphony("run", "flow.yaml", "--operators", "ops.py")
    assert "[operators-not-loaded]" in done.stderr
    assert "ops.py:2" in done.stderr


BLOCKING = """
import asyncio, sys, time
import symphony
from symphony import operator
from symphony.workflow import loads

@operator("blocks", version="1.0.0")
async def blocks() -> int:
    print("blocked", file=sys.__stdout__, flush=True)
    WAIT
    return 1

async def whole():
    async with symphony.Symphony.open(memory=True, operators=[blocks]) as opened:
        handle = await opened.start(loads(b"name: B\\nnodes: {n: {operator: blocks}}", "yaml"))
        return await handle.result()

RUN
print("went on")
"""
RUNNERS = {
    "asyncio.run": "asyncio.run(whole())",
    "a loop": "asyncio.new_event_loop().run_until_complete(whole())",
}


@pytest.mark.parametrize("runner", RUNNERS)
@pytest.mark.parametrize("wait", ["time.sleep(600)", "while True: pass"])
def test_ctrl_c_ends_a_program_whose_operator_holds_the_loop(tmp_path: Path, wait: str, runner: str) -> None:
    (tmp_path / "b.py").write_text(BLOCKING.replace("WAIT", wait).replace("RUN", RUNNERS[runner]))
    process = subprocess.Popen(
        [sys.executable, "-P", "b.py"],
        cwd=tmp_path,
        env={**os.environ, "SYMPHONY_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "blocked\n"
    try:
        for _ in range(100):  # asyncio's runner asks politely first, and needs a second one
            process.send_signal(signal.SIGINT)
            try:
                out, err = process.communicate(timeout=0.2)
                break
            except subprocess.TimeoutExpired:
                continue
    finally:
        process.kill()
    assert process.returncode == -signal.SIGINT, err
    assert "KeyboardInterrupt" in err
    assert "went on" not in out


FORKING = """
import os, sys
from symphony import operator

{decorator}
{style} forks() -> int:
    if (pid := os.fork()) == 0:
        {child}
    os.waitpid(pid, 0)
    return 1
"""
CHILDREN = ["return 2", "raise ValueError('child')", "sys.exit(3)", "next(iter([]))"]


@pytest.mark.parametrize("child", CHILDREN)
@pytest.mark.parametrize(
    ("style", "how"),
    [("def", "read=True"), ("def", "cpu=True"), ("async def", "read=True"), ("async def", "inline=False")],
)
@pytest.mark.filterwarnings("ignore")
def test_a_copy_of_the_process_that_an_operator_forks_off_ends_with_the_operator(
    tmp_path: Path, style: str, how: str, child: str
) -> None:
    decorator = f'@operator("forks", version="1.0.0", {how})'
    (tmp_path / "ops.py").write_text(FORKING.format(decorator=decorator, style=style, child=child))
    flow = "name: F\nnodes: {n: {operator: forks}}\noutputs: {n: '${{ n.result }}'}\n"
    (tmp_path / "flow.yaml").write_text(flow)
    result = Fault(tmp_path, tmp_path / "home").run(
        "flow.yaml", "--operators", "ops.py", timeout_s=PATIENCE_S
    )
    assert result["outputs"] == {"n": 1}


FORKING_MANY = """
import os, sys
from symphony import operator

@operator("forks", version="1.0.0", pure=True)
def forks(number: int) -> str:
    \"\"\"A large output, by two processes.\"\"\"
    pid = os.fork()
    print(number)
    if pid:
        os.waitpid(pid, 0)
    return str(number) * 40_000
"""


@pytest.mark.filterwarnings("ignore")
def test_copies_that_a_batch_forks_off_store_nothing_and_wait_for_no_lock(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(FORKING_MANY)
    node = "{operator: forks, for_each: [1, 2, 3, 4, 5, 6, 7, 8], inputs: {number: '${{ item }}'}}"
    flow = f"name: F\nnodes: {{n: {node}}}\noutputs: {{n: '${{{{ size(n.result) }}}}'}}\n"
    (tmp_path / "flow.yaml").write_text(flow)
    fault = Fault(tmp_path, tmp_path / "home")
    assert fault.run("flow.yaml", "--operators", "ops.py", timeout_s=30)["outputs"] == {"n": 8}
    logs = fault.symphony("runs", "logs", "last", "--json", timeout_s=20).stdout.splitlines()
    assert sorted(json.loads(line)["text"] for line in logs) == sorted("12345678" * 2), "each said it"


STOPPING = """
import asyncio, sys
from symphony import operator

@operator("stops", version="1.0.0")
async def stops() -> int:
    {act}
    await asyncio.sleep(0.1)
    return 1
"""


@pytest.mark.parametrize(
    "act",
    ["asyncio.get_running_loop().call_soon(sys.exit, 0)", "[task.cancel() for task in asyncio.all_tasks()]"],
)
def test_an_operator_that_stops_the_event_loop_ends_no_program_as_if_all_were_well(
    tmp_path: Path, act: str
) -> None:
    (tmp_path / "ops.py").write_text(STOPPING.format(act=act))
    (tmp_path / "flow.yaml").write_text("name: F\nnodes: {n: {operator: stops}}\n")
    done = Fault(tmp_path, tmp_path / "home").symphony(
        "run", "flow.yaml", "--operators", "ops.py", "--json", timeout_s=PATIENCE_S
    )
    assert done.returncode == 1
    assert "operator-failed" in done.stdout
    assert "Traceback" not in done.stderr
