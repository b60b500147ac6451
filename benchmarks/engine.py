"""What does the engine add to a node that does nothing, its durable record included?

Question: microseconds of wall time per node, from `start` returning to the result, of trivial
`debug.value` nodes through `Symphony.start`, in this process, on a new home on disk; separately
the preparation in `start` (validate, compile, create the journal) and the bytes of a journal.
Size: chain of 1,000; 1,000 independent; layers of 100 with 1,000 and with 10,000 in all; median of 5.
Then work as people write it (see `written`): 10,000 nodes in layers, each with a list of five
references, by `async def` and `def` operators of a user's file; a fan-out over 100,000 numbers.
Budget: 15 µs a node for the layered 10,000 (design: 1,000 µs, for every shape); the journal of
the chain under 1,000,000 bytes; 12 µs a node with five references; an element of a fan-out 25 µs
without the cache, 40 µs into it, 20 µs out of it.
Peer, right after each run and on the same disk: SQLite (WAL, synchronous=FULL), one row of 32
bytes a node. One commit a row is 200 rows; one commit a batch is 1,024 rows.

Run: python benchmarks/engine.py; prints one JSON line.
"""

import asyncio
import contextlib
import sqlite3
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import graphs
import written
from measuring import Figure, line, seconds

from symphony.app import Symphony
from symphony.ports.runs import NodeResult
from symphony.sdk import Operator, load_operators
from symphony.workflow import loads

ROWS_SINGLE, ROWS_BATCH = 200, 1024
NODE_BUDGET_US, NODE_DESIGN_US = 15.0, 1000.0
JOURNAL_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Run:
    """One run: seconds of `start`, seconds until its result, its nodes, bytes of its journal."""

    preparation_s: float
    run_s: float
    nodes: Mapping[str, NodeResult]
    journal_bytes: int


async def run_once(
    document: str, home: Path | None, operators: Sequence[Operator] = (), *, cache: bool = True
) -> Run:
    """Run the document on `home`, or in memory. Raises RuntimeError if it does not succeed."""
    workflow = loads(document, "json")
    async with Symphony.open(home, operators=operators, memory=home is None) as symphony:
        _ = symphony.catalog  # the kit is loaded once a process, not once a run
        started = perf_counter()
        handle = await symphony.start(workflow, cache=cache)
        running = perf_counter()
        result = await handle.result()
        ended = perf_counter()
        if result.status != "succeeded":
            raise RuntimeError(f"the benchmark's own run {result.status}: {result.error}")
        size = 0
        if home is not None:
            journal = symphony.runs.journal_path(handle.run_id)
            size = sum(path.stat().st_size for path in journal.parent.glob(f"{journal.name}*"))
    return Run(running - started, ended - running, result.nodes, size)


@dataclass(frozen=True, slots=True)
class Way:
    """How work is run: the nodes' own `cache` key, the run's `cache`, and whether a first run fills it."""

    budget_us: float | None = None
    is_async: bool = False
    key: str = "auto"
    cache: bool = True
    again: bool = False


NODES = {
    "async def": Way(12.0, is_async=True),
    "def": Way(),
    "def, no cache": Way(cache=False),
    "def, all cached": Way(key="on", again=True),
}
ELEMENTS = {
    "def": Way(),
    "def, cache: off": Way(25.0, key="off"),
    "def, cache: on": Way(40.0, key="on"),
    "def, all cached": Way(20.0, key="on", again=True),
}


def peer_us(folder: Path, rows: int, rows_a_commit: int) -> float:
    """Microseconds per row of a bare SQLite table in `folder`, committed every `rows_a_commit`."""
    with contextlib.closing(sqlite3.connect(folder / f"peer-{rows_a_commit}.db", isolation_level=None)) as db:
        db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE row (body BLOB)")

        def insert() -> None:
            for _ in range(rows // rows_a_commit):
                db.execute("BEGIN")
                db.executemany("INSERT INTO row VALUES (?)", [(b"x" * 32,)] * rows_a_commit)
                db.execute("COMMIT")

        return seconds(insert) / rows * 1e6


def shape(name: str, nodes: int, document: str, times: int, budget: float | None) -> list[Figure]:
    """The figures of one shape; each run is followed by its peers."""
    runs, single, batch = [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            runs.append(asyncio.run(run_once(document, Path(folder) / "home")))
            single.append(peer_us(Path(folder), ROWS_SINGLE, 1))
            batch.append(peer_us(Path(folder), ROWS_BATCH, ROWS_BATCH))
    node_us = statistics.median(run.run_s for run in runs) / nodes * 1e6
    preparation_us = statistics.median(run.preparation_s for run in runs) / nodes * 1e6
    size = max(run.journal_bytes for run in runs)
    title = f"{name} {nodes:,}"
    return [
        Figure(
            f"{title}: a node; peer commits each row",
            node_us,
            "µs",
            budget or NODE_DESIGN_US,
            NODE_DESIGN_US,
            statistics.median(single),
        ),
        Figure(f"{title}: a node; peer commits batches", node_us, "µs", peer=statistics.median(batch)),
        Figure(f"{title}: preparation a node", preparation_us, "µs"),
        Figure(f"{title}: journal", size, "bytes", JOURNAL_BYTES if name == "chain" else None),
    ]


def as_written(name: str, work: written.Work, times: int, ways: Mapping[str, Way]) -> list[Figure]:
    """A figure for each way to do the work, by the unit; the ways take turns, each in a home of its own."""
    took: dict[str, list[float]] = {way: [] for way in ways}
    single = []
    for _ in range(times):
        for title, way in ways.items():
            with tempfile.TemporaryDirectory() as folder:
                took[title].append(_ran(work, way, Path(folder)) / work.units * 1e6)
        with tempfile.TemporaryDirectory() as folder:
            single.append(peer_us(Path(folder), ROWS_SINGLE, 1))
    floor = statistics.median(single)
    return [
        Figure(
            f"{name}: {title}",
            statistics.median(took[title]),
            "µs",
            way.budget_us,
            peer=floor,
        )
        for title, way in ways.items()
    ]


def _ran(work: written.Work, way: Way, folder: Path) -> float:
    """Seconds from `start` returning to the result."""
    (folder / "operators.py").write_text(written.OPERATORS, encoding="utf-8")
    operators = load_operators(folder / "operators.py")
    document = written.document(work, is_async=way.is_async, cache=way.key)
    for _ in range(2 if way.again else 1):
        run = asyncio.run(run_once(document, folder / "home", operators, cache=way.cache))
    return run.run_s


def figures(nodes: int, width: int, times: int) -> list[Figure]:
    """Every figure; the last shapes have ten times as many nodes, the fan-out a hundred times."""
    wide, deep = width + 1, 10 * nodes // (width + 1)
    return [
        *shape("chain", nodes, graphs.chain(nodes), times, None),
        *shape("wide", nodes, graphs.wide(nodes), times, None),
        *shape("layered", nodes, graphs.layered(nodes, width), times, None),
        *shape("layered", 10 * nodes, graphs.layered(10 * nodes, width), times, NODE_BUDGET_US),
        *as_written(
            f"{10 * nodes:,} nodes, five references each", written.layers(deep, wide, 5), times, NODES
        ),
        *as_written(f"{100 * nodes:,} elements", written.fan_out(100 * nodes), times, ELEMENTS),
    ]


if __name__ == "__main__":
    size = "1,000 nodes (chain, wide, layers of 100), 10,000 (layers), 100,000 elements, median of 5"
    print(line("engine", size, figures(1_000, 100, 5)))
