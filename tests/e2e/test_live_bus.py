"""Runs are seen live from other processes."""

import json
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.support.commands import SYMPHONY, CommandLine
from tests.support.waiting import PATIENCE_S, wait_for

from symphony.commons.moments import iso

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Gated
inputs: {gate: {type: string}}
nodes:
  first: {command: "echo one"}
  wait:
    command: while [ ! -e "$GATE" ]; do sleep 0.05; done
    inputs: {gate: "${{ inputs.gate }}"}
    after: [first]
  last: {command: "EXIT", after: [wait]}
"""
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a command line in a folder with a home of its own; a failing test shows how each ended."""
    running: list[subprocess.Popen[str]] = []
    line = CommandLine(tmp_path, PYTHONUNBUFFERED=None)  # what is to be seen at once is flushed

    def said(number: int) -> Path:
        return tmp_path / f"stderr-{number}.txt"

    def one(*words: str) -> subprocess.Popen[str]:
        with said(len(running)).open("wb") as stderr:
            running.append(
                subprocess.Popen(
                    [*SYMPHONY, *words], cwd=tmp_path, env=line.environment(),
                    text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
                )
            )  # fmt: skip
        return running[-1]

    def end() -> None:
        for process in running:
            process.kill()

    # Whoever reads a line from one that hangs must not hang as well.
    patience = threading.Timer(PATIENCE_S, end)
    patience.start()
    yield one
    patience.cancel()
    statuses = [process.poll() for process in running]
    end()
    for number, process in enumerate(running):
        process.communicate()
        print(f"{process.args}: {statuses[number]}\n{said(number).read_text()}")


def gated(folder: Path, end: str) -> tuple[str, ...]:
    """A run that goes on when the file `gate` is there, and ends as the command `end` does."""
    (folder / "gated.yaml").write_text(WORKFLOW.replace("EXIT", end))
    return "run", "gated.yaml", "--quiet", "--input", f"gate={folder / 'gate'}"


def on_bus(process: subprocess.Popen[str], folder: Path) -> None:
    """Returns once the bus of the home is there, which `process` opens."""
    wait_for(folder / "home" / "run" / "bus.sock", process)


def lines_until(process: subprocess.Popen[str], kind: str) -> list[dict[str, object]]:
    """JSON lines up to the first of `kind`."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(json.loads(line))
        if kind in (found[-1]["type"], f"{found[-1].get('node')} {found[-1]['type']}"):
            return found
    raise AssertionError(f"it ended before {kind}: {found}")


def event_of(line: dict[str, object]) -> dict[str, object]:
    """The event that a line of `bus tap` carries, with its moment as commands spell it."""
    event = line["data"]
    assert isinstance(event, dict)
    return event | {"at": iso(event["at"])}


@pytest.mark.parametrize(("end", "status"), [("exit 0", 0), ("exit 3", 1)])
def test_a_second_process_sees_a_run_from_its_start_to_its_end(
    start: Start, tmp_path: Path, end: str, status: int
) -> None:
    tap = start("bus", "tap", "run.>", "--json")
    on_bus(tap, tmp_path)
    run = start(*gated(tmp_path, end))
    seen = lines_until(tap, "node.finished")
    watch = start("runs", "watch", "last", "--json")
    before = lines_until(watch, "wait node.started")
    (tmp_path / "gate").touch()
    after, _ = watch.communicate(timeout=60)
    assert run.wait(60) == status == watch.returncode
    events = before + [json.loads(line) for line in after.splitlines()]
    recorded, _ = start("runs", "events", "last", "--json").communicate(timeout=60)
    assert events == [json.loads(line) for line in recorded.splitlines()]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    seen += lines_until(tap, "run.finished")
    told = [event_of(line) for line in seen]
    assert told == events, "on the bus it is the same, with the moments in seconds"
    again = start("runs", "watch", "last", "--json")
    assert again.communicate(timeout=60)[0] == recorded
    assert again.returncode == status


def test_watching_ends_when_the_process_of_the_run_is_killed(start: Start, tmp_path: Path) -> None:
    run = start(*gated(tmp_path, "exit 0"))
    tap = start("bus", "tap", "bus.endpoint.>")
    home = tmp_path / "home" / "journal"
    while not list(home.glob("*.db")):
        assert run.poll() is None
    watch = start("runs", "watch", "last", "--json")
    lines_until(watch, "wait node.started")
    run.send_signal(signal.SIGKILL)
    (tmp_path / "gate").touch()  # its command, which nobody ends any more, ends by itself
    watch.communicate(timeout=60)
    assert watch.returncode == 1
    assert tap.poll() is None, "it goes on, as the hub or without"


def test_two_runs_of_one_home_are_on_one_bus_and_can_be_measured(start: Start, tmp_path: Path) -> None:
    tap = start("bus", "tap", "run.*.node.started", "--json", "-n", "4")
    on_bus(tap, tmp_path)
    runs = [start(*gated(tmp_path, "exit 0")) for _ in range(2)]
    assert len(tap.communicate(timeout=60)[0].splitlines()) == 4
    keeper = start("bus", "tap", "nothing.>")
    while True:
        stats = start("bus", "stats", "--json")
        out, _ = stats.communicate(timeout=60)
        names = [one["name"] for one in json.loads(out)["endpoints"]] if stats.returncode == 0 else []
        ends = [name for name in names if name.startswith("run.")]
        if len(ends) == 2:
            break
        assert all(run.poll() is None for run in runs)
    for name in (*ends, "bus"):
        ping = start("bus", "ping", name, "-n", "3", "--json")
        assert json.loads(ping.communicate(timeout=60)[0])["count"] == 3
    measured, _ = start("bus", "stats", "--json", "--over", "0.1").communicate(timeout=60)
    speed = json.loads(measured)["rates"]
    assert speed["window_s"] >= 0.1
    assert speed["received"]["bus"] > 0, "it was asked at least for this"
    text, _ = start("bus", "stats", "--prometheus").communicate(timeout=60)
    assert "symphony_bus_links" in text
    (tmp_path / "gate").touch()
    assert [run.wait(60) for run in runs] == [0, 0]
    assert keeper.poll() is None


@pytest.mark.parametrize("words", [("ping", "bus"), ("stats",)])
def test_without_a_bus_asking_for_it_says_so(start: Start, words: tuple[str, ...]) -> None:
    asked = start("bus", *words, "--json")
    out, _ = asked.communicate(timeout=60)
    assert asked.returncode == 1
    assert json.loads(out)["errors"][0]["code"] == "bus-absent"


def test_what_is_no_pattern_is_bad_usage(start: Start) -> None:
    tap = start("bus", "tap", "run.>.node")
    assert tap.wait(60) == 2


def test_a_tap_ends_by_ctrl_c_as_interrupted(start: Start, tmp_path: Path) -> None:
    tap = start("bus", "tap", "nothing.>")
    on_bus(tap, tmp_path)
    ping = start("bus", "ping", "bus", "-n", "100000")
    assert ping.stdout is not None
    assert ping.stdout.readline()
    for process in (ping, tap):
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.fixture
def crowded(tmp_path: Path) -> Iterator[Path]:
    """A home whose folder of sockets has room for one file: the lock of one run."""
    folder = tmp_path / "home" / "run"
    folder.mkdir(mode=0o700, parents=True)
    command = ["mount", "-t", "tmpfs", "-o", "nr_inodes=2,mode=700", "tmpfs", folder]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk needs privileges")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_without_room_for_the_socket_the_run_goes_on_and_says_once_why_nobody_sees_it(
    crowded: Path, tmp_path: Path
) -> None:
    line = CommandLine(tmp_path, crowded.parent)
    workflow = "name: Slow\nnodes:\n  one: {command: sleep 1}\n  two: {command: echo two, after: [one]}\n"
    line.write("slow.yaml", workflow)
    run = line.call("run", "slow.yaml")
    assert run.status == 0, run.err
    assert run.err.count("cannot be watched live") == 1
    assert "No space left on device" in run.err
    tap = line.call("bus", "tap", "run.>")
    assert tap.status == 1
    assert "No space left on device" in tap.err
    assert "Traceback" not in run.err + tap.err
    subprocess.run(["mount", "-o", "remount,ro", crowded], check=True)
    for refused in (line.call("run", "slow.yaml"), line.call("bus", "tap", "run.>")):
        assert refused.status == 1
        assert "Read-only file system" in refused.err, "a run without its lock would not be safe"
        assert "Traceback" not in refused.err
