"""DBOS as a whole process, with its system database in SQLite: one step a node, one row a step.

The steps of a layer, and the elements of a fan-out, are awaited together.
"""

import asyncio
from pathlib import Path
from time import perf_counter

from dbos import DBOS
from whole import Took, main, worked
from written import Work, fanned

WORK = Work()
AT_ONCE = 8


@DBOS.step()
async def node(number: int, inputs: list[object]) -> object:
    """A node; a command runs in a thread."""
    if WORK.step == "command":
        return await asyncio.to_thread(worked, WORK, number, inputs)
    return worked(WORK, number, inputs)


@DBOS.step()
async def square(number: int) -> int:
    """An element."""
    return fanned(number)


@DBOS.workflow()
async def graph() -> object:
    """All nodes, layer by layer."""
    values: list[object] = []
    for first in range(0, len(WORK.reads), WORK.width):
        layer = enumerate(WORK.reads[first : first + WORK.width], first)
        values += await asyncio.gather(*(node(i, [values[read] for read in reads]) for i, reads in layer))
    return values[-1]


@DBOS.workflow()
async def fan_out() -> int:
    """All elements."""
    return sum(await asyncio.gather(*map(square, range(WORK.elements))))


def durable(work: Work, folder: Path) -> Took:
    """Every step recorded before its result is used."""
    global WORK  # steps take what is recorded, and the graph is none of it
    WORK = work
    started = perf_counter()
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{folder / 'dbos.db'}",
            "log_level": "ERROR",
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    ready = perf_counter()
    gave = asyncio.run(fan_out() if work.elements else graph())
    ended = perf_counter()
    DBOS.destroy()
    return Took(ready - started, ended - ready, gave)


if __name__ == "__main__":
    main({"durable": durable})
