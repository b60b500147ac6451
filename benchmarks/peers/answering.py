"""A child process that runs graphs when told to: a JSON line in, a JSON line out. Standard library only.

The engine under test may print: what it writes to standard output goes to standard error.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Graph:
    """`nodes` in layers of `width`: 1 is a chain, `nodes` is a wide graph. See `graphs.before`."""

    nodes: int
    width: int

    @property
    def last(self) -> list[int]:
        """What the last layer gives: each node passes on a value, the first layer its own number."""
        return list(range(self.width))


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until the run could begin, and of the run; `gave` are the last layer's values."""

    prepare_s: float
    run_s: float
    gave: list[int]


Run: TypeAlias = Callable[[Graph, Path], Took]
"""Runs a graph again; it keeps its data in the empty folder."""


def answer(runs: dict[str, Run]) -> None:
    """Serve until standard input ends. Raises ValueError if a run gave wrong values."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        graph = Graph(asked["nodes"], asked["width"])
        took = runs[asked["run"]](graph, Path(asked["folder"]))
        if sorted(took.gave) != graph.last:
            raise ValueError(f"{asked['run']} gave {took.gave[:5]}… for {graph}")
        print(json.dumps({"prepare_s": took.prepare_s, "run_s": took.run_s}), file=out, flush=True)
