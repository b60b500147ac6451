"""Checks of loops: a level of nodes of its own inside a node."""

from collections.abc import Callable

from symphony.workflow.compiled import LoopParts
from symphony.workflow.problems import did_you_mean
from symphony.workflow.types import ANY
from symphony.workflow.validation.cycles import check_cycles
from symphony.workflow.validation.forgotten import warn_of_text
from symphony.workflow.validation.level import Level
from symphony.workflow.validation.scope import Scope

DEPTH_MAX = 32


def check_loop(
    level: Level, name: str, place: str, scope: Scope, check_nodes: Callable[[Level], None]
) -> None:
    """Check a loop's state, body and conditions; the loop waits for what they read outside.

    `scope` is the loop's own: that of its level, with `item` where it runs for each element.
    `check_nodes` checks those of its body.
    """
    before, parts = level.before[level.number(name)], level.scope.loop(name)
    assert parts is not None  # only called for loops
    for key, template in parts.state.items():
        level.value(template, ANY, scope, before, f"{place}.state.{key}")
        warn_of_text(level, template.value, f"{place}.state.{key}", scope)
    depth, outer = 0, scope.outer
    while outer is not None:
        depth, outer = depth + 1, outer.outer
    if depth >= DEPTH_MAX:
        level.error(
            "limit-exceeded", place, f"loops are nested at most {DEPTH_MAX} deep", "use sub-workflows"
        )
        return
    inner = Level(level.sheet, scope.inside(parts), f"{place}.body")
    check_nodes(inner)
    _next(inner, parts, place)
    if parts.while_ is not None:
        first = scope.before_body(inner.scope)
        tested = Level(level.sheet, first, place)
        tested.boolean(parts.while_, first, [], f"{place}.while")
        inner.outward.update(tested.outward)
    if parts.until is not None:
        inner.boolean(parts.until, inner.scope, [], f"{place}.until")
    check_cycles(inner)
    for source in inner.outward:
        if level.scope.level_of(source) is level.scope:
            before.append(level.number(source))
        else:
            level.outward[source] = None


def _next(inner: Level, loop: LoopParts, place: str) -> None:
    for key, template in loop.next.items():
        where = f"{place}.next.{key}"
        if key not in loop.state:
            hint = did_you_mean(key, loop.state, "declare it, with its first value, under `state`")
            inner.error("unknown-port", where, f"the loop has no state {key!r}", hint)
        if template.form == "condition":
            inner.condition(template, inner.scope, [], where)
        else:
            inner.value(template, ANY, inner.scope, [], where)
