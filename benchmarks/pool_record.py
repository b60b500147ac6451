"""Makes a trace for `pool_trace.py` of the runs in a home: which model each node asked, when, for how long.

It reads the journals and changes nothing. A use lasts from the first call of a model to the last one that
overlaps it; what a call waited for its model is part of it, so record where all models stay loaded: with
`symphony pit serve --keep 1h --warm MODEL ...` running. Runs that have not ended are left out, and results
of the cache asked no model. Hosted models count as if they ran here, if --bytes gives them a size.

Run: python benchmarks/pool_record.py [--bytes MODEL=BYTES ...] HOME > FILE
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from traces import Trace, TracedNode, TracedRun, Use, lines

from symphony import Symphony
from symphony.app.local_models import local_specs
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.outline import Outline, kind_of
from symphony.pit.tracker.insight.reader import Insight
from symphony.ports.runs import ENDED


def recorded(symphony: Symphony, sizes: dict[str, int]) -> Trace:
    """The runs of a home, the first one at 0 s, and the models that they asked. `sizes`: bytes of models."""
    insight, found = Insight(symphony.runs), list[tuple[float, str, History, Outline]]()
    for run_id in symphony.runs.ids():
        if symphony.runs.status(run_id) in ENDED:
            history = insight.history(run_id)
            begins = [step.started_at for step in history.steps.values() if step.started_at is not None]
            if begins:
                found.append((min(begins), run_id, history, insight.outline(run_id)))
    found.sort(key=lambda one: one[0])
    runs = [
        TracedRun(f"run-{number}", begins_s - found[0][0], list(_nodes(history, outline, sizes)))
        for number, (begins_s, _, history, outline) in enumerate(found)
    ]
    runs = [run for run in runs if any(node.uses for node in run.nodes)]
    asked = {use.model for run in runs for node in run.nodes for use in node.uses}
    return Trace({model: sizes[model] for model in sorted(asked)}, runs)


def _nodes(history: History, outline: Outline, sizes: dict[str, int]) -> Iterator[TracedNode]:
    """The workflow's own nodes that ran, each after those before it."""
    numbers: dict[str, int] = {}
    left = {
        name: step
        for name, step in history.steps.items()
        if name == folded(name) and "." not in name and step.attempts and step.finished_at is not None
    }
    while left:
        for name, step in list(left.items()):
            before = [one for one in outline.before(name) if one in left or one in numbers]
            if all(one in numbers for one in before):
                del left[name]
                began_s, ended_s = step.attempts[0].started_at, step.finished_at or 0.0
                uses = tuple(_uses(name, began_s, history, outline, sizes))
                numbers[name] = len(numbers)
                yield TracedNode([numbers[one] for one in before], max(0.0, ended_s - began_s), uses)


def _uses(
    node: str, began_s: float, history: History, outline: Outline, sizes: dict[str, int]
) -> Iterator[Use]:
    """What the node, or the graph inside it, asked."""
    calls: dict[str, list[tuple[float, float]]] = {}
    for name, step in history.steps.items():
        kind, model = kind_of(outline.node(name))
        asks = (
            kind == "instrument" and model in sizes and step.count is None
        )  # fan-outs as a whole ask nothing
        if asks and folded(name).partition(".")[0] == node:
            calls.setdefault(model, []).extend(
                (one.started_at, one.finished_at) for one in step.attempts if one.finished_at is not None
            )
    uses = [
        Use(model, first_s - began_s, last_s - first_s)
        for model, spans in calls.items()
        for first_s, last_s in _united(spans)
    ]
    yield from sorted(uses, key=lambda use: use.begins_s)


def _united(spans: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    first_s = last_s = None
    for begins_s, ends_s in sorted(spans):
        if last_s is None or first_s is None or begins_s > last_s:
            if first_s is not None and last_s is not None:
                yield first_s, last_s
            first_s, last_s = begins_s, ends_s
        else:
            last_s = max(last_s, ends_s)
    if first_s is not None and last_s is not None:
        yield first_s, last_s


def main() -> None:
    """Print the trace."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("home", type=Path)
    arguments.add_argument("--bytes", action="append", default=[], metavar="MODEL=BYTES")
    given = arguments.parse_args()
    symphony = Symphony.open(given.home)
    sizes = {name: one.spec.size_bytes for name, one in local_specs(symphony.config, given.home)}
    for word in given.bytes:
        model, _, size = word.partition("=")
        sizes[model] = int(size)
    for text in lines(recorded(symphony, sizes)):
        sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
