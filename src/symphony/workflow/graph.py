"""The graph of a workflow: its edges, and questions about order and reach. Pure, no recursion.

Every question takes a workflow, or a `Graph` made once where many are asked. Nodes are compared
by where the workflow declares them, so that every answer is the same every time.
"""

import heapq
from collections import deque
from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.workflow.compiled import Compiled
from symphony.workflow.derived import derived_edges, edge_key
from symphony.workflow.model import Edge, Workflow


class GraphCyclic(SymphonyError):
    """The graph has a cycle, so it has no order; the message names it."""

    code = "cycle"


class NodeUnknown(SymphonyError):
    """The graph has no node of this name."""

    code = "unknown-node"


def all_edges(workflow: Workflow) -> tuple[Edge, ...]:
    """Return every edge: the explicit ones, then those derived from shorthands that are not among them.

    One derived data edge for each (node.port → input) pair; one control edge for each `after`, for each
    fallback, and for each node that other expressions of a node read. Expressions that cannot be read
    give none: validation reports them.
    """
    derived = derived_edges(Compiled(workflow))
    if not workflow.edges:
        return derived
    explicit = {edge_key(edge) for edge in workflow.edges}
    return (*workflow.edges, *(edge for edge in derived if edge_key(edge) not in explicit))


class Graph(msgspec.Struct, frozen=True):
    """The edges between nodes, by number: node `i` is `names[i]`. Neighbours are in order, each once."""

    names: tuple[str, ...]
    index: Mapping[str, int]
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, workflow: Workflow) -> "Graph":
        """Return the graph of a workflow. Edges to nodes that do not exist are left out.

        A conditional edge waits for what its condition reads, and a node that reads another with a
        fallback waits for that fallback too.
        """
        compiled = Compiled(workflow)
        names, index = compiled.names, compiled.index
        before = [set(_sources(compiled, number)) for number in range(len(names))]
        for edge, template in zip(workflow.edges, compiled.edges, strict=True):
            if edge.source in index and edge.target in index:
                read = () if template is None else template.reads
                more = (r.name for r in read if r.kind in ("port", "node"))
                before[index[edge.target]].update(index[n] for n in (edge.source, *more) if n in index)
        for name, node in workflow.nodes.items():
            if node.on_error.fallback is not None and node.on_error.fallback in index:
                before[index[node.on_error.fallback]].add(index[name])
        _wait_for_fallbacks(workflow, index, before)
        return cls._linked(names, index, before)

    @classmethod
    def _linked(cls, names: tuple[str, ...], index: Mapping[str, int], before: list[set[int]]) -> "Graph":
        after: list[list[int]] = [[] for _ in names]
        for target, waits_for in enumerate(before):
            for source in waits_for:
                after[source].append(target)
        return cls(names, index, tuple(tuple(sorted(s)) for s in before), tuple(tuple(t) for t in after))

    def number(self, name: str) -> int:
        """Return the number of a node. Raises NodeUnknown."""
        found = self.index.get(name)
        if found is None:
            raise _unknown(name)
        return found


Graphed: TypeAlias = Workflow | Graph


def _sources(compiled: Compiled, number: int) -> Iterator[int]:
    """Yield the nodes that a node names in its expressions and in `after`: where its derived edges begin."""
    index = compiled.index
    yield from compiled.sources(number)
    for text in compiled.workflow.nodes[compiled.names[number]].after:
        if (source := text.partition(".")[0]) in index:
            yield index[source]
    yield from (index[name] for name in compiled.others(number) if name in index)


def _unknown(name: str) -> NodeUnknown:
    return NodeUnknown(f"there is no node {name[:100]!r}", hint="name a node of this workflow")


def _wait_for_fallbacks(workflow: Workflow, index: Mapping[str, int], before: list[set[int]]) -> None:
    spares = {
        index[name]: index[node.on_error.fallback]
        for name, node in workflow.nodes.items()
        if node.on_error.fallback is not None and node.on_error.fallback in index
    }
    if not spares:
        return
    for target, waits_for in enumerate(before):
        waits_for.update([spares[s] for s in waits_for if s in spares and spares[s] != target])


def _graph(workflow: Graphed) -> Graph:
    return workflow if isinstance(workflow, Graph) else Graph.of(workflow)


def dependencies(workflow: Graphed, node: str) -> tuple[str, ...]:
    """Return the nodes that `node` waits for directly. Raises NodeUnknown."""
    graph = _graph(workflow)
    return tuple(graph.names[i] for i in graph.before[graph.number(node)])


def _reached(links: tuple[tuple[int, ...], ...], start: int) -> set[int]:
    """Return the nodes reachable from `start` in one step or more, `start` too if it is on a cycle."""
    seen: set[int] = set()
    left = list(links[start])
    while left:
        at = left.pop()
        if at not in seen:
            seen.add(at)
            left.extend(links[at])
    return seen


def topological_order(workflow: Graphed) -> tuple[str, ...]:
    """Return the nodes in an order in which each comes after those that it waits for.

    Of several that could come next, the one declared first does. O(V log V + E). Raises GraphCyclic.
    Source: A. Kahn, "Topological sorting of large networks", CACM 5(11), 1962, with a heap for the
    choice.
    """
    graph = _graph(workflow)
    return tuple(graph.names[i] for i in _order(graph))


def _order(graph: Graph) -> list[int]:
    left = [len(waits_for) for waits_for in graph.before]
    ready = [i for i, count in enumerate(left) if not count]  # ascending: a heap already
    order: list[int] = []
    while ready:
        at = heapq.heappop(ready)
        order.append(at)
        for target in graph.after[at]:
            left[target] -= 1
            if not left[target]:
                heapq.heappush(ready, target)
    if len(order) < len(graph.names):
        path = " -> ".join(find_cycle(graph) or ())
        raise GraphCyclic(f"these nodes wait for each other: {path}", hint="remove one of these edges")
    return order


def levels(workflow: Graphed) -> tuple[tuple[str, ...], ...]:
    """Return the nodes level by level: those of one level may run at the same time, in order of declaration.

    A node's level is one more than the highest of those that it waits for. Raises GraphCyclic.
    """
    graph = _graph(workflow)
    depth = [0] * len(graph.names)
    for at in _order(graph):
        depth[at] = 1 + max((depth[source] for source in graph.before[at]), default=-1)
    out: list[list[str]] = [[] for _ in range(max(depth, default=-1) + 1)]
    for name, level in zip(graph.names, depth, strict=True):
        out[level].append(name)
    return tuple(map(tuple, out))


def critical_path(workflow: Graphed, durations_s: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """Return the chain of nodes that takes longest, which no run can beat; of equal chains, the one
    declared first.

    `durations_s` gives seconds by node; a node without an entry takes 1. Raises GraphCyclic.
    """
    graph = _graph(workflow)
    given = durations_s or {}
    total = [0.0] * len(graph.names)
    via = [-1] * len(graph.names)
    for at in _order(graph):
        via[at] = max(graph.before[at], key=lambda source: total[source], default=-1)
        total[at] = given.get(graph.names[at], 1.0) + (total[via[at]] if via[at] >= 0 else 0.0)
    path: list[str] = []
    at = max(range(len(total)), key=lambda i: total[i], default=-1)
    while at >= 0:
        path.append(graph.names[at])
        at = via[at]
    return tuple(reversed(path))


def find_cycle(workflow: Graphed) -> tuple[str, ...] | None:
    """Return a shortest cycle through the first declared node that lies on one; that node is first and last.

    None if there is no cycle. O(V + E).
    """
    graph = _graph(workflow)
    tangled = _tangled(graph)
    # A remaining node lies on a cycle, between cycles, or leads only back into them: walking
    # against the edges inside it must come to a node twice, and that one is on a cycle.
    if not tangled:
        return None
    at, seen = min(tangled), set[int]()
    while at not in seen:
        seen.add(at)
        at = next(source for source in graph.before[at] if source in tangled)
    on_cycle = _reached(graph.after, at) & _reached(graph.before, at) & tangled
    start = min(on_cycle)
    return tuple(graph.names[i] for i in _shortest_back(graph, start, on_cycle))


def _tangled(graph: Graph) -> set[int]:
    """Return the nodes that Kahn's algorithm never reaches: those on cycles, and those that wait for them."""
    left = [len(waits_for) for waits_for in graph.before]
    ready = [i for i, count in enumerate(left) if not count]
    done = 0
    while done < len(ready):
        for target in graph.after[ready[done]]:
            left[target] -= 1
            if not left[target]:
                ready.append(target)
        done += 1
    return {i for i, count in enumerate(left) if count}


def _shortest_back(graph: Graph, start: int, inside: set[int]) -> list[int]:
    """Return a shortest way from `start` back to itself through `inside`, which has one."""
    via: dict[int, int] = {}
    queue = deque([start])
    while queue:
        at = queue.popleft()
        for target in graph.after[at]:
            if target == start:
                path = [start]
                while at != start:
                    path.append(at)
                    at = via[at]
                return [start, *reversed(path[1:]), start]
            if target in inside and target not in via:
                via[target] = at
                queue.append(target)
    raise AssertionError("a strongly connected component has a cycle through each of its nodes")
