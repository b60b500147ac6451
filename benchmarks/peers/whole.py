"""A whole process that runs one graph of `written`, whatever the engine. Standard library only.

    python whole_ENGINE.py GRAPH FOLDER RUN

`GRAPH` is what `Work.save` wrote, `FOLDER` is empty and takes what the engine keeps, `RUN` is one of
the engine's ways to run it. Prints a JSON line: seconds to prepare and to run, and the last value.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import written


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds until the run could begin, and of the run; `gave` is the last node's value."""

    prepare_s: float
    run_s: float
    gave: object


Way: TypeAlias = Callable[[written.Work, Path], Took]


def main(ways: Mapping[str, Way]) -> None:
    """Run what the command line asks for; what the engine prints goes to standard error."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    graph, folder, way = sys.argv[1:]
    took = ways[way](written.load(Path(graph)), Path(folder))
    print(json.dumps({"prepare_s": took.prepare_s, "run_s": took.run_s, "gave": took.gave}), file=out)
    out.flush()


def worked(work: written.Work, number: int, inputs: list[object]) -> object:
    """What node `number` does: the command is really run."""
    if work.step == "command":
        command = f"printf %s {number}"
        return subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True).stdout
    return written.done(work, number, inputs)


def layer_of(work: written.Work, number: int) -> int:
    """The layer that a node is in."""
    return number // work.width
