"""A digest of an element of a fan-out: of all that its node's expressions read of it and around it.

Two elements with the same digest, of nodes that do the same, have the same result.
"""

from collections.abc import Iterator, Sequence

from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.scope import FrameScope
from symphony.pit.tracker.nodes.sealing import Sealer
from symphony.pit.tracker.nodes.values import Element
from symphony.pit.tracker.nodes.work import LoopWork, MergeWork, OperatorWork
from symphony.ports.values import StoredValue, Value
from symphony.workflow.expressions import Read

KEYS_PORT = "keys"
_OF_THE_ROUND = ("state", "iteration")


def moved_name(fan_out: str, number: int | None = None) -> str:
    """Return the name of a result that any element with the same digest may reuse.

    Without a number, return the name of the list of digests. No step has such a name.
    """
    return f"{fan_out}[={'' if number is None else number}]"


def plain_name(moved: str) -> str:
    """Return a step's name in its own run, for a name from `moved_name` or of a step inside it."""
    return moved.replace("[=", "[")


def element_digests(level: FrameScope, node: int, items: Sequence[Value], sealer: Sealer) -> list[str | None]:
    """Return a digest for each element of the fan-out `node`; None if it holds secrets or reads the run.

    `level` is that of the fan-out. Raises Deferred if a large list must be loaded first.
    """
    reads = _reads(level.graph, node)
    if reads is None:
        return [None] * len(items)
    around = [_value(level, read) for read in sorted(reads, key=str) if read.kind not in ("item", "index")]
    if any(map(sealer.holds_secret, around)):
        return [None] * len(items)
    shared = value_digest([value_digest(value) for value in around])
    kinds = {read.kind for read in reads}
    found: list[str | None] = []
    for index, item in enumerate(items):
        if sealer.holds_secret(item):
            found.append(None)
            continue
        own = [value_digest(item) if "item" in kinds else "", index if "index" in kinds else None]
        found.append(value_digest([shared, *own]))
    return found


def read_digest(level: FrameScope, node: int, element: Element) -> str | None:
    """Return a digest of what an attempt outside a fan-out reads; None if that differs in each run."""
    reads = _reads(level.graph, node)
    if reads is None:
        return None
    values: list[StoredValue] = []
    for read in sorted(reads, key=str):
        if read.kind in ("item", "index"):
            values.append(None if element is None else element[read.kind == "index"])
        else:
            values.append(_value(level, read))
    return value_digest([value_digest(value) for value in values])


def matched(old: Sequence[str | None], new: Sequence[str | None]) -> list[int | None]:
    """Return for each new element the old one with its digest; of several alike each once, in order."""
    places: dict[str, list[int]] = {}
    for number in reversed(range(len(old))):
        digest = old[number]
        if digest is not None:
            places.setdefault(digest, []).append(number)
    return [places[digest].pop() if digest is not None and places.get(digest) else None for digest in new]


def effectless(graph: WorkGraph, node: int) -> bool:
    """True if the node, with all inside it, changes nothing outside of the run."""
    work, inner = graph.works[node], graph.below.get(node)
    if isinstance(work, OperatorWork) and work.operator.info.effect == "write":
        return False
    return inner is None or all(effectless(inner, number) for number in range(len(inner.works)))


def _value(level: FrameScope, read: Read) -> StoredValue:
    if read.kind == "node":
        ports = level.values.of(level.slot_of(read.name))
        return value_digest([[port, value_digest(ports[port])] for port in sorted(ports)])
    return level.values.stored(read, level.slot_of)


def _reads(graph: WorkGraph, node: int) -> frozenset[Read] | None:
    """Return what one element's attempt reads; None if that differs in each run."""
    work = graph.works[node]
    if isinstance(work, MergeWork):
        return None
    own = {work.when, work.for_each, work.label}
    found = {r for t in work.templates() if not any(t is one for one in own) for r in t.reads}
    if isinstance(work, LoopWork):
        # The body's reads of the loop's own state follow from the rest.
        inner = {*_inside(graph.below[node])}
        first = {r for template in work.loop.state.values() for r in template.reads}
        found = {r for r in found | inner if r.kind not in _OF_THE_ROUND or r in first}
        body = graph.below[node].plan.index
        found = {r for r in found if r.kind not in ("port", "node") or r.name not in body or r in first}
    return None if any(r.kind == "run" for r in found) else frozenset(found)


def _inside(graph: WorkGraph) -> Iterator[Read]:
    """Yield what the nodes of a loop's body read from around the loop, and perhaps more."""
    for number, work in enumerate(graph.works):
        inner = [*(r for template in work.templates() for r in template.reads)]
        if isinstance(work, LoopWork):
            inner += _inside(graph.below[number])
        yield from (r for r in inner if r.kind not in ("port", "node") or r.name not in graph.plan.index)
