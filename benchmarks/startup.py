"""How long until something happens?

Question: milliseconds of wall time of whole processes, interpreter included: `import symphony`,
`symphony --help`, and `symphony run` until the command of its only node speaks. The interpreter
alone and the import of the Python API are measured beside them.
Size: median of 7 subprocesses, one after the other; the first of each is not counted.
Budget: 60 ms, 200 ms, 600 ms.

Run: python benchmarks/startup.py; prints one JSON line.
"""

import os
import shlex
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from measuring import Figure, line, seconds

RUN_LIMIT_S = 60
ENVIRONMENT = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""An installed Symphony is compiled once; what is measured shall not be the compiler."""


def process_ms(arguments: list[str], times: int) -> float:
    """Median milliseconds of `python *arguments`, from its start to its end."""
    command = [sys.executable, *arguments]
    return _median_ms(
        lambda: seconds(
            lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
        ),
        times,
    )


def first_node_ms(times: int) -> float:
    """Median milliseconds from starting `symphony run` until its only node's command has begun."""
    return _median_ms(_first_node_s, times)


def _median_ms(measure: Callable[[], float], times: int) -> float:
    measure()  # files into the page cache, modules compiled
    return statistics.median(measure() for _ in range(times)) * 1000


def _first_node_s() -> float:
    """Seconds until the command writes to a pipe. Raises RuntimeError if it ends without doing so."""
    with tempfile.TemporaryDirectory() as folder:
        pipe, file = Path(folder) / "pipe", Path(folder) / "workflow.yaml"
        os.mkfifo(pipe)
        say = f"echo begun > {shlex.quote(str(pipe))}"
        file.write_text(f"symphony: 1\nname: one\nnodes:\n  one:\n    command: {say}\n", encoding="utf-8")
        # Opened for both, so that neither side waits for the other to open it.
        reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        try:
            started = perf_counter()
            process = subprocess.Popen(
                [sys.executable, "-m", "symphony", "run", str(file)],
                env={**ENVIRONMENT, "SYMPHONY_HOME": str(Path(folder) / "home")},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            took = _said(reader, process, started)
            process.wait(RUN_LIMIT_S)
            return took
        finally:
            os.close(reader)


def _said(reader: int, process: "subprocess.Popen[bytes]", started: float) -> float:
    import select

    while process.poll() is None and perf_counter() - started < RUN_LIMIT_S:
        if select.select([reader], [], [], 1)[0]:
            return perf_counter() - started
    process.kill()
    raise RuntimeError("the command of the workflow did not begin")


def figures(times: int) -> list[Figure]:
    """Every figure."""
    return [
        Figure("import symphony", process_ms(["-c", "import symphony"], times), "ms", 60),
        Figure("symphony --help", process_ms(["-m", "symphony", "--help"], times), "ms", 200),
        Figure("symphony run, first node begins", first_node_ms(times), "ms", 600),
        Figure("the interpreter alone", process_ms(["-c", "pass"], times), "ms"),
        Figure("from symphony.app import Symphony", process_ms(["-c", "import symphony.app"], times), "ms"),
    ]


if __name__ == "__main__":
    print(line("startup", "median of 7 processes", figures(7)))
