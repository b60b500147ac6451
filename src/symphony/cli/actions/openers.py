"""Opening a file with the program that the system has for it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PATIENCE_S: Final = 5.0
"""An opener hands the file on and ends; one that is still there then is the program itself."""


def opener() -> str | None:
    """Return the system's program that opens files, if there is one and a screen to show them on."""
    if sys.platform == "win32":
        return "explorer"
    if sys.platform == "darwin":
        return shutil.which("open")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    return shutil.which("xdg-open")


def open_with(program: str, path: Path) -> bool:
    """Open `path`; the program lives on when this process ends. Return whether it took the file."""
    try:
        process = subprocess.Popen(
            [program, str(path)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return False
    try:
        status = process.wait(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        return True
    return status == 0 or program == "explorer"  # which says 1 whatever it did
