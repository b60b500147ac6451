"""Symphony, on disk and in memory, and the floors that a durable engine stands on, on the same disk."""

import asyncio
import contextlib
import os
import sqlite3
from pathlib import Path
from time import perf_counter

import engine
from answering import Graph, Run, Took, answer
from graphs import layered


def _ran(graph: Graph, home: Path | None) -> Took:
    run = asyncio.run(engine.run_once(layered(graph.nodes, graph.width), home))
    last = range(graph.nodes - graph.width, graph.nodes)
    gave = [i % graph.width for i in last if run.nodes[f"n{i}"].status == "succeeded"]
    return Took(run.preparation_s, run.run_s, gave)


def durable(graph: Graph, folder: Path) -> Took:
    """On a new home."""
    return _ran(graph, folder / "home")


def memory(graph: Graph, _folder: Path) -> Took:
    """Nothing kept."""
    return _ran(graph, None)


def rows(synchronous: str, rows_a_commit: int) -> Run:
    """A bare SQLite table in WAL mode: a row of 32 bytes a node, committed every `rows_a_commit`."""

    def run(graph: Graph, folder: Path) -> Took:
        started = perf_counter()
        with contextlib.closing(sqlite3.connect(folder / "rows.db", isolation_level=None)) as db:
            db.executescript(
                f"PRAGMA journal_mode=WAL; PRAGMA synchronous={synchronous};"
                "CREATE TABLE row (node INTEGER, body BLOB)"
            )
            ready = perf_counter()
            for first in range(0, graph.nodes, rows_a_commit):
                db.execute("BEGIN")
                for node in range(first, min(graph.nodes, first + rows_a_commit)):
                    db.execute("INSERT INTO row VALUES (?, ?)", (node, b"x" * 32))
                db.execute("COMMIT")
            ended = perf_counter()
        return Took(ready - started, ended - ready, graph.last)

    return run


def synced(graph: Graph, folder: Path) -> Took:
    """A plain file: 32 bytes a node, each synced."""
    started = perf_counter()
    file = os.open(folder / "file", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    ready = perf_counter()
    for _ in range(graph.nodes):
        os.write(file, b"x" * 32)
        os.fdatasync(file)
    ended = perf_counter()
    os.close(file)
    return Took(ready - started, ended - ready, graph.last)


if __name__ == "__main__":
    answer(
        {
            "durable": durable,
            "memory": memory,
            "row a commit": rows("FULL", 1),
            "row a commit, unsynced": rows("NORMAL", 1),
            "rows by 1,024": rows("FULL", 1024),
            "fsync": synced,
        }
    )
