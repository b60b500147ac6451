"""Finds cycles among nodes, and nodes that can never run. No recursion: graphs may be 10,000 nodes deep.

Kahn's algorithm finds whether there is a cycle at all; strongly connected components are Tarjan's
("Depth-first search and linear graph algorithms", 1972), each reported once.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from symphony.workflow.problems import child
from symphony.workflow.validation.level import Level

_SHOWN = 20


def check_cycles(level: Level) -> bool:
    """Report each cycle of a level once, at its first node in the order of the file. True if there are
    any.
    """
    before = level.before
    left = None if _in_order(before) else _left_over(before)
    if not left:
        return False
    inside = {node: [s for s in before[node] if s in left] for node in sorted(left)}
    for component in _components(inside):
        if len(component) > 1 or component[0] in inside[component[0]]:
            path = [level.names[node] for node in _path(component, inside)]
            shown = path if len(path) <= _SHOWN else [*path[: _SHOWN - 1], "…", path[-1]]
            text = " -> ".join(shown)
            more = len(component) - (len(path) - 1)
            also = f" ({more} more nodes are tangled up with it)" if more else ""
            what = "these nodes wait for each other" if len(component) > 1 else "this node waits for itself"
            place = child(level.place, path[0])
            level.error("cycle", place, f"{what}: {text}{also}", "remove one of these references")
    return True


def _in_order(before: Sequence[Sequence[int]]) -> bool:
    """True if every node waits only for nodes declared above it: then there is no cycle."""
    return not any(sources and max(sources) >= node for node, sources in enumerate(before))


def _left_over(before: Sequence[Sequence[int]]) -> set[int]:
    """Return the nodes that are in a cycle or behind one."""
    waiting = [0] * len(before)
    after: list[list[int]] = [[] for _ in before]
    for node, sources in enumerate(before):
        for source in sources:
            if source >= 0:
                waiting[node] += 1
                after[source].append(node)
    ready = [node for node, count in enumerate(waiting) if not count]
    for node in ready:  # grows inside the loop
        for target in after[node]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return {node for node, count in enumerate(waiting) if count}


def _components(before: Mapping[int, Sequence[int]]) -> list[list[int]]:
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    held: set[int] = set()
    found: list[list[int]] = []
    for root in before:
        if root in index:
            continue
        work = [(root, iter(before[root]))]
        index[root] = low[root] = len(index)
        stack.append(root)
        held.add(root)
        while work:
            name, sources = work[-1]
            for source in sources:
                if source not in index:
                    index[source] = low[source] = len(index)
                    stack.append(source)
                    held.add(source)
                    work.append((source, iter(before[source])))
                    break
                if source in held:
                    low[name] = min(low[name], index[source])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    found.append(_popped(stack, held, name))
    return found


def _popped(stack: list[int], held: set[int], last: int) -> list[int]:
    component: list[int] = []
    while not component or component[-1] != last:
        component.append(stack.pop())
        held.discard(component[-1])
    return component


def _path(component: Sequence[int], before: Mapping[int, Sequence[int]]) -> list[int]:
    """Return the shortest cycle through the component's first declared node, in the direction of flow."""
    members = set(component)
    start = next(name for name in before if name in members)
    towards: dict[int, int] = {}  # node -> the next one on the way to start
    queue = deque([start])
    while queue and start not in towards:
        name = queue.popleft()
        for source in before[name]:
            if source in members and source not in towards:
                towards[source] = name
                queue.append(source)
    path = [start, towards[start]]
    while path[-1] != start:
        path.append(towards[path[-1]])
    return path
