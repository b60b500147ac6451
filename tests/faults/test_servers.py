"""Faults met with servers and peers that answer otherwise than their interface says."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _python(script: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", script.name], cwd=script.parent, capture_output=True, text=True, timeout=60
    )


@pytest.mark.slow
def test_json_rpc_refuses_what_json_cannot_say_and_takes_a_result_beside_a_null_error(
    fault: Callable[[str], Any],
) -> None:
    folder = fault("rpc-inf").folder
    tried = _python(folder / "try.py")
    assert tried.returncode == 1
    assert "SerializationFailed" in tried.stderr
    waited = _python(folder / "hang.py")
    assert waited.stdout.splitlines()[-1] == "5"
