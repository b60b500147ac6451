"""Lists: `data.*`. Expressions are CEL, as everywhere in a workflow."""

import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec

from symphony.kit.errors import InputRefused, Stopped
from symphony.ports.values import Value
from symphony.sdk import Bounds, Context, operator
from symphony.sdk.bounds import extent
from symphony.workflow.types import ANY, INTEGER, PortType

if TYPE_CHECKING:
    from symphony.workflow.expressions import Read, ValueTemplate

RANGE_MAX = 100_000
_CHECK_EVERY = 256


@operator("data.flatten", version="1.0.0", pure=True)
async def flatten(items: list[Value]) -> list[Value]:
    """Make one list of a list of lists, one level deep.

    Elements that are no lists stay as they are; nulls, which skipped elements of a for_each
    leave behind, are left out.

    items: the lists
    """
    flat: list[Value] = []
    for item in items:
        if isinstance(item, list):
            flat += item
        elif item is not None:
            flat.append(item)
    return flat


_STEPS_MAX = 200_000


def _heavy(name: str) -> Bounds:
    """Bounds of an operator whose expression is in the input `name`.

    It is heavy if it runs over long lists, or uses macros, which run over all of an element, or the
    methods of texts, on more than a little.
    """

    def heavy(inputs: Mapping[str, Value]) -> bool:
        expression = inputs.get(name)
        if not isinstance(expression, str):
            return False
        return _is_much(extent(inputs.get("items"), _STEPS_MAX), expression)

    return Bounds(heavy=heavy)


def _is_much(size: int, expression: str) -> bool:
    return size * len(expression) * (100 if "(" in expression else 1) > 5 * _STEPS_MAX


@operator("data.map", version="1.0.0", pure=True, bounds=_heavy("expression"))
def map_items(items: list[Value], expression: str, context: Context) -> list[Value]:
    """Compute a value for each element.

    items: the list
    expression: CEL over `item` and `index`, for instance item.name + "!"
    """
    evaluate = _compiled("expression", expression, context)
    return [evaluate(item, index, None) for index, item in enumerate(items)]


@operator("data.filter", version="1.0.0", pure=True, bounds=_heavy("condition"))
def filter_items(items: list[Value], condition: str, context: Context) -> list[Value]:
    """Keep the elements for which a condition holds.

    items: the list
    condition: CEL over `item` and `index`, true or false, for instance item.lines > 10
    """
    evaluate = _compiled("condition", condition, context)
    kept: list[Value] = []
    for index, item in enumerate(items):
        holds = evaluate(item, index, None)
        if not isinstance(holds, bool):
            raise InputRefused(
                f"input condition gave no boolean for items[{index}]",
                hint="compare with something: item.lines > 10",
            )
        if holds:
            kept.append(item)
    return kept


_CALLS = re.compile(r"\.\s*\w+\s*\(")


def _builds_up(inputs: Mapping[str, Value]) -> bool:
    """Like the others, or may `value` become longer by a factor with each element?"""
    expression, items = inputs.get("expression"), inputs.get("items")
    if not isinstance(expression, str) or not isinstance(items, list):
        return False
    size = extent([items, inputs.get("initial")], _STEPS_MAX)
    if _is_much(size, expression):
        return True
    copies = expression.count("value")
    if copies == 1 and _CALLS.search(expression):
        copies = 2
    elif not any(mark in expression for mark in "+[{("):
        copies = 1
    return len(items) * math.log2(max(copies, 1)) + math.log2(size) > math.log2(5 * _STEPS_MAX)


@operator("data.reduce", version="1.0.0", pure=True, bounds=Bounds(heavy=_builds_up))
def reduce(items: list[Value], expression: str, context: Context, initial: Value = None) -> Value:
    """Compute one value from all elements, one after the other.

    items: the list
    expression: CEL over `value` (what came out so far), `item` and `index`, for instance
        value + item.size
    initial: what `value` is at first
    """
    evaluate = _compiled("expression", expression, context)
    value = initial
    for index, item in enumerate(items):
        value = evaluate(item, index, value)
    return value


@operator("data.group", version="1.0.0", pure=True, bounds=_heavy("key"))
def group(items: list[Value], key: str, context: Context) -> list[dict[str, Value]]:
    """Put the elements that have the same key together, in order of first appearance.

    items: the list
    key: CEL over `item` and `index`, for instance item.name

    Returns:
        result: maps of key, items and count
    """
    evaluate = _compiled("key", key, context)
    groups: dict[bytes, dict[str, Value]] = {}
    members: dict[bytes, list[Value]] = {}
    for index, item in enumerate(items):
        found = evaluate(item, index, None)
        spelled = msgspec.msgpack.encode(found, order="deterministic")
        if spelled not in groups:
            members[spelled] = []
            groups[spelled] = {"key": found, "items": members[spelled]}
        members[spelled].append(item)
    return [{**one, "count": len(members[spelled])} for spelled, one in groups.items()]


@operator("data.range", version="1.0.0", pure=True)
async def count_up(count: int, start: int = 1) -> list[int]:
    """List whole numbers, one after the other.

    count: how many, up to 100,000
    start: the first
    """
    if not 0 <= count <= RANGE_MAX:
        raise InputRefused(f"input count must lie between 0 and {RANGE_MAX:,}", hint="change it")
    return list(range(start, start + count))


def _compiled(name: str, text: str, context: Context) -> Callable[[Value, int, Value], Value]:
    """A function of item, index and value. Raises InputRefused with input and element."""
    from symphony.workflow.expressions import BadExpression, ExpressionFailed

    try:
        template = _template(text)
    except BadExpression as error:
        raise InputRefused(f"input {name}: {error.message}", hint=error.hint) from error

    def evaluate(item: Value, index: int, value: Value) -> Value:
        if index % _CHECK_EVERY == 0 and context.cancelled():
            raise Stopped("the node was cancelled")
        scope: dict[str, Value] = {"item": item, "index": index, "value": value}
        try:
            return template.render(lambda read: scope[read.kind])
        except ExpressionFailed as error:
            raise InputRefused(
                f"input {name}, for items[{index}]: {error.message}", hint=error.hint
            ) from error

    return evaluate


def _template(text: str) -> "ValueTemplate":
    from symphony.workflow.expressions import BadExpression, Compiler

    types: dict[str, PortType] = {"item": ANY, "index": INTEGER, "value": ANY}

    def type_of(read: "Read") -> PortType:
        if read.kind not in types:
            names = "item, index and, in data.reduce, value"
            raise BadExpression(f"{read} is not known here", hint=f"an expression over a list knows {names}")
        return types[read.kind]

    bare = text.strip()
    return Compiler(type_of).template(bare if bare.startswith("${{") else f"${{{{ {bare} }}}}")
