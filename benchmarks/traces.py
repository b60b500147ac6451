"""Traces for `pool_trace.py`: what runs asked of which models, and when; made up, or recorded.

A run is a graph: a node begins when those before it have ended. A use is a time during which a node has
calls of one model under way; a fan-out of a thousand calls is one use, the rounds of a loop are several.

The file of a trace has one JSON object a line: {"models": {MODEL: BYTES}}, then for each run, in the order
in which they begin, {"run": NAME, "begins_s": S, "nodes": [{"after": [NUMBER, ...], "took_s": S, "uses":
[[MODEL, BEGINS_S, TOOK_S], ...]}, ...]}. Nodes are numbered from 0, each after those before it; a use
begins so many seconds after its node.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TypeVar

GB = 1_000_000_000
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Use:
    """Calls of one model; `begins_s` is seconds from the beginning of the node."""

    model: str
    begins_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class TracedNode:
    """A node of a run; `after` has the numbers of the nodes that it waits for."""

    after: Sequence[int]
    took_s: float
    uses: Sequence[Use] = ()


@dataclass(frozen=True, slots=True)
class TracedRun:
    """One run."""

    name: str
    begins_s: float
    nodes: Sequence[TracedNode]


@dataclass(frozen=True, slots=True)
class Trace:
    """Runs over a set of models, given with their bytes."""

    models: Mapping[str, int]
    runs: Sequence[TracedRun]

    @property
    def uses(self) -> int:
        """How many there are."""
        return sum(len(node.uses) for run in self.runs for node in run.nodes)


def read(file: Path) -> Trace:
    """The trace in a file."""
    first, *others = [json.loads(text) for text in file.read_text("utf-8").splitlines() if text.strip()]
    runs = [
        TracedRun(
            one["run"],
            one["begins_s"],
            [
                TracedNode(node["after"], node["took_s"], [Use(*use) for use in node["uses"]])
                for node in one["nodes"]
            ],
        )
        for one in others
    ]
    return Trace(first["models"], runs)


def lines(trace: Trace) -> Iterator[str]:
    """The lines of its file."""
    yield json.dumps({"models": trace.models})
    for run in trace.runs:
        nodes = [
            {
                "after": list(node.after),
                "took_s": round(node.took_s, 3),
                "uses": [[use.model, round(use.begins_s, 3), round(use.took_s, 3)] for use in node.uses],
            }
            for node in run.nodes
        ]
        yield json.dumps({"run": run.name, "begins_s": round(run.begins_s, 3), "nodes": nodes})


@dataclass(frozen=True, slots=True)
class Scenario:
    """How runs come, and whether operators stand before the first models."""

    name: str
    every_s: float = 60.0
    operators_first: bool = True


def synthetic(seed: int, scenario: Scenario, steps: int) -> Trace:
    """A trace of workflows as the docstring of `pool_trace.py` describes it."""
    rng = Random(seed)
    models = {
        f"model-{number}": int(GB * min(8.0, max(0.2, rng.lognormvariate(math.log(1.5), 0.8))))
        for number in range(12)
    }
    workflows = [_workflow(rng, list(models), scenario) for _ in range(25)]
    runs: list[TracedRun] = []
    now_s, made = 0.0, 0
    while made < steps:
        now_s += rng.expovariate(1 / scenario.every_s)
        nodes: list[TracedNode] = []
        before: list[int] = []
        for stage in _ranked(rng, workflows):
            first = len(nodes)
            for model in stage or [""]:
                took_s = rng.lognormvariate(math.log(6), 0.8)
                nodes.append(TracedNode(before, took_s, [Use(model, 0.0, took_s)] if model else []))
            before = list(range(first, len(nodes)))
            made += len(stage)
        runs.append(TracedRun(f"run-{len(runs)}", now_s, nodes))
    return Trace(models, runs)


def _workflow(rng: Random, models: list[str], scenario: Scenario) -> list[list[str]]:
    """The models of each stage; none for a stage that is an operator."""
    own: list[str] = []
    while len(own) < 2 + rng.randrange(4):
        if (model := _ranked(rng, models)) not in own:
            own.append(model)
    stages: list[list[str]] = []
    for number in range(3 + rng.randrange(6)):
        if scenario.operators_first if number == 0 else rng.random() < 1 / 3:
            stages.append([])
        stages.append(rng.sample(own, 2 if rng.random() < 0.25 else 1))
    return stages


def _ranked(rng: Random, ones: Sequence[T]) -> T:
    """One of them, the first twice as likely as the second, and so on: weights 1/rank."""
    weights = list(accumulate(1 / rank for rank in range(1, len(ones) + 1)))
    return rng.choices(ones, cum_weights=weights)[0]
