"""What does a node with an effect cost, beside the sync of the disk that it cannot do without?

Question: microseconds of wall time a node, from `start` returning to the result, of nodes that
change the outside world (here: nothing), each of whose starts is durable before it begins and
whose ends are durable before anybody is told; in a chain, where every node waits for the disk,
and wide, where nodes share commits.
Size: a chain of 1,000; 1,000 that depend on nothing, 64 at once; median of 5.
Budget: a chain at most 2 syncs of the disk a node (it needs one commit a node: the end of one is
recorded with the start of the next); wide at most half a sync a node.
Peer, right after each run and on the same disk: 32 bytes appended to a file and synced, one by one;
and one row of SQLite (WAL, synchronous=FULL), committed one by one.

Run: python benchmarks/effects.py; prints one JSON line.
"""

import asyncio
import os
import statistics
import tempfile
from pathlib import Path

import graphs
from engine import peer_us, run_once
from measuring import Figure, line, seconds

from symphony import operator

SYNCS = 300


@operator("bench.effect", version="1.0.0")
async def effect(value: int = 0) -> int:
    """Change nothing, though the engine cannot know."""
    return value


def sync_us(folder: Path, syncs: int) -> float:
    """Microseconds to append 32 bytes to a file and sync it."""
    file = os.open(folder / "synced", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:

        def append() -> None:
            for _ in range(syncs):
                os.write(file, b"x" * 32)
                os.fdatasync(file)

        return seconds(append) / syncs * 1e6
    finally:
        os.close(file)


def shape(name: str, nodes: int, width: int, times: int, syncs_max: float) -> list[Figure]:
    """The figures of one shape; budgets are in syncs of the same run."""
    document = graphs.layered(nodes, width, "bench.effect")
    node, sync, row = [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            run = asyncio.run(run_once(document, Path(folder) / "home", [effect]))
            node.append(run.run_s / nodes * 1e6)
            sync.append(sync_us(Path(folder), SYNCS))
            row.append(peer_us(Path(folder), SYNCS, 1))
    title = f"{name} of {nodes:,} effects"
    floor = statistics.median(sync)
    return [
        Figure(
            f"{title}: a node; peer syncs a file",
            statistics.median(node),
            "µs",
            syncs_max * floor,
            peer=floor,
        ),
        Figure(
            f"{title}: a node; peer commits a row", statistics.median(node), "µs", peer=statistics.median(row)
        ),
    ]


def figures(nodes: int, times: int) -> list[Figure]:
    """Every figure."""
    return [*shape("chain", nodes, 1, times, 2.0), *shape("wide", nodes, nodes, times, 0.5)]


if __name__ == "__main__":
    print(line("effects", "chain and wide graph of 1,000 nodes, median of 5", figures(1_000, 5)))
