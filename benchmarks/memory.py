"""How much memory does a large run take?

Question: peak resident megabytes of a whole process, interpreter and libraries included, that
validates and runs 10,000 nodes in layers of 100 on disk, through the Python API and through
`symphony run`; beside it a process that only loads the API, and one that runs a single node.
Size: one process each; the peak is the kernel's own count.
Budget: 150 MB for each of the large runs.

Run: python benchmarks/memory.py; prints one JSON line.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import graphs
from measuring import Figure, line

MB = 1024 * 1024
BUDGET_MB = 150
_API = "import sys; from symphony import run; run(sys.argv[1])"


def peak_mb(arguments: list[str], home: Path) -> float:
    """Megabytes that `python *arguments` had resident at its peak. Raises RuntimeError if it fails."""
    process = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "SYMPHONY_HOME": str(home)},
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"python {' '.join(arguments)} ended with {process.returncode}")
    unit = 1 if sys.platform == "darwin" else 1024
    return used.ru_maxrss * unit / MB


def figures(nodes: int) -> list[Figure]:
    """Every figure."""
    with tempfile.TemporaryDirectory() as folder:
        file, small, home = Path(folder) / "large.json", Path(folder) / "small.json", Path(folder) / "home"
        file.write_text(graphs.layered(nodes, min(100, nodes)))
        small.write_text(graphs.chain(1))
        run = ["-m", "symphony", "run", "--quiet"]
        asked = (
            (f"{nodes:,} nodes, Python API", ["-c", _API, str(file)], BUDGET_MB),
            (f"{nodes:,} nodes, symphony run", [*run, str(file)], BUDGET_MB),
            ("one node, symphony run", [*run, str(small)], None),
            ("the Python API loaded", ["-c", "import symphony.app"], None),
        )
        return [Figure(what, peak_mb(arguments, home), "MB", most) for what, arguments, most in asked]


if __name__ == "__main__":
    print(line("memory", "10,000 nodes in layers of 100, one process each", figures(10_000)))
