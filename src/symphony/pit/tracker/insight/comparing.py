"""Compares two runs by their journals: workflow, inputs, how nodes went, results and outputs."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.tracker.core.names import folded, parent_of
from symphony.pit.tracker.core.records import FinishedRecord, Record
from symphony.pit.tracker.core.replay import shown_outputs
from symphony.pit.tracker.store.journal import RunMeta
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.comparison import (
    ChangeKind,
    DocumentChange,
    NodeComparison,
    NodeSide,
    RunComparison,
    ValueChange,
)
from symphony.ports.runs import NodeResult, NodeStatus, RunResult
from symphony.ports.values import JSON, StoredValue

_SHOWN_ONLY = frozenset({"position", "description", "metadata"})
"""The keys of a node that only matter for display."""


def compare(runs: Runs, one: str, other: str) -> RunComparison:
    """Return the differences between two runs, by their full ids.

    Raises RunNotFound, JournalFailed. O(steps).
    """
    metas = runs.meta(one), runs.meta(other)
    results = runs.result(one), runs.result(other)
    digests = _results(runs, one), _results(runs, other)
    return RunComparison(
        a=results[0],
        b=results[1],
        workflow=list(_documents(*metas)),
        inputs=list(_values(shown_outputs(metas[0].inputs), shown_outputs(metas[1].inputs))),
        outputs=list(_values(results[0].outputs, results[1].outputs)),
        nodes=_nodes(results, digests),
    )


def _results(runs: Runs, run_id: str) -> dict[str, dict[str, str]]:
    """Return digests of the results of each node's elements and rounds, by full name."""
    name = runs.replay(run_id).machine.name
    given: dict[str, dict[str, str]] = {}
    records: Sequence[Record] = runs.records(run_id)
    for record in records:
        if isinstance(record, FinishedRecord) and record.outputs is not None:
            told = record.outputs
            body = told if isinstance(told, bytes) else msgspec.msgpack.encode(told)
            full = name(record.slot)
            given.setdefault(folded(full), {})[full] = hashlib.sha256(body).hexdigest()
    return given


def _nodes(
    results: tuple[RunResult, RunResult],
    digests: tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]],
) -> dict[str, NodeComparison]:
    sides = [{name: _side(node) for name, node in result.nodes.items()} for result in results]
    out: dict[str, NodeComparison] = {}
    for name in dict.fromkeys((*sides[0], *sides[1])):
        if any(name not in side and _is_inside_of_reused(name, side) for side in sides):
            continue  # it was not looked into
        one, other = digests[0].get(name), digests[1].get(name)
        # What was taken over as a whole has nothing to say of its parts.
        known = one is not None and other is not None and one.keys() == other.keys()
        same = one == other if known else None
        out[name] = NodeComparison(name=name, a=sides[0].get(name), b=sides[1].get(name), same_result=same)
    return out


def _is_inside_of_reused(name: str, side: Mapping[str, NodeSide]) -> bool:
    """Was something taken over as a whole that the step is a part of?"""
    above = parent_of(name)
    while above is not None:
        if above in side and side[above].status is NodeStatus.CACHED:
            return True
        above = parent_of(above)
    return False


def _side(node: NodeResult) -> NodeSide:
    return NodeSide(
        status=node.status,
        attempts=node.attempts,
        took_s=node.took_s,
        error=node.error,
        reused_from=node.cached_from,
        usage=node.usage,
        label=node.label,
    )


def _values(a: Mapping[str, StoredValue], b: Mapping[str, StoredValue]) -> Iterator[ValueChange]:
    for name in dict.fromkeys((*a, *b)):
        if name in a and name in b:
            if value_digest(a[name]) == value_digest(b[name]):
                continue
            yield ValueChange(name=name, kind="changed", a=a[name], b=b[name])
        else:
            kind: ChangeKind = "removed" if name in a else "added"
            yield ValueChange(name=name, kind=kind, a=a.get(name), b=b.get(name))


def _documents(a: RunMeta, b: RunMeta) -> Iterator[DocumentChange]:
    """The workflow, then its sub-workflows, each under the node's words for it."""
    yield from _trees(_tree(a.workflow), _tree(b.workflow), "", 0)
    for reference in sorted(a.references.keys() & b.references.keys()):
        one, other = a.children[a.references[reference]], b.children[b.references[reference]]
        if one.document != other.document:
            yield from _trees(_tree(one.document), _tree(other.document), f"{reference}: ", 0)


def _tree(document: bytes) -> dict[str, JSON]:
    """The document of a workflow, without the edges that follow from its nodes: journals once had them."""
    tree: dict[str, JSON] = msgspec.json.decode(document)
    edges = tree.pop("edges", None)
    if isinstance(edges, list):
        own = [edge for edge in edges if not (isinstance(edge, dict) and edge.get("derived"))]
        return tree | {"edges": own} if own else tree
    return tree


def _trees(a: Mapping[str, JSON], b: Mapping[str, JSON], prefix: str, depth: int) -> Iterator[DocumentChange]:
    for key in dict.fromkeys((*a, *b)):
        if (key == "symphony" and not depth) or (depth == 2 and key in _SHOWN_ONLY):
            continue
        place, one, other = f"{prefix}{key}", a.get(key), b.get(key)
        if key not in a or key not in b:
            kind: ChangeKind = "removed" if key in a else "added"
            yield DocumentChange(place=place, kind=kind, a=one, b=other)
        elif isinstance(one, dict) and isinstance(other, dict):
            yield from _trees(one, other, f"{place}.", depth + 1)
        elif msgspec.json.encode(one) != msgspec.json.encode(other):
            yield DocumentChange(place=place, kind="changed", a=one, b=other)
