"""What does it cost to check a large workflow, and to write and read one?

Question: milliseconds of `validate` with all checks; milliseconds to dump and to read, by format.
Size: 10,000 nodes with 50,000 bare references, spread evenly and dense in the first nodes (median
of 5, each on a freshly read workflow); 1,000 nodes with 2,000 references (median of 7).
Budget: validation 50 ms (design: 100 ms). Dump and read: a fifth of the design's 15 and 18 ms for
JSON, 25 and 20 ms for pretty JSON; the design gives none for YAML, which is only measured.

Run: python benchmarks/validation.py; prints one JSON line.
"""

import statistics

import graphs
from measuring import Figure, line, median_ms, seconds

from symphony.workflow import builtin_catalog, dumps, loads, validate

DESIGN_MS = {"json": (15.0, 18.0), "pretty-json": (25.0, 20.0)}


def validation_ms(document: str, times: int) -> float:
    """Median milliseconds to validate the document's workflow. Raises ValueError if it is not sound."""
    catalog = builtin_catalog()
    took = []
    for _ in range(times):
        workflow = loads(document, "json")
        took.append(seconds(lambda workflow=workflow: validate(workflow, catalog)))
    if not validate(loads(document, "json"), catalog).ok:
        raise ValueError("the benchmark's own workflow is not valid")
    return statistics.median(took) * 1000


def round_trip(document: str, format: str, times: int) -> tuple[float, float]:
    """Median milliseconds to dump and to read in `format`."""
    workflow = loads(document, "json")
    body = dumps(workflow, format)
    return median_ms(lambda: dumps(workflow, format), times), median_ms(lambda: loads(body, format), times)


def figures(nodes: int, edges: int, small: int, times: int) -> list[Figure]:
    """Every figure, at these sizes."""
    out = [
        Figure(f"validate, references {name}", validation_ms(make(nodes, edges), times), "ms", 50, 100)
        for name, make in (("spread", graphs.spread), ("dense", graphs.dense))
    ]
    for format in ("json", "pretty-json", "yaml"):
        took = round_trip(graphs.spread(small, 2 * small), format, times + 2)
        design = DESIGN_MS.get(format)
        for at, verb in enumerate(("dump", "read")):
            limit = None if design is None else design[at]
            out.append(Figure(f"{verb} {format}", took[at], "ms", limit and limit / 5, limit))
    return out


if __name__ == "__main__":
    size = "validate 10,000 nodes, 50,000 edges; dump and read 1,000 nodes, 2,000 edges"
    print(line("validation", size, figures(10_000, 50_000, 1_000, 5)))
