"""The graph of a workflow: its edges, and questions about order and reach. Pure, no recursion."""

import heapq
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence

from symphony.commons.errors import SymphonyError
from symphony.workflow.expressions import BadExpression, Read, condition_reads, value_reads
from symphony.workflow.model import ConditionalEdge, ControlEdge, ControlNode, DataEdge, Edge, Node, Workflow


class GraphCyclic(SymphonyError):
    """The graph has a cycle, so it has no order; the message names it."""

    code = "cycle"


def all_edges(workflow: Workflow) -> tuple[Edge, ...]:
    """Every edge: those derived from expressions, `after` and fallbacks, then the explicit ones.

    One derived data edge for each (node.port → input) pair, one control edge for each `after`.
    Expressions that cannot be read give no edges: validation reports them.
    """
    edges: dict[Edge, None] = {}
    for name, node in workflow.nodes.items():
        for edge in _derived(name, node):
            edges[edge] = None
    explicit = {_key(edge) for edge in workflow.edges}
    return (*(edge for edge in edges if _key(edge) not in explicit), *workflow.edges)


def _key(edge: Edge) -> tuple[object, ...]:
    if isinstance(edge, DataEdge):
        return "data", edge.source, edge.output, edge.target, edge.input
    if isinstance(edge, ControlEdge):
        return "control", edge.source, edge.branch, edge.target
    return "conditional", edge.source, edge.target, edge.when


def _derived(name: str, node: Node) -> Iterator[Edge]:
    for entry, value in node.inputs.items():
        for read in _quietly(value_reads, value):
            if read.kind in ("port", "node"):
                yield DataEdge(source=read.name, target=name, output=read.port or "*", input=entry, derived=True)
    for after in node.after:
        source, _, branch = after.partition(".")
        yield ControlEdge(source=source, target=name, branch=branch or None, derived=True)
    seen = {after.partition(".")[0] for after in node.after}
    for read in condition_sources(node):
        if read.name not in seen:
            seen.add(read.name)
            yield ControlEdge(source=read.name, target=name, derived=True)


def condition_sources(node: Node) -> tuple[Read, ...]:
    """What a node's conditions read of other nodes: `when`, `for_each`, a branch's, a loop's."""
    reads: dict[Read, None] = {}
    texts = [node.when, node.for_each if isinstance(node.for_each, str) else None]
    values: list[object] = [node.for_each] if isinstance(node.for_each, list) else []
    values.append(dict(node.config))
    if isinstance(node, ControlNode):
        texts += [node.condition, node.switch]
        if node.control == "delay":
            texts.append(node.until)
        values.append(node.message)
        if node.control == "loop":
            reads.update(dict.fromkeys(_loop_reads(node)))
    for text in texts:
        if text is not None:
            reads.update(dict.fromkeys(_quietly(condition_reads, text)))
    for value in values:
        reads.update(dict.fromkeys(_quietly(value_reads, value)))
    return tuple(read for read in reads if read.kind in ("port", "node"))


def _loop_reads(node: ControlNode) -> Iterator[Read]:
    """What a loop and the nodes of its body read of the nodes outside."""
    body = node.body or {}
    for text in (node.while_, node.until, *(v for v in (node.next or {}).values() if isinstance(v, str))):
        if text is not None:
            yield from (r for r in _quietly(condition_reads, text) if r.name not in body)
    yield from _quietly(value_reads, dict(node.state or {}))
    for inner in body.values():
        reads = (*_quietly(value_reads, dict(inner.inputs)), *condition_sources(inner))
        yield from (r for r in reads if r.name not in body)


def _quietly(reader: Callable[[object], tuple[Read, ...]] | Callable[[str], tuple[Read, ...]], value: object) -> tuple[Read, ...]:
    try:
        return reader(value)  # type: ignore[arg-type]  # each caller gives its reader what it takes
    except BadExpression:
        return ()


def predecessors(workflow: Workflow) -> dict[str, tuple[str, ...]]:
    """For each node, the nodes that must have ended before it, each once, known nodes only.

    A fallback waits for the node it stands in for, and whoever reads that node waits for both.
    """
    before: dict[str, dict[str, None]] = {name: {} for name in workflow.nodes}
    for edge in all_edges(workflow):
        if edge.source in before and edge.target in before:
            before[edge.target][edge.source] = None
            if isinstance(edge, ConditionalEdge):
                for read in _quietly(condition_reads, edge.when):
                    if read.kind in ("port", "node") and read.name in before:
                        before[edge.target][read.name] = None
    for name, node in workflow.nodes.items():
        spare = node.on_error.fallback
        if spare is not None and spare in before:
            for target, sources in before.items():
                if name in sources and target != spare:
                    sources[spare] = None
            before[spare][name] = None
    return {name: tuple(sources) for name, sources in before.items()}


def dependencies(workflow: Workflow, node: str) -> tuple[str, ...]:
    """The direct predecessors of `node`."""
    return predecessors(workflow)[node]


def dependents(workflow: Workflow, node: str) -> tuple[str, ...]:
    """The direct successors of `node`."""
    return successors(predecessors(workflow))[node]


def successors(before: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """The reverse of `predecessors`."""
    after: dict[str, list[str]] = {name: [] for name in before}
    for name, sources in before.items():
        for source in sources:
            after[source].append(name)
    return {name: tuple(targets) for name, targets in after.items()}


def topological_order(workflow: Workflow) -> tuple[str, ...]:
    """Predecessors first; ties in the order of declaration. Kahn's algorithm, O(V log V + E).

    Raises GraphCyclic.
    """
    return ordered(predecessors(workflow))


def ordered(before: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """`topological_order` of a graph given by its predecessors."""
    rank = {name: i for i, name in enumerate(before)}
    names = list(before)
    left = {name: len(sources) for name, sources in before.items()}
    after = successors(before)
    ready = [rank[name] for name, count in left.items() if count == 0]
    heapq.heapify(ready)
    order: list[str] = []
    while ready:
        name = names[heapq.heappop(ready)]
        order.append(name)
        for target in after[name]:
            left[target] -= 1
            if left[target] == 0:
                heapq.heappush(ready, rank[target])
    if len(order) < len(names):
        raise GraphCyclic(f"cycle: {' -> '.join(find_cycle(before) or ())}", hint="break one of these edges")
    return tuple(order)


def levels(workflow: Workflow) -> tuple[tuple[str, ...], ...]:
    """Nodes that may run at the same time, level by level. Raises GraphCyclic."""
    before = predecessors(workflow)
    depth: dict[str, int] = {}
    for name in ordered(before):
        depth[name] = 1 + max((depth[source] for source in before[name]), default=-1)
    out: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name in before:
        out[depth[name]].append(name)
    return tuple(tuple(level) for level in out)


def critical_path(workflow: Workflow, durations_s: Mapping[str, float] | None = None) -> tuple[str, ...]:
    """The longest chain, by seconds per node (1 where none are given). Raises GraphCyclic."""
    before = predecessors(workflow)
    cost: dict[str, float] = {}
    via: dict[str, str | None] = {}
    for name in ordered(before):
        via[name] = max(before[name], key=lambda source: cost[source], default=None)
        best = via[name]
        cost[name] = (durations_s or {}).get(name, 1.0) + (0.0 if best is None else cost[best])
    path: list[str] = []
    at = max(cost, key=lambda name: cost[name], default=None)
    while at is not None:
        path.append(at)
        at = via[at]
    return tuple(reversed(path))


def ancestors(workflow: Workflow, node: str) -> frozenset[str]:
    """Every node that `node` depends on, directly or not."""
    return _reach(predecessors(workflow), node)


def descendants(workflow: Workflow, node: str) -> frozenset[str]:
    """Every node that depends on `node`, directly or not."""
    return _reach(successors(predecessors(workflow)), node)


def _reach(links: Mapping[str, Sequence[str]], node: str) -> frozenset[str]:
    seen: set[str] = set()
    queue = deque(links[node])
    while queue:
        name = queue.popleft()
        if name not in seen:
            seen.add(name)
            queue.extend(links[name])
    return frozenset(seen)


def paths(workflow: Workflow, source: str, target: str, limit: int = 1000) -> Iterator[tuple[str, ...]]:
    """At most `limit` paths from `source` to `target`, in order of declaration."""
    links = successors(predecessors(workflow))
    useful = _reach(predecessors(workflow), target) | {target}
    stack: list[tuple[str, ...]] = [(source,)] if source in useful else []
    given = 0
    while stack and given < limit:
        path = stack.pop()
        if path[-1] == target:
            given += 1
            yield path
            continue
        stack.extend((*path, name) for name in reversed(links[path[-1]]) if name in useful and name not in path)


def would_create_cycle(workflow: Workflow, source: str, target: str) -> bool:
    """Would an edge from `source` to `target` close a cycle?"""
    return source == target or source in descendants(workflow, target)


def find_cycle(before: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """One cycle as a path whose last node is its first, or None."""
    cycles = find_cycles(before)
    return cycles[0] if cycles else None


def find_cycles(before: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """One cycle for each strongly connected component. Tarjan's algorithm, iterative, O(V + E).

    Source: R. Tarjan, "Depth-first search and linear graph algorithms", SIAM J. Comput., 1972.
    """
    after = successors(before)
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    cycles: list[tuple[str, ...]] = []
    for root in before:
        work: list[tuple[str, Iterator[str]]] = []
        if root not in number:
            work.append((root, iter(after[root])))
            number[root] = low[root] = len(number)
            stack.append(root)
            on_stack.add(root)
        while work:
            name, targets = work[-1]
            below = next(targets, None)
            if below is None:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == number[name]:
                    component = _pop_component(name, stack, on_stack)
                    if len(component) > 1 or name in after[name]:
                        cycles.append(_cycle_in(component, after, before))
            elif below not in number:
                number[below] = low[below] = len(number)
                stack.append(below)
                on_stack.add(below)
                work.append((below, iter(after[below])))
            elif below in on_stack:
                low[name] = min(low[name], number[below])
    return cycles


def _pop_component(name: str, stack: list[str], on_stack: set[str]) -> set[str]:
    component: set[str] = set()
    while True:
        top = stack.pop()
        on_stack.discard(top)
        component.add(top)
        if top == name:
            return component


def _cycle_in(component: set[str], after: Mapping[str, Sequence[str]], order: Mapping[str, object]) -> tuple[str, ...]:
    """A shortest cycle through the component's first declared node."""
    start = next(name for name in order if name in component)
    via: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for target in after[name]:
            if target == start:
                path = [start, name] if name != start else [start]
                while path[-1] != start:
                    path.append(via[path[-1]])
                return tuple(reversed(path)) if name != start else (start, start)
            if target in component and target not in via:
                via[target] = name
                queue.append(target)
    raise AssertionError("a strongly connected component has a cycle through each of its nodes")
