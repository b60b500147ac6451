"""Compares two runs by their journals: workflow, inputs, how nodes went, results and outputs."""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.tracker.core.masking import shown_outputs
from symphony.pit.tracker.core.names import folded, parent_of
from symphony.pit.tracker.core.records import FailedRecord, FinishedRecord, Record
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
_DONE: Final = (NodeStatus.SUCCEEDED, NodeStatus.CACHED)
_ROUND: Final = re.compile(r"#[0-9]+")


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
        nodes=_looked_into(runs, _nodes(results, digests), (one, other), digests),
    )


def _looked_into(
    runs: Runs,
    nodes: Mapping[str, NodeComparison],
    ids: tuple[str, str],
    digests: tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]],
) -> dict[str, NodeComparison]:
    """Return the nodes, with those compared that one of the runs took over as a whole: where they ran."""
    known = dict(zip(ids, digests, strict=True))
    out = dict(nodes)
    for name, node in nodes.items():
        if node.a is None or node.b is None or node.differs:
            continue
        if not node.unknown and NodeStatus.CACHED not in (node.a.status, node.b.status):
            continue
        ran = node.a.reused_from or ids[0], node.b.reused_from or ids[1]
        try:
            for run_id in ran:
                if run_id not in known:
                    known[run_id] = _results(runs, run_id)
        except SymphonyError:
            continue  # that run is gone
        sides = [_inside(known[run_id], name) for run_id in ran]
        if (same := _same(*sides)) is not None:
            out[name] = msgspec.structs.replace(node, same_result=same, unknown=False)
    return out


def _inside(given: Mapping[str, Mapping[str, str]], name: str) -> dict[str, str]:
    """Return the digests of all that ran inside of a step."""
    marks = tuple(f"{name}{mark}" for mark in "[#.")
    return {full: all_[full] for full, all_ in given.items() if full.startswith(marks) and full in all_}


def _results(runs: Runs, run_id: str) -> dict[str, dict[str, str]]:
    """Return digests of the results of each step, with those of its elements and rounds, by full name."""
    name = runs.replay(run_id).machine.name
    given: dict[str, dict[str, str]] = {}
    records: Sequence[Record] = runs.records(run_id)
    for record in records:
        told = (
            record.outputs
            if isinstance(record, FinishedRecord)
            else record.instead
            if isinstance(record, FailedRecord)
            else None
        )
        if told is not None:
            body = told if isinstance(told, bytes) else msgspec.msgpack.encode(told)
            full, digest = name(record.slot), hashlib.sha256(body).hexdigest()
            above = parent_of(full) if full.endswith("]") else None
            for known in dict.fromkeys((full, above or full, _ROUND.sub("", full), folded(full))):
                given.setdefault(known, {})[full] = digest
    return given


def _nodes(
    results: tuple[RunResult, RunResult],
    digests: tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]],
) -> dict[str, NodeComparison]:
    sides = [{name: _side(node) for name, node in result.nodes.items()} for result in results]
    inner = [{parent for name in given for parent in _all_above(name)} for given in digests]
    out: dict[str, NodeComparison] = {}
    for name in dict.fromkeys((*sides[0], *sides[1])):
        if any(name not in side and _is_inside_of_reused(name, side) for side in sides):
            continue  # it was not looked into
        a, b = sides[0].get(name), sides[1].get(name)
        same = _same(digests[0].get(name, {}), digests[1].get(name, {}))
        if same is None and a is not None and b is not None and _reused(a, results[0], b, results[1]):
            same = True
        # Where both have steps inside, these tell; where neither has a result, there is none.
        told = all(name in one for one in inner) or not any(name in given for given in digests)
        done = all(side is not None and side.status in _DONE for side in (a, b))
        out[name] = NodeComparison(
            name=name, a=a, b=b, same_result=same, unknown=same is None and done and not told
        )
    return out


def _same(one: Mapping[str, str], other: Mapping[str, str]) -> bool | None:
    """Return whether the results are the same; None where one side lacks some, or both have none."""
    if any(one[name] != other[name] for name in one.keys() & other.keys()):
        return False
    return True if one and one.keys() == other.keys() else None


def _reused(a: NodeSide, in_a: RunResult, b: NodeSide, in_b: RunResult) -> bool:
    """Return whether one run's result is that of the other, or both are that of a third."""
    return (a.reused_from or in_a.run_id) == (b.reused_from or in_b.run_id)


def _all_above(name: str) -> Iterator[str]:
    """Yield the steps that a step belongs to, from the inside out."""
    above = parent_of(name)
    while above is not None:
        yield above
        above = parent_of(above)


def _is_inside_of_reused(name: str, side: Mapping[str, NodeSide]) -> bool:
    """Return whether the step is part of something that was taken over as a whole."""
    return any(one in side and side[one].status is NodeStatus.CACHED for one in _all_above(name))


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
