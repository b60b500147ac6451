"""`data.group`: groups elements by key and aggregates each group."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final, Literal, TypeAlias

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.kit.errors import InputRefused, Stopped
from symphony.kit.item_expressions import ItemCel, heavy_over
from symphony.kit.keys import KeyColumn, column, identities, identity
from symphony.ports.values import Value
from symphony.sdk import Context, operator

Number: TypeAlias = int | float
Function: TypeAlias = Literal[
    "count", "sum", "mean", "median", "min", "max", "first", "last", "list", "unique", "count_unique"
]


@operator("data.group", version="1.1.0", pure=True, bounds=heavy_over("items", "key", "by", "aggregates"))
def group(
    items: list[Value],
    context: Context,
    key: ItemCel | None = None,
    by: dict[str, ItemCel] = {},  # noqa: B006
    aggregates: dict[str, dict[Function, ItemCel]] = {},  # noqa: B006
) -> list[dict[str, Value]]:
    """Group the elements that have the same key, or compute aggregates of each group.

    Groups are in order of first appearance. 1 and 1.0 are the same key, 1 and true are not, and null is a key
    like any other. Without `key` and `by` all elements form one group, even if the list is empty.

    An aggregate is written `NAME: {FUNCTION: CEL}`, for instance `lines: {sum: item.lines}` or
    `files: {count: item}`. The functions are count, sum, mean, median, min, max, first, last, list, unique
    (a list without repetitions) and count_unique. All of them ignore nulls. Without any value, sums and
    counts are 0, lists are empty, and the others are null. sum, mean and median take numbers; min and max
    take numbers, texts or booleans. Sums and means of doubles do not depend on their order.

    items: the list
    key: CEL over `item` and `index`, for instance item.name; a path such as item.owner.name is null for
        elements without that field
    by: several keys instead of one, each with the name of its field, for instance
        `{owner: item.owner.name}`
    aggregates: what to compute, by the name of the resulting field

    Returns:
        result: maps with the key (or the fields of `by`) and the aggregates; without aggregates, with the
            key, items and count
    """
    keys = _keys(items, key, by, context)
    names = ["items", "count"] if not aggregates else list(aggregates)
    for name in names:
        if name in keys:
            raise InputRefused(f"{name!r} is the name of a key, too", hint="call one of them otherwise")
    wanted = [
        _Aggregate.of(name, {str(one): text for one, text in spelled.items()}, items, context)
        for name, spelled in aggregates.items()
    ]
    group_of, first = _groups(identities(list(keys.values())) if keys else None, len(items))
    if context.cancelled():
        raise Stopped("the node was cancelled")
    rows: list[dict[str, Value]] = [
        {} if at is None else {name: one.values[at] for name, one in keys.items()} for at in first
    ]
    if not aggregates:
        for row, members in zip(rows, _shared_out(items, group_of, len(rows)), strict=True):
            row["items"], row["count"] = members, len(members)
    for one in wanted:
        for row, value in zip(rows, one.computed(group_of, len(rows)), strict=True):
            row[one.name] = value
    return rows


def _keys(
    items: list[Value], key: str | None, by: Mapping[str, str], context: Context
) -> dict[str, KeyColumn]:
    if key is None:
        return {name: column(f"by.{name}", text, items, context) for name, text in by.items()}
    if by:
        raise InputRefused("give key or by, not both", hint="write the key into `by`, with a name")
    return {"key": column("key", key, items, context)}


def _groups(keys: Sequence[Hashable] | None, count: int) -> tuple[Sequence[int], Sequence[int | None]]:
    """Return the group of each element, and the first element of each group."""
    if keys is None:
        return [0] * count, [None]
    number: dict[Hashable, int] = {}
    group_of = [number.setdefault(key, len(number)) for key in keys]
    first: list[int | None] = []
    for at, one in enumerate(group_of):
        if one == len(first):
            first.append(at)
    return group_of, first


def _shared_out(values: Sequence[Value], group_of: Sequence[int], count: int) -> list[list[Value]]:
    members: list[list[Value]] = [[] for _ in range(count)]
    for value, one in zip(values, group_of, strict=True):
        members[one].append(value)
    return members


@dataclass(frozen=True, slots=True)
class _Aggregate:
    """One aggregate. `values` has one value per element."""

    name: str
    function: str
    values: KeyColumn

    @classmethod
    def of(cls, name: str, spelled: Mapping[str, str], items: list[Value], context: Context) -> "_Aggregate":
        """Parse an aggregate.

        Raises InputRefused if it is malformed or its values do not suit the function.
        """
        place = f"aggregates.{name}"
        function = next(iter(spelled), "")
        if len(spelled) != 1 or function not in _FUNCTIONS:
            what = (
                f"{function!r} is not a function"
                if len(spelled) == 1
                else "it must have exactly one function"
            )
            raise InputRefused(
                f"input {place}: {what}",
                hint=f"write {name}: {{FUNCTION: CEL}} with one of {', '.join(_FUNCTIONS)}",
            )
        found = column(f"{place}.{function}", spelled[function], items, context)
        if function in ("sum", "mean", "median"):
            found.check_numbers()
        elif function in ("min", "max"):
            found.check_order()
        return cls(name, function, found)

    def computed(self, group_of: Sequence[int], count: int) -> list[Value]:
        """Return the value of each group. Raises InputRefused for a number that is too large."""
        function = _FUNCTIONS[self.function]
        made: list[Value] = []
        for members in _shared_out(self.values.values, group_of, count):
            value = function([one for one in members if one is not None])
            if _is_too_large(value):
                raise InputRefused(
                    f"input {self.values.name}: of {len(members):,} values it is larger than any "
                    f"{'64-bit integer' if isinstance(value, int) else 'number'}",
                    hint="compute it of doubles: double(item.x)"
                    if isinstance(value, int)
                    else "use smaller units",
                )
            made.append(value)
        return made


def _is_too_large(value: Value) -> bool:
    if isinstance(value, float):
        return not math.isfinite(value)
    return isinstance(value, int) and not INTEGER_MIN <= value <= INTEGER_MAX


def _numbers(values: list[Value]) -> list[Number]:
    return [value for value in values if isinstance(value, int | float)]


def _sum(values: list[Value]) -> Value:
    return _exact_sum(_numbers(values))


def _exact_sum(numbers: list[Number]) -> Number:
    if not any(isinstance(number, float) for number in numbers):
        return sum(numbers)
    try:
        return math.fsum(numbers)
    except OverflowError:  # also for a partial sum, when the whole sum would not be too large
        return _nearest(sum(map(Fraction, numbers), Fraction(0)))


def _mean(values: list[Value]) -> Value:
    numbers = _numbers(values)
    if not numbers:
        return None
    total = _exact_sum(numbers)
    if math.isfinite(total):
        return total / len(numbers)
    return _nearest(sum(map(Fraction, numbers), Fraction(0)) / len(numbers))


def _nearest(exact: Fraction) -> float:
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def _median(values: list[Value]) -> Value:
    numbers = sorted(_numbers(values))
    if not numbers:
        return None
    middle = len(numbers) // 2
    return numbers[middle] if len(numbers) % 2 else _mean([*numbers[middle - 1 : middle + 1]])


def _extreme(values: list[Value], choose: Callable[..., Value]) -> Value:
    return choose(values, default=None)  # all of one kind that has an order: see `check_order`


def _unique(values: list[Value]) -> list[Value]:
    found: dict[Hashable, Value] = {}
    for value in values:
        found.setdefault(identity(value), value)
    return list(found.values())


_FUNCTIONS: Final[Mapping[str, Callable[[list[Value]], Value]]] = {
    "count": len,
    "sum": _sum,
    "mean": _mean,
    "median": _median,
    "min": partial(_extreme, choose=min),
    "max": partial(_extreme, choose=max),
    "first": lambda values: values[0] if values else None,
    "last": lambda values: values[-1] if values else None,
    "list": list,
    "unique": _unique,
    "count_unique": lambda values: len(_unique(values)),
}
