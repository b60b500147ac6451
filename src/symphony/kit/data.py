"""Operators on lists: `data.*`. Expressions are CEL, as everywhere in a workflow."""

import math
import re
from collections.abc import Mapping
from typing import Annotated

from symphony.kit.errors import InputRefused
from symphony.kit.item_expressions import ITEM, STEPS_MAX, ItemCel, evaluator, heavy_over, is_much
from symphony.ports.values import Value
from symphony.sdk import Bounds, Cel, Context, operator
from symphony.sdk.bounds import extent

RANGE_MAX = 100_000


@operator("data.flatten", version="1.0.0", pure=True)
async def flatten(items: list[Value]) -> list[Value]:
    """Flatten a list of lists by one level.

    Elements that are not lists stay as they are. Nulls, which skipped elements of a for_each leave behind,
    are left out.

    items: the lists
    """
    flat: list[Value] = []
    for item in items:
        if isinstance(item, list):
            flat += item
        elif item is not None:
            flat.append(item)
    return flat


@operator("data.map", version="1.0.0", pure=True, bounds=heavy_over("items", "expression"))
def map_items(items: list[Value], expression: ItemCel, context: Context) -> list[Value]:
    """Compute a value for each element.

    items: the list
    expression: CEL over `item` and `index`, for instance item.name + "!"
    """
    evaluate = evaluator("expression", expression, context)
    return [evaluate(item, index, None) for index, item in enumerate(items)]


@operator("data.filter", version="1.0.0", pure=True, bounds=heavy_over("items", "condition"))
def filter_items(
    items: list[Value], condition: Annotated[str, Cel(*ITEM, gives=bool)], context: Context
) -> list[Value]:
    """Keep the elements that meet a condition.

    items: the list
    condition: CEL over `item` and `index`, true or false, for instance item.lines > 10
    """
    evaluate = evaluator("condition", condition, context)
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
    """True if the expression is heavy, or `value` can grow by a factor with each element."""
    expression, items = inputs.get("expression"), inputs.get("items")
    if not isinstance(expression, str) or not isinstance(items, list):
        return False
    size = extent([items, inputs.get("initial")], STEPS_MAX)
    if is_much(size, expression):
        return True
    copies = expression.count("value")
    if copies == 1 and _CALLS.search(expression):
        copies = 2
    elif not any(mark in expression for mark in "+[{("):
        copies = 1
    return len(items) * math.log2(max(copies, 1)) + math.log2(size) > math.log2(5 * STEPS_MAX)


@operator("data.reduce", version="1.0.0", pure=True, bounds=Bounds(heavy=_builds_up))
def reduce(
    items: list[Value],
    expression: Annotated[str, Cel("value", *ITEM)],
    context: Context,
    initial: Value = None,
) -> Value:
    """Compute one value from all elements, one after the other.

    items: the list
    expression: CEL over `value` (the result so far), `item` and `index`, for instance
        value + item.size
    initial: the first `value`
    """
    evaluate = evaluator("expression", expression, context, ("value", *ITEM))
    value = initial
    for index, item in enumerate(items):
        value = evaluate(item, index, value)
    return value


@operator("data.range", version="1.0.0", pure=True)
async def count_up(count: int, start: int = 1) -> list[int]:
    """List consecutive whole numbers.

    count: how many, up to 100,000
    start: the first number
    """
    if not 0 <= count <= RANGE_MAX:
        raise InputRefused(f"input count must lie between 0 and {RANGE_MAX:,}", hint="change it")
    return list(range(start, start + count))
