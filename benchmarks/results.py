"""RESULTS.md: three parts, each rewritten by its own command, and what the figures depend on."""

import os
import platform
import sqlite3
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from symphony.commons.time import SystemClock

HERE = Path(__file__).resolve().parent
FILE = HERE / "RESULTS.md"
WHOLE, OURS, PEERS = "# Whole processes", "# Results of the benchmarks", "# Beside other engines"
"""The headings of the parts, in their order."""


def write(part: str, text: str, file: Path = FILE) -> None:
    """Put `text` under the heading `part`, keeping the other parts as they stand."""
    parts = read(file) | {part: text.strip()}
    file.write_text(
        "\n\n".join(f"{heading}\n\n{parts[heading]}" for heading in (WHOLE, OURS, PEERS) if heading in parts)
        + "\n",
        encoding="utf-8",
    )


def read(file: Path = FILE) -> dict[str, str]:
    """The parts that the file has, by heading."""
    text = f"\n{file.read_text(encoding='utf-8')}" if file.exists() else ""
    found: dict[str, str] = {}
    for block in text.split("\n# ")[1:]:
        heading, _, body = block.partition("\n")
        found[f"# {heading}"] = body.strip()
    return found


def machine() -> list[str]:
    """What the figures depend on; nothing that names the machine."""
    load = " ".join(f"{one:.1f}" for one in os.getloadavg())
    return [
        f"- Date: {datetime.fromtimestamp(SystemClock().now_s(), UTC).date()}",
        f"- Commit: {commit()}",
        f"- Cores: {os.cpu_count()}, {platform.machine()}; load when done (1, 5, 15 minutes): {load}",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        f"- Kernel: {platform.system()} {platform.release().split('-')[0]}",
    ]


def commit() -> str:
    """The commit, and whether the sources differ from it."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(HERE.parent), *arguments], check=False, capture_output=True, text=True
        )
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "benchmarks/*.py")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (", with changes" if changed else "")
