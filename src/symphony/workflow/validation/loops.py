"""Checks of loops: a level of nodes of its own inside a node."""

from symphony.workflow.model import ControlNode
from symphony.workflow.problems import did_you_mean
from symphony.workflow.types import ANY
from symphony.workflow.validation.cycles import check_cycles
from symphony.workflow.validation.level import Level
from symphony.workflow.validation.nodes import check_nodes
from symphony.workflow.validation.scope import Scope

DEPTH_MAX = 32


def check_loop(level: Level, name: str, loop: ControlNode, place: str, scope: Scope) -> None:
    """Check a loop's state, body and conditions; what they read outside, the loop waits for.

    `scope` is the loop's own: that of its level, with `item` where it runs for each element.
    """
    before = level.before[name]
    for key, value in (loop.state or {}).items():
        level.value(value, ANY, scope, before, f"{place}.state.{key}")
    depth, outer = 0, scope.outer
    while outer is not None:
        depth, outer = depth + 1, outer.outer
    if depth >= DEPTH_MAX:
        level.error(
            "limit-exceeded", place, f"loops are nested at most {DEPTH_MAX} deep", "use sub-workflows"
        )
        return
    inner = Level(level.sheet, scope.inside(loop), f"{place}.body")
    check_nodes(inner)
    _next(inner, loop, place)
    if loop.while_ is not None:
        first = Scope(  # tested before the body has run: its ports are not there
            scope.workflow, scope.catalog, scope.children, nodes={}, outer=scope,
            item=inner.scope.item, state=inner.scope.state,
        )  # fmt: skip
        tested = Level(level.sheet, first, place)
        tested.boolean(loop.while_, first, [], f"{place}.while")
        inner.outward.update(tested.outward)
    if loop.until is not None:
        inner.boolean(loop.until, inner.scope, [], f"{place}.until")
    check_cycles(inner)
    for source in inner.outward:
        if level.scope.level_of(source) is level.scope:
            before.append(source)
        else:
            level.outward[source] = None


def _next(inner: Level, loop: ControlNode, place: str) -> None:
    state = loop.state or {}
    for key, value in (loop.next or {}).items():
        where = f"{place}.next.{key}"
        if key not in state:
            hint = did_you_mean(key, state, "declare it, with its first value, under `state`")
            inner.error("unknown-port", where, f"the loop has no state {key!r}", hint)
        if isinstance(value, str):
            inner.condition(value, inner.scope, [], where)
        else:
            inner.value(value, ANY, inner.scope, [], where)
