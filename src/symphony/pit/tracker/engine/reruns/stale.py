"""Finds operators whose code has changed since the results that a rerun reuses were made."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet

from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.engine.reruns.reused import ReusedResult
from symphony.pit.tracker.nodes.contents import moved_name, plain_name
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.prints import Prints, print_keys, same_print
from symphony.pit.tracker.nodes.work import OperatorWork
from symphony.ports.steering import StaleCode
from symphony.sdk.fingerprints import is_own


def stale_operators(
    graph: WorkGraph,
    results: Mapping[str, ReusedResult],
    before: Callable[[str], Prints | None],
    now: Prints,
) -> Mapping[str, StaleCode]:
    """Return the operators whose code differs from the code that made some `results`, and those results.

    `before` returns the fingerprints of the run with an id. Operators that ship with Symphony are left out.
    """
    inside = {name: list(keys) for name, keys in _nodes(graph, "")}
    found: dict[str, StaleCode] = {}
    done: set[tuple[str, str]] = set()
    for full, result in results.items():
        name = folded(plain_name(full))
        if full.endswith(moved_name("")) or (name, result.run) in done:
            continue
        done.add((name, result.run))
        for operator in _changed(inside.get(name, ()), before(result.run), now):
            known = found.get(operator)
            nodes = () if known is None else known.nodes
            run_id = result.run if known is None else known.run_id
            found[operator] = StaleCode(run_id, tuple(dict.fromkeys((*nodes, name))))
    return found


def operators_since(graph: WorkGraph, before: Prints | None, now: Prints) -> list[str]:
    """Return the operators of a run whose code has changed since its fingerprints were taken."""
    keys = [key for name, inner in _nodes(graph, "") if "." not in name for key in inner]
    return sorted(_changed(keys, before, now))


def _changed(keys: Iterable[tuple[str, str]], before: Prints | None, now: Prints) -> AbstractSet[str]:
    """Return the operators that are known to have changed; `keys` are pairs of operator and print key."""
    return {
        operator
        for operator, key in keys
        if before is not None and key in before and key in now and not same_print(before[key], now[key])
    }


def _nodes(graph: WorkGraph, prefix: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield each node's full name without numbers, and its operators with their print keys."""
    for number, work in enumerate(graph.works):
        name = f"{prefix}{work.name}"
        keys = list[tuple[str, str]]()
        if isinstance(work, OperatorWork) and not is_own(work.operator.function):
            keys.append((work.runs, next(print_keys(work, prefix))))
        if number in graph.below:
            for inner, more in _nodes(graph.below[number], f"{name}."):
                keys += more if "." not in inner.removeprefix(f"{name}.") else []
                yield inner, more
        yield name, keys
