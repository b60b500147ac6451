"""DBOS with its system database in SQLite, as it comes: one step a node, one committed row a step.

The steps of a layer are awaited together; a chain is a sync workflow, which is the faster way.
The database is one file for the whole process, made before the first run.
"""

import asyncio
import tempfile
from pathlib import Path
from time import perf_counter

from answering import Graph, Took, answer
from dbos import DBOS


@DBOS.step()
async def passed_on(value: int) -> int:
    """A node."""
    return value


@DBOS.step()
def passed_on_at_once(value: int) -> int:
    """A node of a chain."""
    return value


@DBOS.workflow()
def chain(nodes: int) -> list[int]:
    """One node after the other."""
    value = 0
    for _ in range(nodes):
        value = passed_on_at_once(value)
    return [value]


@DBOS.workflow()
async def layers(nodes: int, width: int) -> list[int]:
    """All nodes, layer by layer."""
    values = list(range(width))
    for _ in range(nodes // width):
        values = list(await asyncio.gather(*map(passed_on, values)))
    return values


def run(graph: Graph, _folder: Path) -> Took:
    """Every step recorded before its result is used."""
    started = perf_counter()
    gave = chain(graph.nodes) if graph.width == 1 else asyncio.run(layers(graph.nodes, graph.width))
    return Took(0.0, perf_counter() - started, gave)


if __name__ == "__main__":
    folder = tempfile.TemporaryDirectory()
    DBOS(
        config={
            "name": "benchmark",
            "system_database_url": f"sqlite:///{Path(folder.name) / 'dbos.db'}",
            "log_level": "ERROR",
            "enable_otlp": False,
        }
    )
    DBOS.launch()
    try:
        answer({"durable": run})
    finally:
        DBOS.destroy()
        folder.cleanup()
