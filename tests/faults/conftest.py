"""A fault as it was met: its folder copied to a place of its own, and the command to try it with."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True, slots=True)
class Fault:
    """One case in a folder of its own, with an empty home beside it."""

    folder: Path
    home: Path

    def symphony(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> subprocess.CompletedProcess[str]:
        """Run `symphony` with `arguments` in the case's folder."""
        return subprocess.run(
            [sys.executable, "-P", "-m", "symphony", *arguments],
            cwd=self.folder,
            env={**os.environ, "SYMPHONY_HOME": str(self.home), **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
        )

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 60
    ) -> dict[str, object]:
        """The result of `symphony run … --json`, whatever its status."""
        done = self.symphony("run", *arguments, "--json", env=env, timeout_s=timeout_s)
        assert done.returncode in (0, 1, 4), done.stdout + done.stderr
        result = json.loads(done.stdout)
        assert isinstance(result, dict)
        return result

    def sh(self, script: str) -> None:
        """Run the case's shell `script` without the user's git settings."""
        quiet = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
        subprocess.run(
            ["sh", "-euc", script],
            cwd=self.folder,
            env={**os.environ, **quiet},
            check=True,
            capture_output=True,
        )


@pytest.fixture
def fault(tmp_path: Path) -> Callable[[str], Fault]:
    """A function that takes a case's name and gives the case, ready to be tried."""

    def take(name: str) -> Fault:
        folder = tmp_path / name
        shutil.copytree(CASES / name, folder)
        return Fault(folder, tmp_path / f"home-of-{name}")

    return take
