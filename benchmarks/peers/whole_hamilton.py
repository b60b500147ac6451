"""Hamilton as a whole process: one function a node, in memory, in one thread. Keeps nothing."""

import sys
from pathlib import Path
from time import perf_counter

from hamilton import base, driver
from hamilton.ad_hoc_utils import create_temporary_module
from hamilton.execution.executors import SynchronousLocalTaskExecutor
from hamilton.htypes import Collect, Parallelizable
from whole import Took, main, worked
from written import Work, fanned

sys.setrecursionlimit(100_000)


def numbers(count: int) -> Parallelizable[int]:
    """What is fanned out."""
    yield from range(count)


def square(numbers: int) -> int:
    """An element."""
    return fanned(numbers)


def total(square: Collect[int]) -> int:
    """What the elements give together."""
    return sum(square)


def memory(work: Work, _folder: Path) -> Took:
    """Everything in memory."""
    return _fan_out(work) if work.elements else _graph(work)


def _graph(work: Work) -> Took:
    source = []
    for number, reads in enumerate(work.reads):
        names = [f"n{read}" for read in reads]
        typed = ", ".join(f"{name}: object" for name in names)
        source.append(
            f"def n{number}({typed}) -> object:\n    return worked(work, {number}, [{', '.join(names)}])\n"
        )
    made: dict[str, object] = {"__name__": "graph", "worked": worked, "work": work}
    exec("".join(source), made)  # functions of given names are what the engine takes
    functions = [made[f"n{number}"] for number in range(len(work.reads))]
    started = perf_counter()
    module = create_temporary_module(*functions, module_name="graph")
    engine = driver.Builder().with_modules(module).with_adapters(base.DictResult()).build()
    ready = perf_counter()
    gave = engine.execute([f"n{number}" for number in range(len(work.reads))])
    ended = perf_counter()
    return Took(ready - started, ended - ready, list(gave.values())[-1])


def _fan_out(work: Work) -> Took:
    started = perf_counter()
    engine = (
        driver.Builder()
        .enable_dynamic_execution(allow_experimental_mode=True)
        .with_modules(sys.modules[__name__])
        .with_adapters(base.DictResult())
        .with_local_executor(SynchronousLocalTaskExecutor())
        .with_remote_executor(SynchronousLocalTaskExecutor())
        .build()
    )
    ready = perf_counter()
    gave = engine.execute(["total"], inputs={"count": work.elements})
    ended = perf_counter()
    return Took(ready - started, ended - ready, gave["total"])


if __name__ == "__main__":
    main({"memory": memory})
