"""How does the time of one thing grow when there is twice and four times as much of it?

Question: milliseconds of CPU at n, 2n and 4n, and 4n over n: about 4 where the time grows with the
size, 16 where it grows with its square.
Size: each curve's own; median of 5.
Budget: 4n over n at most 6: caches of the processor and noise take their part.

A curve is one function, decorated with `curve`: it gets the size and gives what is timed. Run:
python benchmarks/growth.py [WORD ...]; prints one JSON line. Words choose curves by their names.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import graphs
from measuring import Figure, line

from symphony.app import Symphony
from symphony.app.preparing import prepared_workflow
from symphony.ports.runs import RunResult
from symphony.sdk import operator
from symphony.workflow import dumps, loads
from symphony.workflow.documents import format_named
from symphony.workflow.files import Resolver, read_bytes
from symphony.workflow.validation import check

RATIO_MAX = 6.0
Timed = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing whose growth is measured; `make` gives what is timed at a size."""

    what: str
    size: int
    make: Callable[[int], Timed]


CURVES: list[Curve] = []


def curve(what: str, size: int) -> Callable[[Callable[[int], Timed]], Callable[[int], Timed]]:
    """Have the function measured at `size`, twice and four times that."""

    def kept(make: Callable[[int], Timed]) -> Callable[[int], Timed]:
        CURVES.append(Curve(what, size, make))
        return make

    return kept


def cpu_ms(timed: Timed, times: int = 5) -> float:
    """Median milliseconds of CPU, of the whole process."""
    took = []
    for _ in range(times):
        began = time.process_time()
        kept = timed()
        took.append(time.process_time() - began)
        del kept
    return statistics.median(took) * 1000


def figures(words: list[str]) -> list[Figure]:
    """Every curve that has one of the words in its name; all without words."""
    out = []
    for one in CURVES:
        if words and not any(word in one.what for word in words):
            continue
        took = [cpu_ms(one.make(one.size * times)) for times in (1, 2, 4)]
        out += [
            Figure(f"{one.what}, {one.size * times:,}", ms, "ms")
            for times, ms in zip((1, 2, 4), took, strict=True)
        ]
        out.append(Figure(f"{one.what}, 4n over n", took[2] / took[0], "x", RATIO_MAX))
    return out


# Workflow files.


@curve("read JSON, nodes with two references", 1_000)
def read_json(nodes: int) -> Timed:
    """A document without derived edges, as people write it and journals keep it."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "json", derived=False)
    return lambda: loads(body, "json")


@curve("write JSON with derived edges, nodes with two references", 1_000)
def write_json(nodes: int) -> Timed:
    """A document that other programs read."""
    workflow = loads(graphs.spread(nodes, 2 * nodes), "json")
    return lambda: dumps(workflow, "json")


@curve("read YAML, nodes with two references", 500)
def read_yaml(nodes: int) -> Timed:
    """A document as people write it."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "yaml")
    return lambda: loads(body, "yaml")


@curve("locate a problem in every tenth node of JSON", 1_000)
def locate(nodes: int) -> Timed:
    """Line and column of many places, asked from the last to the first."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "json", derived=False)
    places = [f"nodes.n{i}.inputs.value" for i in range(nodes - 1, 0, -10)]

    def timed() -> object:
        reading = read_bytes(body, format_named("json"))
        return [reading.locate(place) for place in places]

    return timed


def made_ready(document: str) -> Timed:
    """Check, compile and plan a workflow that has been read."""
    workflow, symphony = loads(document, "json"), Symphony.open(memory=True)
    resolver = Resolver(Path("here.json"))

    def timed() -> object:
        found = check(workflow, symphony.catalog, resolve=resolver)
        return prepared_workflow(found, "here.json", resolver, symphony.catalog, symphony.operators)

    return timed


@curve("make a workflow ready, list references", 1_250)
def ready_references(nodes: int) -> Timed:
    """Nodes with five references each."""
    return made_ready(graphs.spread(nodes, 5 * (nodes - 3)))


@curve("make a workflow ready, control edges", 1_250)
def ready_control(nodes: int) -> Timed:
    """Nodes that wait for five others each."""
    return made_ready(graphs.control(nodes, 5 * (nodes - 3)))


@curve("make a workflow ready, conditions", 1_250)
def ready_conditions(nodes: int) -> Timed:
    """Nodes with a condition of their own; what the CEL library found is remembered."""
    return made_ready(graphs.conditions(nodes))


# Runs.


@operator("growth.count", version="1.0.0", pure=True)
async def count(numbers: list[int]) -> int:
    """How many numbers there are."""
    return len(numbers)


def elements(size: int, name: str, inputs: Mapping[str, str]) -> Timed:
    """A run in memory of a fan-out over a list of numbers, from the text of its workflow to its result."""
    nodes = {
        "r": {"operator": "debug.value", "inputs": {"value": [*range(size)]}},
        "each": {"operator": name, "for_each": "r.result", "inputs": inputs},
    }
    document = json.dumps({"name": "growth", "nodes": nodes})

    async def ran() -> RunResult:
        async with Symphony.open(memory=True, operators=[count]) as symphony:
            result = await (await symphony.start(loads(document, "json"))).result()
            if result.status != "succeeded":
                raise RuntimeError(f"the benchmark's own run {result.status}: {result.error}")
            return result

    return lambda: asyncio.run(ran())


@curve("run elements that pick their own from a list", 1_000)
def picking(size: int) -> Timed:
    """Each element reads one of a list by its number."""
    return elements(size, "debug.value", {"value": "${{ r.result[index] }}"})


@curve("run elements that are given a whole list", 1_000)
def sharing(size: int) -> Timed:
    """A list in a port with a type, the same for all elements."""
    return elements(size, "growth.count", {"numbers": "${{ r.result }}"})


if __name__ == "__main__":
    print(line("growth", "n, 2n and 4n of each", figures(sys.argv[1:])))
