"""`symphony` typed as a command in a folder with a home of its own, each time as a new process."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.waiting import PATIENCE_S

SYMPHONY = (sys.executable, "-P", "-m", "symphony")


class Ended(NamedTuple):
    """What a process came to."""

    status: int
    out: str
    err: str


def environment(home: Path, variables: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's variables without Symphony's, then `home`, then `variables`.

    One that is None is left out.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SYMPHONY_")}
    told = {**inherited, "SYMPHONY_HOME": str(home), **(variables or {})}
    return {name: value for name, value in told.items() if value is not None}


class CommandLine:
    """Types commands in `folder`.

    Every process is told `variables` and its home, which is the folder `home` in `folder` unless it is given.
    """

    def __init__(self, folder: Path, home: Path | None = None, **variables: str | None) -> None:
        self.folder, self.home = folder, folder / "home" if home is None else home
        self.variables = variables

    def write(self, name: str, text: str) -> Path:
        """Make a file in the folder."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def environment(self, **variables: str | None) -> dict[str, str]:
        """What a process is told, with `variables` of its own."""
        return environment(self.home, self.variables | variables)

    def start(self, *words: str, text: bool = True, **variables: str | None) -> "subprocess.Popen[Any]":
        """Begin a command, in a session of its own; `text=False` for streams of bytes."""
        return subprocess.Popen(
            [*SYMPHONY, *words],
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8" if text else None,
            start_new_session=True,
        )

    def call(self, *words: str, timeout_s: float = PATIENCE_S, **variables: str | None) -> Ended:
        """Run a command to its end, whatever that is."""
        return outcome(self.start(*words, text=False, **variables), timeout_s)

    def type(self, *words: str, status: int = 0, **variables: str | None) -> tuple[str, str]:
        """Run a command that ends with `status`, without a traceback: its stdout and stderr."""
        ended = self.call(*words, **variables)
        assert ended.status == status, (words, ended)
        assert "Traceback" not in ended.err, ended.err
        return ended.out, ended.err

    def json(self, *words: str, status: int = 0, **variables: str | None) -> Any:
        """What a command prints with `--json`, as it must."""
        return json.loads(self.type(*words, "--json", status=status, **variables)[0])


def outcome(process: "subprocess.Popen[Any]", timeout_s: float = PATIENCE_S) -> Ended:
    """What a process came to, once it has ended.

    One that takes longer is killed: subprocess.TimeoutExpired.
    """
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    out, err = (said.decode() if isinstance(said, bytes) else said for said in (out, err))
    return Ended(process.returncode, out, err)


def kill(process: "subprocess.Popen[Any]") -> None:
    """SIGKILL for this process alone: what it left running is for the product to end."""
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=PATIENCE_S)


def statuses(result: Mapping[str, Any]) -> dict[str, str]:
    """The status of every node in a result."""
    return {name: node["status"] for name, node in result["nodes"].items()}
