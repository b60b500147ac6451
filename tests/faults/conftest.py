"""A fault as it was met: its folder copied to a place of its own, and the command to try it with."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tests.support.commands import CommandLine
from tests.support.waiting import PATIENCE_S

CASES = Path(__file__).parent / "cases"


class Fault(CommandLine):
    """One case in a folder of its own, with an empty home beside it."""

    def symphony(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = PATIENCE_S
    ) -> subprocess.CompletedProcess[str]:
        """Run `symphony` with `arguments` in the case's folder."""
        return subprocess.CompletedProcess(
            arguments, *self.call(*arguments, timeout_s=timeout_s, **(env or {}))
        )

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = PATIENCE_S
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
