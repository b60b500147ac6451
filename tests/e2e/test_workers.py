"""Operators in real worker processes: what comes back, and that stopping really stops them."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.support.fakes import Printed
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S

from symphony.commons.errors import SymphonyError
from symphony.commons.processes import marked
from symphony.pit.workers import Task, WorkerDied, Workers, cores
from symphony.pit.workers import pool as pool_module
from symphony.pit.workers.channel import Parcel
from symphony.ports.values import Value
from symphony.sdk import load_operators
from symphony.sdk.origins import origin_of, source_of

pytestmark = pytest.mark.slow

OPERATORS = '''
import contextvars, ctypes, os, signal, subprocess, sys, time
from pathlib import Path

from symphony import operator
from symphony.commons.errors import SymphonyError
from symphony.pit.workers import cores
from symphony.sdk import Context


@operator("w.echo", version="1.0.0", cpu=True)
def echo(value: object, context: Context) -> dict[str, object]:
    print("printed")
    context.log("logged", "stderr")
    os.system("echo by a child")
    sys.stdout.write("no newline")
    return {
        "value": value, "pid": os.getpid(), "cwd": str(context.cwd), "node": context.node,
        "variable": context.environment.get("KEY"), "marked": os.environ["SYMPHONY_RUN_ID"],
        "hosts": list(context.allowed_hosts),
    }


@operator("w.double", version="1.0.0", cpu=True)
def double(data: bytes) -> bytes:
    return data + data


@operator("w.shared", version="1.0.0", cpu=True)
def shared() -> object:
    part = [1] * 10
    for _ in range(60):
        part = [part, part]
    return part


@operator("w.fail", version="1.0.0", cpu=True)
def fail(how: str) -> int:
    match how:
        case "segfault": ctypes.string_at(0)
        case "exit": os._exit(7)
        case "sys.exit": sys.exit("bye")
        case "memory": os.kill(os.getpid(), signal.SIGKILL)
        case "closed": os.closerange(3, os.sysconf("SC_OPEN_MAX")); return 1
        case "ours": raise SymphonyError("no", code="mine", hint="so", details={"a": [1]})
        case "unprintable":
            class Bad(Exception):
                def __str__(self):
                    raise ValueError
            raise Bad
    raise ValueError(how)


@operator("w.stuck", version="1.0.0", cpu=True)
def stuck() -> int:
    subprocess.Popen(["sleep", "600"])
    subprocess.Popen(["setsid", "sleep", "600"])
    print("stuck", flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)
    return 1


@operator("w.listens", version="1.0.0", cpu=True)
def listens(context: Context) -> int:
    context.log(f"listening {os.getpid()}", "stdout")
    while not context.cancelled():
        time.sleep(0.005)
    return 1


@operator("w.leaves", version="1.0.0", cpu=True)
def leaves() -> int:
    return subprocess.Popen(["setsid", "sleep", "600"], env={}).pid


@operator("w.short", version="1.0.0", pure=True, cpu=True)
def short(number: int, folder: Path, how: str) -> int:
    """Return the number, unless `how` says otherwise."""
    (folder / "begun").open("a").write(f"{number}\\n")
    print(f"line {number}")
    os.write(2, b"native %d" % number)
    match how:
        case "dies": os.kill(os.getpid(), signal.SIGSEGV)
        case "leaves": subprocess.Popen(["sleep", "600"])
        case "sleeps": time.sleep(600)
        case "waits":
            while len(set((folder / "begun").read_text().split())) < 60:
                time.sleep(0.002)
    return number


LEFT = contextvars.ContextVar("left", default=0)


@operator("w.changes", version="1.0.0", pure=True, cpu=True)
def changes(number: int) -> list[object]:
    """What an earlier call changed, as this one does."""
    found = [os.getcwd(), LEFT.get(), signal.setitimer(signal.ITIMER_REAL, 600)[0]]
    os.chdir("/")
    LEFT.set(number)
    print(f"line {number}", flush=True)
    os.write(2, b"native %d" % number)
    sys.stdout = open(os.devnull, "w")
    os.close(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    return found


@operator("w.meets", version="1.0.0", cpu=True)
def meets(folder: Path, me: str, other: str) -> dict[str, object]:
    """Compute until another worker has begun to; tell whether it did."""
    (folder / me).touch()
    until = time.monotonic() + 60
    while not (met := (folder / other).exists()) and time.monotonic() < until:
        sum(range(10_000))
    return {"pid": os.getpid(), "met": met, "cores": cores()}
'''

Make = Callable[..., Task]


@pytest.fixture
async def workers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workers]:
    monkeypatch.setattr("symphony.pit.workers.worker.GRACE_S", 0.3)
    workers = Workers(size=2)
    yield workers
    await workers.close()


@pytest.fixture
def task(tmp_path: Path) -> Make:
    file = tmp_path / "ops.py"
    file.write_text(OPERATORS)
    operators = {one.info.name: one for one in load_operators(file)}

    def make(name: str, **inputs: Value) -> Task:
        operator = operators[name]
        origin = origin_of(operator)
        assert origin is not None
        return Task(
            origin=origin,
            source=source_of(origin),
            operator=name,
            fingerprint=operator.fingerprint,
            listens=operator.context_name is not None,
            inputs=inputs,
            run_id=f"run-{tmp_path.name}",
            node="n[1]",
            attempt=1,
            cwd=tmp_path,
            base=tmp_path,
            environment={"KEY": "secret"},
            allowed_hosts=("api.example.org",),
        )

    return make


def left(made: Task) -> list[int]:
    return marked(("SYMPHONY_RUN_ID", made.run_id))


async def test_an_operator_gets_its_context_and_all_it_prints_is_there_before_its_answer(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    printed, value = Printed(), {"a": [1, 2.5, None, True, "é", b"\0"]}
    outputs = await workers.call(task("w.echo", value=value), printed, timeout_s=None)
    result = outputs["result"]
    assert isinstance(result, dict)
    assert result.pop("pid") != os.getpid()
    run_id = f"run-{tmp_path.name}"
    assert result == {
        "value": value, "cwd": str(tmp_path), "node": "n[1]", "variable": "secret", "marked": run_id,
        "hosts": ["api.example.org"],
    }  # fmt: skip
    assert [line for stream, line in printed.lines if stream == "stdout"] == [
        "printed", "by a child", "no newline",
    ]  # fmt: skip
    assert ("stderr", "logged") in printed.lines


async def test_a_worker_stays_warm_and_is_used_again(workers: Workers, task: Make) -> None:
    pids = set()
    for _ in range(3):
        result = (await workers.call(task("w.echo", value=1), Printed(), timeout_s=None))["result"]
        assert isinstance(result, dict)
        pids.add(result["pid"])
    assert len(pids) == 1


async def test_large_values_travel_whole(workers: Workers, task: Make) -> None:
    data = os.urandom(1024) * 20_000
    outputs = await workers.call(task("w.double", data=data), Printed(), timeout_s=None)
    assert outputs == {"result": data + data}


async def test_what_would_be_too_large_is_refused_before_its_shared_parts_are_copied(
    workers: Workers, task: Make
) -> None:
    made = replace(task("w.shared"), value_bytes_max=1 << 20)
    with pytest.raises(SymphonyError, match=r"output result of n\[1\] is larger than 1 MiB") as caught:
        await workers.call(made, Printed(), timeout_s=PATIENCE_S)
    assert caught.value.code == "limit-exceeded"


async def test_two_compute_at_the_same_time_in_two_processes_on_any_core(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    """The first to begin ends only once the other has begun too, so neither waits for the other's end."""
    calls = [
        workers.call(task("w.meets", folder=str(tmp_path), me=me, other=other), Printed(), timeout_s=None)
        for me, other in (("a", "b"), ("b", "a"))
    ]
    first, second = [outputs["result"] for outputs in await asyncio.gather(*calls)]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert first["met"] is second["met"] is True
    assert len({first["pid"], second["pid"], os.getpid()}) == 3
    assert first["cores"] == second["cores"] == cores()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("segfault", r"signal 11 \(SIGSEGV\)"),
        ("exit", "ended by itself, with status 7"),
        ("memory", r"signal 9 \(SIGKILL\)"),
        ("closed", "worker process of this node"),
    ],
)
async def test_a_worker_that_dies_fails_its_call_and_another_takes_its_place(
    workers: Workers, task: Make, how: str, says: str
) -> None:
    with pytest.raises(WorkerDied, match=says) as caught:
        async with asyncio.timeout(PATIENCE_S):
            await workers.call(task("w.fail", how=how), Printed(), timeout_s=None)
    assert caught.value.code == "worker-died"
    assert caught.value.hint
    assert await workers.call(task("w.double", data=b"x"), Printed(), timeout_s=None)


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("ours", "mine", "no"),
        ("sys.exit", "operator-failed", r"it called sys\.exit\('bye'\)"),
        ("other", "operator-failed", "ValueError: other"),
        ("unprintable", "operator-failed", "Bad"),
    ],
)
async def test_errors_come_back_with_code_and_message(
    workers: Workers, task: Make, how: str, code: str, says: str
) -> None:
    printed = Printed()
    with pytest.raises(SymphonyError, match=says) as caught:
        await workers.call(task("w.fail", how=how), printed, timeout_s=None)
    assert caught.value.code == code
    written = "".join(text for _, text in printed.lines)
    assert ("Traceback" in written) == (how != "ours")
    if how == "other":
        assert re.match(r".+\.py:\d+ in fail: ValueError", caught.value.message)
    if how == "ours":
        assert (caught.value.hint, caught.value.details) == ("so", {"a": [1]})


async def test_a_stuck_one_is_ended_with_all_it_started_when_its_time_is_over(
    workers: Workers, task: Make
) -> None:
    made, printed = task("w.stuck"), Printed()
    with pytest.raises(TimeoutError):
        await workers.call(made, printed, timeout_s=1.0)
    assert ("stdout", "stuck") in printed.lines
    assert left(made) == []


async def test_cancelled_again_and_again_nothing_of_it_is_left(workers: Workers, task: Make) -> None:
    made, printed = task("w.stuck"), Printed()
    running = asyncio.get_running_loop().create_task(workers.call(made, printed, timeout_s=None))
    await printed.until("stuck")
    assert len(left(made)) >= 2
    while not running.done():
        running.cancel()
        await asyncio.sleep(0.01)
    assert running.cancelled()
    assert left(made) == []


async def test_one_that_listens_ends_by_itself_and_its_process_is_kept(
    workers: Workers, task: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PATIENCE_S", PATIENCE_S)
    printed = Printed()
    running = asyncio.get_running_loop().create_task(workers.call(task("w.listens"), printed, timeout_s=None))
    pid = (await printed.until("listening")).split()[1]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    result = (await workers.call(task("w.echo", value=1), Printed(), timeout_s=None))["result"]
    assert isinstance(result, dict)
    assert str(result["pid"]) == pid


async def test_a_process_that_an_operator_leaves_behind_is_ended_wherever_it_went(
    workers: Workers, task: Make
) -> None:
    outputs = await workers.call(task("w.leaves"), Printed(), timeout_s=None)
    pid = outputs["result"]
    assert isinstance(pid, int)
    assert not alive(pid)


async def test_waiting_for_a_free_worker_costs_no_time_of_the_call(task: Make, tmp_path: Path) -> None:
    workers = Workers(size=1)
    began = time.monotonic()
    calls = [workers.call(task("w.double", data=b"x"), Printed(), timeout_s=10.0) for _ in range(30)]
    assert len(await asyncio.gather(*calls)) == 30
    assert time.monotonic() - began < PATIENCE_S
    await workers.close()


async def short_calls(
    workers: Workers, task: Make, folder: Path, how: dict[int, str], **options: float
) -> list[object]:
    """Sixty short calls at once, of an operator whose time is known; each gives its number or its error."""
    await workers.call(
        replace(task("w.short", number=0, folder=str(folder), how=""), repeatable=True),
        Printed(),
        timeout_s=None,
    )
    calls = [
        workers.call(
            replace(task("w.short", number=n, folder=str(folder), how=how.get(n, "")), repeatable=True),
            Printed(),
            timeout_s=options.get("timeout_s"),
        )
        for n in range(60)
    ]
    async with asyncio.timeout(PATIENCE_S):
        given = await asyncio.gather(*calls, return_exceptions=True)
    return [one if isinstance(one, BaseException) else one["result"] for one in given]


def times_begun(folder: Path) -> list[int]:
    """How often each of the sixty began, the first call of all aside."""
    begun = (folder / "begun").read_text().split()[1:]
    return [begun.count(str(n)) for n in range(60)]


async def test_short_calls_travel_several_to_a_message(
    workers: Workers, task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = [0], Parcel.send

    def counted(parcel: Parcel, connection: socket.socket) -> None:
        sent[0] += 1
        send(parcel, connection)

    monkeypatch.setattr(Parcel, "send", counted)
    assert await short_calls(workers, task, tmp_path, {}) == list(range(60))
    assert sent[0] < 30
    assert times_begun(tmp_path) == [1] * 60


async def test_each_short_call_gets_the_lines_that_it_printed(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    for _ in range(2):
        outputs = [Printed() for _ in range(60)]
        made = [
            replace(task("w.short", number=n, folder=str(tmp_path), how=""), repeatable=True)
            for n in range(60)
        ]
        calls = [workers.call(one, out, timeout_s=None) for one, out in zip(made, outputs, strict=True)]
        await asyncio.gather(*calls)
        for number, output in enumerate(outputs):
            assert sorted(output.lines) == [("stderr", f"native {number}"), ("stdout", f"line {number}")]


async def test_a_death_among_short_calls_fails_the_one_that_ran(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    given = await short_calls(workers, task, tmp_path, {7: "dies", 40: "dies"})
    assert [n for n, one in enumerate(given) if isinstance(one, WorkerDied)] == [7, 40]
    assert [one for one in given if not isinstance(one, WorkerDied)] == [
        n for n in range(60) if n not in (7, 40)
    ]
    assert times_begun(tmp_path) == [1] * 60


async def test_a_process_left_by_a_short_call_touches_no_other(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    assert await short_calls(workers, task, tmp_path, {9: "leaves"}) == list(range(60))
    assert times_begun(tmp_path) == [1] * 60
    assert len(left(task("w.short"))) <= 2, "nothing but workers"


async def test_a_timeout_among_short_calls_ends_the_one_that_runs(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    given = await short_calls(workers, task, tmp_path, {5: "sleeps"}, timeout_s=1.0)
    assert [n for n, one in enumerate(given) if isinstance(one, TimeoutError)] == [5]
    assert [one for one in given if not isinstance(one, TimeoutError)] == [n for n in range(60) if n != 5]
    assert times_begun(tmp_path) == [1] * 60


async def test_a_call_that_turns_out_long_holds_up_none_behind_it(
    workers: Workers, task: Make, tmp_path: Path
) -> None:
    """It ends only once all others have begun."""
    assert await short_calls(workers, task, tmp_path, {3: "waits"}) == list(range(60))


async def test_a_cancelled_call_that_waits_in_a_worker_never_begins(
    task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphony.pit.workers.worker.GRACE_S", 0.3)
    workers, printed = Workers(size=1), Printed()

    def begin(number: int, how: str = "") -> "asyncio.Task[object]":
        made = replace(task("w.short", number=number, folder=str(tmp_path), how=how), repeatable=True)
        return asyncio.get_running_loop().create_task(workers.call(made, printed, timeout_s=None))

    await begin(0)
    first, second, third, fourth, fifth = begin(1, "sleeps"), begin(2), begin(3), begin(4, "sleeps"), begin(5)
    async with asyncio.timeout(PATIENCE_S):
        await printed.until("line 1")
        third.cancel()
        await asyncio.wait([third])
        first.cancel()
        assert await second == {"result": 2}
        await printed.until("line 4")
        fourth.cancel()
        assert await fifth == {"result": 5}
        await asyncio.wait([first, third, fourth])
    assert first.cancelled()
    assert third.cancelled()
    assert fourth.cancelled()
    assert (tmp_path / "begun").read_text().split() == ["0", "1", "2", "4", "5"]
    await workers.close()


async def test_closing_ends_idle_and_busy_ones(task: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symphony.pit.workers.worker.GRACE_S", 0.3)
    workers, made, printed = Workers(size=2), task("w.stuck"), Printed()
    running = asyncio.get_running_loop().create_task(workers.call(made, printed, timeout_s=None))
    await printed.until("stuck")
    await workers.call(task("w.double", data=b"x"), Printed(), timeout_s=None)
    await workers.close()
    with pytest.raises(WorkerDied):
        await running
    assert left(made) == []


async def test_a_worker_dies_with_its_supervisor(task: Make) -> None:
    import subprocess
    import sys

    program = f"""
import asyncio, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from symphony.pit.workers import Task, Workers
from symphony.sdk import load_operators
from symphony.sdk.origins import origin_of, source_of
from pathlib import Path
async def main():
    one = next(o for o in load_operators({str(task("w.stuck").cwd / "ops.py")!r}) if o.info.name == "w.stuck")
    made = Task(origin=origin_of(one), source=source_of(origin_of(one)), operator="w.stuck",
        fingerprint="", listens=False, inputs={{}}, run_id={task("w.stuck").run_id!r}, node="n", attempt=1,
        cwd=Path(), base=Path(), environment={{}})
    await Workers().call(made, lambda text, stream: print(text, flush=True), timeout_s=None)
asyncio.run(main())
"""
    owner = subprocess.Popen([sys.executable, "-P", "-c", program], stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert owner.stdout is not None
    assert owner.stdout.readline() == b"stuck\n"
    (worker,) = [
        p for p in psutil.Process(owner.pid).children() if "symphony.pit.workers.process" in p.cmdline()
    ]
    owner.send_signal(signal.SIGKILL)
    owner.communicate()
    worker.wait(PATIENCE_S)
    for pid in marked(("SYMPHONY_RUN_ID", task("w.stuck").run_id)):  # what it started: for `resume` to end
        os.kill(pid, signal.SIGKILL)


async def test_a_worker_is_in_the_folder_that_its_supervisor_is_in_when_it_calls(
    workers: Workers, task: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for name in ("a", "b", "a"):
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        answers = await asyncio.gather(
            *(workers.call(task("w.changes", number=n), Printed(), timeout_s=None) for n in range(4))
        )
        found += [answer["result"][0] for answer in answers]  # type: ignore[call-overload,index]  # a list
    assert found == [str(tmp_path / name) for name in "aaaabbbbaaaa"]


async def test_what_a_call_changes_of_its_process_is_not_for_the_next_one(
    workers: Workers, task: Make
) -> None:
    printed = [Printed() for _ in range(12)]
    calls = [
        workers.call(task("w.changes", number=number), one, timeout_s=None)
        for number, one in enumerate(printed)
    ]
    answers = [answer["result"] for answer in await asyncio.gather(*calls)]
    assert answers == [[str(Path.cwd()), 0, 0.0]] * 12
    for number, one in enumerate(printed):
        assert sorted(one.lines) == [("stderr", f"native {number}"), ("stdout", f"line {number}")]
