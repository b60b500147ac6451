"""What does a node cost here, and what elsewhere? The same graphs, run by each engine in turn.

Question: microseconds of wall time per trivial node, from ready to the last result, and what is
kept of it. Every engine lives in a process of its own that is warm before it is asked; they are
asked one after the other, never at once, in rounds.
Size: chain of 1,000; 1,000 independent; 10,000 in layers of 100 (1,000 for engines that take more
than a millisecond a node). Medians of 5 rounds; a ratio is the median of the rounds' own ratios,
so that a slow phase of the machine does not tilt it. After LIMIT_S no new round begins.
Budget: in memory no slower than Hamilton; at most half of a bare SQLite row committed for each node.

Run: make bench-peers. Needs no network. Writes its section of benchmarks/RESULTS.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # beside `python -P`

import results  # noqa: E402

ROUNDS = 5
LIMIT_S = 360
FLOOR_ROWS = 500  # what each floor writes; a floor does not depend on the graph
QUIET = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}
"""No engine may call home. Hamilton has no telemetry any more; DBOS has none unless it is given a key."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A graph; `small` is its size for slow engines."""

    name: str
    nodes: int
    width: int
    small: int


@dataclass(frozen=True, slots=True)
class Engine:
    """A way to run a graph: which child, which of its runs, what it keeps of a node."""

    name: str
    child: str
    run: str
    keeps: str
    slow: bool = False


SHAPES = (
    Shape("chain", 1_000, 1, 1_000),
    Shape("wide", 1_000, 1_000, 1_000),
    Shape("layers of 100", 10_000, 100, 1_000),
)
OURS = Engine("Symphony", "symphony", "durable", "every result, in order; durable within 5 ms")
OURS_IN_MEMORY = Engine("Symphony --memory", "symphony", "memory", "nothing")
ENGINES = (
    OURS,
    OURS_IN_MEMORY,
    Engine("Hamilton", "hamilton", "memory", "nothing"),
    Engine("LangGraph, SQLite", "langgraph", "durable", "every result and the state of every step", True),
    Engine("LangGraph, in memory", "langgraph", "memory", "the same, in memory", True),
    Engine("DBOS, SQLite", "dbos", "durable", "every result, durable before it is used", True),
)
FLOORS = (
    Engine("a row in SQLite, committed and synced", "symphony", "row a commit", "a row of 32 bytes"),
    Engine("the same, not synced", "symphony", "row a commit, unsynced", "a row of 32 bytes"),
    Engine("rows in SQLite, 1,024 a commit", "symphony", "rows by 1,024", "a row of 32 bytes"),
    Engine("an append to a file, synced", "symphony", "fsync", "32 bytes"),
)

Times = dict[tuple[str, str], list[tuple[float, float]]]
"""By shape and engine: microseconds a node to prepare and to run, of each round."""


class Child:
    """One engine's process."""

    def __init__(self, name: str, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / f"with_{name}.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **QUIET, "PYTHONPATH": str(HERE.parent)},
        )

    def ask(self, run: str, nodes: int, width: int) -> tuple[float, float]:
        """Microseconds a node to prepare and to run. Raises RuntimeError if the process has died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with tempfile.TemporaryDirectory() as folder:
            asked = {"run": run, "nodes": nodes, "width": width, "folder": folder}
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            said = self._process.stdout.readline()
        if not said:
            raise RuntimeError(f"{self._process.args} ended: its error stands above")
        took = json.loads(said)
        return took["prepare_s"] / nodes * 1e6, took["run_s"] / nodes * 1e6

    def close(self) -> None:
        """End it. Killed if it does not go by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def children(peers_python: str) -> Iterator[Mapping[str, Child]]:
    """A process for each engine, all warm."""
    made: dict[str, Child] = {}
    try:
        for name in dict.fromkeys(one.child for one in ENGINES):
            made[name] = Child(name, sys.executable if name == "symphony" else peers_python)
        for one in ENGINES:
            made[one.child].ask(one.run, 20, 10)
        yield made
    finally:
        for child in made.values():
            child.close()


def measured(asked: Mapping[str, Child], rounds: int, limit_s: float) -> Times:
    """Every engine on every shape, in rounds."""
    ends = monotonic() + limit_s
    times: Times = {}
    for number in range(rounds):
        if number and monotonic() > ends:
            break
        for shape in SHAPES:
            for one in ENGINES:
                nodes = shape.small if one.slow else shape.nodes
                took = asked[one.child].ask(one.run, nodes, min(shape.width, nodes))
                times.setdefault((shape.name, one.name), []).append(took)
        for floor in FLOORS:
            times.setdefault(("", floor.name), []).append(asked[floor.child].ask(floor.run, FLOOR_ROWS, 1))
        print(f"round {number + 1} of {rounds} done", file=sys.stderr, flush=True)
    return times


def ratio(times: Times, one: tuple[str, str], other: tuple[str, str]) -> float:
    """The median of the rounds' ratios of running."""
    pairs = zip(times[one], times[other], strict=True)
    return statistics.median(first[1] / second[1] for first, second in pairs)


def tables(times: Times) -> list[str]:
    """A table for each shape, and one of the floors."""
    out: list[str] = []
    for shape in SHAPES:
        ours = (shape.name, OURS.name)
        out += [
            f"### {shape.name}: {shape.nodes:,} nodes",
            "",
            "| engine | keeps of a node | nodes | prepare, µs a node | run, µs a node | of Symphony |",
            "| --- | --- | ---: | ---: | ---: | ---: |",
        ]
        for one in ENGINES:
            key = (shape.name, one.name)
            nodes = shape.small if one.slow else shape.nodes
            out.append(
                f"| {one.name} | {one.keeps} | {nodes:,} | {_shown(_median(times[key], 0))} |"
                f" {_shown(_median(times[key], 1))} |"
                f" {ratio(times, key, ours):.2f} |"
            )
        out.append("")
    out += [
        "### Floors: what the disk itself costs",
        "",
        f"| floor | µs a node | {' | '.join(f'Symphony, {shape.name}' for shape in SHAPES)} |",
        f"| --- | ---: | {' | '.join('---:' for _ in SHAPES)} |",
    ]
    for floor in FLOORS:
        key = ("", floor.name)
        parts = [f"{ratio(times, (shape.name, OURS.name), key):.2f} of it" for shape in SHAPES]
        out.append(f"| {floor.name} | {_shown(_median(times[key], 1))} | {' | '.join(parts)} |")
    return out


def _median(times: Sequence[tuple[float, float]], which: int) -> float:
    return statistics.median(one[which] for one in times)


def _shown(microseconds: float) -> str:
    return f"{microseconds:,.0f}" if microseconds >= 100 else f"{microseconds:.1f}"


def verdicts(times: Times) -> list[str]:
    """The two budgets, on the largest shape."""
    name = SHAPES[-1].name
    asked = (
        ("in memory, of Hamilton", (name, OURS_IN_MEMORY.name), (name, "Hamilton"), 1.0),
        ("on disk, of a row in SQLite for each node", (name, OURS.name), ("", FLOORS[0].name), 0.5),
    )
    return [
        f"- {name}, {what}: {found:.2f}, budget {most}: {'holds' if found <= most else '**missed**'}"
        for what, one, other, most in asked
        for found in (ratio(times, one, other),)
    ]


def main(peers_python: str) -> int:
    """Measure, print, write."""
    with children(peers_python) as asked:
        times = measured(asked, ROUNDS, LIMIT_S)
    rounds = len(times["", FLOORS[0].name])
    out = [
        "Written by `make bench-peers`. Each engine in a process of its own, warm, asked in turn; each",
        f"node passes on one integer. Medians of {rounds} rounds; ratios are medians of the rounds' ratios.",
        "What an engine prepares once for each process (its database, its imports) is not counted.",
        "",
        *results.machine(),
        *(f"- {name} {version}" for name, version in versions(peers_python)),
        "",
        *verdicts(times),
        "",
        *tables(times),
    ]
    text = "\n".join(out)
    print(text)
    results.write(results.PEERS, text)
    return 0


def versions(peers_python: str) -> list[tuple[str, str]]:
    """Names and versions of the engines."""
    asked = "from importlib.metadata import version as v\nfor n in {}: print(n, v(n))"
    names = ["apache-hamilton", "dbos", "langgraph", "langgraph-checkpoint-sqlite"]
    done = subprocess.run(
        [peers_python, "-c", asked.format(names)], check=True, capture_output=True, text=True
    )
    return [(name, version) for name, version in (one.split() for one in done.stdout.splitlines())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
