"""Effects of nodes: each leaves a line in a file, however often it runs."""

from collections import Counter
from pathlib import Path


def effects(file: Path) -> Counter[str]:
    """How often each line was left; none if there is no file yet."""
    return Counter(file.read_text(encoding="utf-8").splitlines() if file.exists() else ())
