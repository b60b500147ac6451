"""Cycles among nodes, and what can never run. No recursion: graphs may be 10,000 nodes deep.

Kahn's algorithm finds whether there is a cycle at all; strongly connected components are
Tarjan's ("Depth-first search and linear graph algorithms", 1972), each reported once.
"""

from collections import deque
from collections.abc import Mapping, Sequence

from symphony.workflow.problems import child
from symphony.workflow.validation.level import Level

_SHOWN = 20


def check_cycles(level: Level) -> bool:
    """Report each cycle of a level once, at its first node in the order of the file. Are there any?"""
    before = level.before
    left = None if _in_order(before) else _left_over(before)
    if not left:
        return False
    inside = {name: [s for s in before[name] if s in left] for name in before if name in left}
    for component in _components(inside):
        if len(component) > 1 or component[0] in inside[component[0]]:
            path = _path(component, inside)
            shown = path if len(path) <= _SHOWN else [*path[: _SHOWN - 1], "…", path[-1]]
            text = " -> ".join(shown)
            more = len(component) - (len(path) - 1)
            also = f" ({more} more nodes are tangled up with it)" if more else ""
            what = "these nodes wait for each other" if len(component) > 1 else "this node waits for itself"
            place = child(level.place, path[0])
            level.error("cycle", place, f"{what}: {text}{also}", "remove one of these references")
    return True


def _in_order(before: Mapping[str, Sequence[str]]) -> bool:
    """Does every node wait only for nodes declared above it? Then there is no cycle."""
    seen: set[str] = set()
    for name, sources in before.items():
        if sources and not seen.issuperset(sources):
            return False
        seen.add(name)
    return True


def _left_over(before: Mapping[str, Sequence[str]]) -> set[str]:
    """The nodes that are in a cycle or behind one."""
    waiting: dict[str, int] = {}
    after: dict[str, list[str]] = {}
    ready: deque[str] = deque()
    for name, sources in before.items():
        known = [source for source in sources if source in before]
        waiting[name] = len(known)
        for source in known:
            after.setdefault(source, []).append(name)
        if not known:
            ready.append(name)
    done = 0
    while ready:
        done += 1
        for target in after.get(ready.popleft(), ()):
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return {name for name, count in waiting.items() if count} if done < len(before) else set()


def _components(before: Mapping[str, Sequence[str]]) -> list[list[str]]:
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    held: set[str] = set()
    found: list[list[str]] = []
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


def _popped(stack: list[str], held: set[str], last: str) -> list[str]:
    component: list[str] = []
    while not component or component[-1] != last:
        component.append(stack.pop())
        held.discard(component[-1])
    return component


def _path(component: Sequence[str], before: Mapping[str, Sequence[str]]) -> list[str]:
    """The shortest cycle through the component's first declared node, in the direction of flow."""
    members = set(component)
    start = next(name for name in before if name in members)
    towards: dict[str, str] = {}  # node -> the next one on the way to start
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
