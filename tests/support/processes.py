"""What commands leave running, found by a word that no other process has."""

import asyncio
import shlex
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
from tests.support.commands import CommandLine
from tests.support.waiting import PATIENCE_S

_HOLDS = (
    "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); held = b'x' * (1 << 28); "
    "print('group', os.getpgid(0), flush=True); time.sleep(600)"
)
LARGE = f'nice -n 19 {shlex.quote(sys.executable)} -c "{_HOLDS}"'
"""Words for a shell: a process that prints `group N` and has so much memory that its end takes a while."""


class Traced(CommandLine):
    """Types commands that are to give `token`, a number of seconds, to all that they start."""

    def __init__(self, folder: Path, **variables: str | None) -> None:
        super().__init__(folder, **variables)
        drawn = uuid.uuid4().hex
        self.token = f"{600 + int(drawn[:6], 16)}.{int(drawn[6:12], 16)}"

    def ours(self, process: psutil.Process) -> bool:
        """Was it started by a command of this object's?"""
        return self.token in process.cmdline()

    def running(self) -> dict[int, str]:
        """What runs of it, by number, zombies aside."""
        found = {}
        for process in psutil.process_iter():
            try:
                if self.ours(process) and process.status() != psutil.STATUS_ZOMBIE:
                    found[process.pid] = " ".join(process.cmdline())
            except (psutil.Error, OSError):
                continue
        return found

    def left(self) -> list[str]:
        """Numbers and words of what runs, in several looks: one may miss a process that is being replaced."""
        found: dict[int, str] = {}
        for _ in range(5):
            found |= self.running()
            time.sleep(0.02)
        return [f"{pid} {words}" for pid, words in found.items()]

    def clear(self) -> None:
        """End all that runs, also what has a successor as it ends."""
        until, quiet = time.monotonic() + PATIENCE_S, 0
        while quiet < 20 and time.monotonic() < until:
            quiet += 1
            for pid in self.running():
                quiet = 0
                try:
                    psutil.Process(pid).kill()
                except psutil.Error:
                    continue


def alive(pid: int) -> bool:
    """Is the process there, and no zombie that nobody takes?"""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def group_at_work(group: int) -> bool:
    """Is any process of the group there, zombies aside?"""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] not in ("Z", "X"):
            return True
    return False


class Peers:
    """Processes of one `script`, which are ended by `end`."""

    def __init__(self, script: Path) -> None:
        self._script = script
        self.processes: list[subprocess.Popen[str]] = []

    def begin(self, *words: object, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
        """One more, which prints lines."""
        self.processes.append(
            subprocess.Popen(
                [sys.executable, "-P", str(self._script), *map(str, words)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return self.processes[-1]

    def end(self) -> None:
        """Kill those that are still there."""
        for process in self.processes:
            process.kill()
            process.communicate()


async def line_of(process: "subprocess.Popen[str]") -> str:
    """The next line that it prints."""
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()
