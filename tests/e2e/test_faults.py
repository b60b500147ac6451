"""Faults of the machine around a run: full and read-only disks, wrong clocks, stopped owners,
homes of other versions, hostile files. Each is refused clearly or got over; nothing hangs."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, Ended
from tests.support.waiting import PATIENCE_S, wait_for

from symphony import Symphony
from symphony.commons.time import SystemClock
from symphony.pit.tracker.store.journal_rows import put_meta
from symphony.ports.runs import RunStatus

pytestmark = pytest.mark.slow

STOPPED_S = 10.0

WORKFLOW = """\
symphony: 1
name: Faults
inputs: {effects: {type: string}}
nodes:
  first: {command: 'echo first >> "$EFFECTS"', inputs: {effects: "${{ inputs.effects }}"}}
  large: {command: "head -c 400000 /dev/zero | tr '\\\\0' x", idempotent: true, after: [first]}
  last: {command: 'echo last >> "$EFFECTS"', inputs: {effects: "${{ inputs.effects }}"}, after: [large]}
outputs: {size: "${{ size(large.stdout) }}"}
"""


class Place(CommandLine):
    """A folder with a workflow, and a home that may lie on a disk of its own."""

    def __init__(self, folder: Path, home: Path | None = None) -> None:
        super().__init__(folder, home)
        self.effects = folder / "effects"
        self.write("w.yaml", WORKFLOW)

    def run(self) -> Ended:
        return self.call("run", "w.yaml", "--input", f"effects={self.effects}", "--json")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 700 kB."""
    point = tmp_path / "disk"
    point.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=700k", "tmpfs", point], capture_output=True)
    if made.returncode != 0:
        pytest.skip("mounting a small disk needs privileges")
    yield point
    subprocess.run(["umount", "-l", point], check=True)


def remount(disk: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", disk], check=True)


def test_a_run_on_a_full_disk_stops_with_the_reason_and_goes_on_when_there_is_room(
    tmp_path: Path, disk: Path
) -> None:
    place = Place(tmp_path, disk / "home")
    status, out, err = place.run()
    assert status == 1, (out, err)
    (error,) = json.loads(out)["errors"]  # the run has not ended
    assert error["code"] in ("journal-failed", "storage-full")
    assert error["hint"]
    assert "Traceback" not in err
    remount(disk, "size=64m")
    status, out, err = place.call("runs", "resume", "last", "--json")
    assert status == 0, (out, err)
    assert json.loads(out)["outputs"] == {"size": 400_000}
    assert place.effects.read_text().split() == ["first", "last"]


def test_a_home_that_cannot_be_written_is_told_and_can_still_be_read(tmp_path: Path, disk: Path) -> None:
    remount(disk, "size=64m")
    place = Place(tmp_path, disk / "home")
    assert place.run()[0] == 0
    remount(disk, "ro")
    for words in (["run", "w.yaml", "--input", f"effects={place.effects}"], ["runs", "resume", "last"]):
        status, _, err = place.call(*words)
        assert status == 1
        assert "Read-only file system" in err
        assert "Traceback" not in err
    listed = json.loads(place.call("runs", "list", "--json")[1])
    assert [run["status"] for run in listed] == ["succeeded"]
    assert json.loads(place.call("runs", "show", "last", "--json")[1])["outputs"] == {"size": 400_000}
    status, out, _ = place.call("doctor", "--json")
    assert status == 1
    (home,) = [check for check in json.loads(out) if check["check"] == "home"]
    assert "Read-only" in home["found"]
    assert place.effects.read_text().split() == ["first", "last"]


def test_artifacts_of_a_home_whose_disk_another_program_has_filled_can_be_read(
    tmp_path: Path, disk: Path
) -> None:
    remount(disk, "size=32m")
    line = CommandLine(tmp_path, disk / "home")
    line.write("a.txt", "some text")
    line.type("artifacts", "put", "a.txt")
    with suppress(OSError), (disk / "other").open("wb", buffering=0) as other:
        while True:
            other.write(bytes(4096))
    assert line.type("artifacts", "get", "a.txt")[0] == "some text"
    assert [one["names"] for one in line.json("artifacts", "list")] == [["a.txt"]]
    assert [one["names"] for one in line.json("artifacts", "search", "text")["hits"]] == [["a.txt"]]
    assert '"text":"some text"' in line.type("artifacts", "export")[0]
    assert line.json("artifacts", "fsck") == {"faults": [], "left": 0}
    line.write("b.txt", "another text")
    assert "storage-full" in line.type("artifacts", "put", "b.txt", status=1)[1]
    (disk / "other").unlink()
    line.type("artifacts", "put", "b.txt")
    assert line.type("artifacts", "get", "b.txt")[0] == "another text"


class JumpingClock(SystemClock):
    """The wall clock leaps a day at each look, forwards or backwards; durations stay true."""

    def __init__(self, *leaps_s: float) -> None:
        self._at, self._leaps, self._looks = 1_800_000_000.0, leaps_s, 0

    def now_s(self) -> float:
        self._looks += 1
        self._at += self._leaps[self._looks % len(self._leaps)]
        return self._at


@pytest.mark.parametrize("leaps_s", [(86_400.0,), (-86_400.0,), (86_400.0, -172_800.0)])
async def test_a_clock_that_jumps_changes_no_outcome(place: Place, leaps_s: tuple[float, ...]) -> None:
    async with Symphony.open(place.home) as symphony:
        symphony.parts.clock = JumpingClock(*leaps_s)
        handle = await symphony.start(place.folder / "w.yaml", {"effects": str(place.effects)})
        result = await handle.result()
        events = [event async for event in handle.events()]
        again = await (await symphony.resume(handle.run_id)).result()
        assert result.status is again.status is RunStatus.SUCCEEDED
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert all((node.duration_ms or 0) >= 0 for node in result.nodes.values())
        assert symphony.runs.summary(handle.run_id).status is RunStatus.SUCCEEDED
    assert place.effects.read_text().split() == ["first", "last"]


def test_a_stopped_owner_keeps_its_run_and_nothing_is_done_twice(place: Place) -> None:
    slow = WORKFLOW.replace("head -c", f"touch {place.folder}/begun; sleep 1; head -c")
    (place.folder / "w.yaml").write_text(slow)
    owner = place.start("run", "w.yaml", "--input", f"effects={place.effects}", "--json")
    wait_for(place.folder / "begun", owner)
    owner.send_signal(signal.SIGSTOP)
    stopped, tries = time.monotonic(), 0
    try:
        while tries < 2 or time.monotonic() < stopped + STOPPED_S:
            status, _, err = place.call("runs", "resume", "last")
            assert status == 1
            assert "run-busy" in err
            (listed,) = json.loads(place.call("runs", "list", "--json")[1])
            assert (listed["status"], listed["owner_pid"]) == ("running", owner.pid)
            tries += 1
    finally:
        owner.send_signal(signal.SIGCONT)
    out, err = owner.communicate(timeout=PATIENCE_S)
    assert owner.returncode == 0, (out, err)
    assert json.loads(out)["status"] == "succeeded"
    assert place.effects.read_text().split() == ["first", "last"]


def alter(journal: Path, version: int) -> None:
    db = sqlite3.connect(journal)
    with db:
        put_meta(db, "format", version)  # with its checksum, as every version from now on writes it
    db.close()


def test_a_run_of_a_newer_version_is_refused_and_left_alone(place: Place) -> None:
    assert place.run()[0] == 0
    (journal,) = (place.home / "journal").glob("*.db")
    alter(journal, 999)
    before = journal.read_bytes()
    for words in (["show", "last"], ["resume", "last"], ["cancel", "last"], ["events", "last"]):
        status, _, err = place.call("runs", *words)
        assert status == 1, err
        assert "journal-newer" in err
        assert "version of symphony that wrote it" in err
    status, _, err = place.call("runs", "list")
    assert status == 0
    assert "1 run passed over" in err
    assert journal.read_bytes() == before
    assert place.run()[0] == 0, "new runs are free to begin beside it"


def test_a_run_from_before_there_were_formats_is_taken_over(place: Place) -> None:
    assert place.run()[0] == 0
    (journal,) = (place.home / "journal").glob("*.db")
    db = sqlite3.connect(journal)
    with db:
        db.execute("DELETE FROM meta WHERE key = 'format'")
        db.execute("DROP TABLE asked")
    db.close()
    assert place.call("runs", "show", "last")[0] == 0
    assert place.call("runs", "resume", "last")[0] == 0


def test_a_cache_of_another_version_is_set_aside(place: Place) -> None:
    assert place.run()[0] == 0
    cache = place.home / "artifacts" / "cache.db"
    db = sqlite3.connect(cache)
    db.execute("PRAGMA application_id=123456")
    db.close()
    assert place.run()[0] == 0


def hostile(folder: Path) -> dict[str, str]:
    """Files by the code of the error they must get."""
    files: dict[str, tuple[str, bytes]] = {
        "brackets.yaml": ("limit-exceeded", b"a: " + b"[" * 200_000),
        "brackets.json": ("limit-exceeded", b"[" * 200_000),
        "brackets.toml": ("limit-exceeded", b"a = " + b"[" * 200_000),
        "deep.yaml": ("limit-exceeded", b"\n".join(b" " * i + b"a:" for i in range(3_000))),
        "giant.json": ("type-mismatch", b'{"name": ' + b"9" * 100_000 + b"}"),
        "giant.yaml": ("type-mismatch", b"name: " + b"9" * 100_000),
        "null.yaml": ("syntax", b"name: a\0b\n"),
        "bytes.yaml": ("syntax", b"name: \xff\xfe\n"),
        "bomb.yaml": ("syntax", b"a: &a [x,x]\n" + b"b: &b [*a,*a]\nc: [*b,*b]\n"),
        "itself.yaml": ("syntax", b"a: &a {b: *a}\n"),
        "large.yaml": ("limit-exceeded", b"# " + b"x" * (16 * 2**20)),
        "empty.yaml": ("syntax", b""),
        "cel.yaml": (
            "limit-exceeded",
            b"name: x\nnodes:\n  a: {command: 'true', when: '" + b"(" * 100_000 + b"'}\n",
        ),
    }
    for name, (_, body) in files.items():
        (folder / name).write_bytes(body)
    (folder / "folder.yaml").mkdir()
    os.mkfifo(folder / "pipe.yaml")
    (folder / "zero.yaml").symlink_to("/dev/zero")
    (folder / "loop.yaml").symlink_to("loop.yaml")
    codes = {name: code for name, (code, _) in files.items()}
    others = ("folder.yaml", "pipe.yaml", "zero.yaml", "loop.yaml", "missing.yaml")
    return codes | dict.fromkeys(others, "workflow-not-found")


ALL = """
import json, sys
from symphony.cli.main import main
for name in sys.argv[1:]:
    print("----", name, main(["run", name, "--json"]), flush=True)
"""


def test_hostile_files_are_refused_from_the_command_line(place: Place) -> None:
    codes = hostile(place.folder)
    ended = subprocess.run(
        [sys.executable, "-P", "-c", ALL, *codes],
        cwd=place.folder,
        env=place.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE_S,
        text=True,
    )
    assert ended.returncode == 0, (ended.returncode, ended.stdout[-200:], ended.stderr[-500:])
    said = ended.stdout.split("---- ")
    for out, (name, code) in zip(said, codes.items(), strict=False):
        assert code in out, (name, out)
    assert [end.splitlines()[0] for end in said[1:]] == [f"{name} 2" for name in codes]
    assert "Traceback" not in ended.stderr
    assert not place.home.exists(), "nothing was begun"


def test_a_pipe_in_place_of_operators_is_refused(place: Place) -> None:
    os.mkfifo(place.folder / "ops.py")
    status, _, err = place.call("run", "w.yaml", "--operators", "ops.py")
    assert status == 2
    assert "operators-not-loaded" in err
