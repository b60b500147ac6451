"""What does it cost to check a large workflow, and to write and read one?

Question: milliseconds of `validate` with all checks; milliseconds to dump and to read, and the size,
by format.
Size: 10,000 nodes with 50,000 bare references, spread evenly and dense in the first nodes (median
of 5, each on a freshly read workflow), with 50,000 control edges, and with a condition for each that
has another number, or another form; 1,000 nodes with 2,000 references (median of 7).
Budget: validation 50 ms (design: 100 ms), of conditions 300 ms: CEL is asked once for a form. Of as
many forms the library alone takes most of the time, and how long is only measured.
Dump and read: a fifth of the design's figures for JSON, pretty JSON and MessagePack; Bincode 4 and
8 ms (a codec in Python; the design's 3 and 4 ms are Rust's). Sizes are the design's. YAML and TOML
are only measured.
Peer: what takes nothing but the same tree: `json` of the standard library for JSON, msgspec for
MessagePack and Bincode, in turn with ours.

Run: python benchmarks/validation.py; prints one JSON line.
"""

import json
import statistics
from collections.abc import Callable
from dataclasses import dataclass

import graphs
import msgspec
from measuring import Figure, line, seconds

from symphony.workflow import Workflow, builtin_catalog, dumps, loads, validate
from symphony.workflow.expressions import evaluation


@dataclass(frozen=True, slots=True)
class Budget:
    """Milliseconds to dump and to read, and kilobytes: ours, and those of the design."""

    ms: tuple[float, float]
    design_ms: tuple[float, float]
    kilobytes: float


BUDGETS = {
    "json": Budget((3.0, 3.6), (15.0, 18.0), 250.0),
    "pretty-json": Budget((5.0, 4.0), (25.0, 20.0), 350.0),
    "msgpack": Budget((1.6, 2.0), (8.0, 10.0), 175.0),
    "bincode": Budget((4.0, 8.0), (3.0, 4.0), 125.0),
    "yaml": None,
    "toml": None,
}


def validation_ms(document: str, times: int) -> float:
    """Median milliseconds to validate the document's workflow. Raises ValueError if it is not sound."""
    catalog = builtin_catalog()
    took = []
    for _ in range(times):
        evaluation.forget_types()  # conditions that were checked before are remembered
        workflow = loads(document, "json")
        took.append(seconds(lambda workflow=workflow: validate(workflow, catalog)))
    if not validate(loads(document, "json"), catalog).ok:
        raise ValueError("the benchmark's own workflow is not valid")
    return statistics.median(took) * 1000


def bare(format: str, workflow: Workflow) -> tuple[Callable[[], object], Callable[[], object]] | None:
    """To dump and to read the same tree with nothing of ours around it; None for YAML and TOML."""
    if "json" in format:
        tree = msgspec.json.decode(dumps(workflow, format))
        indent = 2 if format == "pretty-json" else None
        text = json.dumps(tree, indent=indent)
        return lambda: json.dumps(tree, indent=indent), lambda: json.loads(text)
    if format in ("msgpack", "bincode"):
        body = dumps(workflow, "msgpack")
        tree = msgspec.msgpack.decode(body)
        return lambda: msgspec.msgpack.encode(tree), lambda: msgspec.msgpack.decode(body)
    return None


def format_figures(workflow: Workflow, format: str, times: int) -> list[Figure]:
    """Dump, read and size in one format; ours and the peer's in turn."""
    body, peers, budget = dumps(workflow, format), bare(format, workflow), BUDGETS[format]
    calls = (lambda: dumps(workflow, format)), (lambda: loads(body, format))
    out = []
    for at, verb in enumerate(("dump", "read")):
        ours, theirs = [], []
        for _ in range(times):
            ours.append(seconds(calls[at]))
            theirs.append(seconds(peers[at]) if peers else 0.0)
        out.append(
            Figure(
                f"{verb} {format}",
                statistics.median(ours) * 1000,
                "ms",
                budget and budget.ms[at],
                budget and budget.design_ms[at],
                statistics.median(theirs) * 1000 if peers else None,
            )
        )
    limit = budget and budget.kilobytes
    return [*out, Figure(f"size {format}", len(body) / 1000, "kB", limit, limit)]


def figures(nodes: int, edges: int, small: int, times: int) -> list[Figure]:
    """Every figure, at these sizes."""
    out = [
        Figure(f"validate, references {name}", validation_ms(make(nodes, edges), times), "ms", 50, 100)
        for name, make in (("spread", graphs.spread), ("dense", graphs.dense))
    ]
    out.append(
        Figure("validate, control edges", validation_ms(graphs.control(nodes, edges), times), "ms", 50, 100)
    )
    took = validation_ms(graphs.conditions(nodes), times)
    out.append(Figure("validate, distinct conditions", took, "ms", 300, None))
    took = validation_ms(graphs.forms(nodes), times)
    out.append(Figure("validate, conditions of distinct forms", took, "ms", None, None))
    workflow = loads(graphs.spread(small, 2 * small), "json")
    for format in BUDGETS:
        out += format_figures(workflow, format, times + 2)
    return out


if __name__ == "__main__":
    size = "validate 10,000 nodes, 50,000 edges; dump and read 1,000 nodes, 2,000 edges"
    print(line("validation", size, figures(10_000, 50_000, 1_000, 5)))
