"""The keys by which lists are sorted, grouped and joined, one for each element. No operators here.

Two keys are equal as values of CEL and JSON are: 1 and 1.0 are the same, 1 and true are not, and texts
are compared by their code points.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import ne
from typing import TYPE_CHECKING, Final, TypeAlias

from symphony.kit.errors import InputRefused, Stopped
from symphony.kit.item_expressions import Evaluate, compiled, evaluating
from symphony.ports.values import Value
from symphony.sdk import Context

if TYPE_CHECKING:
    from symphony.workflow.expressions import ValueTemplate

Steps: TypeAlias = tuple[int | str, ...]
"""Names of fields and indices of elements that lead to a value."""

_FAMILIES: Final[dict[type, str]] = {
    bool: "a boolean", int: "a number", float: "a number", str: "a text", bytes: "bytes",
    list: "a list", dict: "a map", type(None): "null",
}  # fmt: skip
_UNORDERED: Final = ("a list", "a map")
_PLAIN: Final = frozenset({str, int, float, bytes, type(None)})
"""Types whose values Python tells apart as we do."""
_NAMES_SHOWN: Final = 12


class _Field(Enum):
    """Stands for a field that an element does not have."""

    ABSENT = 0


@dataclass(frozen=True, slots=True)
class KeyColumn:
    """The values of one expression for all elements of a list.

    `name` is the input that it comes from, `items` that of the list. `field`: the name of the field
    that it reads, if it does no more.
    """

    name: str
    items: str
    field: str | None
    values: Sequence[Value]

    def families(self) -> dict[str, int]:
        """Return what kinds of values there are besides null, and the first element that has each."""
        kinds = [kind for kind in dict.fromkeys(map(type, self.values)) if kind is not type(None)]
        found: dict[str, int] = {}
        for kind in kinds:
            first = next(at for at, value in enumerate(self.values) if type(value) is kind)
            found.setdefault(_FAMILIES[kind], first)
        return found

    def check_order(self) -> None:
        """Raise InputRefused, naming elements, unless the values that are not null have an order."""
        found = self.families()
        if len(found) > 1:
            (one, first), (other, second) = sorted(found.items(), key=lambda pair: pair[1])[:2]
            raise InputRefused(
                f"input {self.name}: {one} for {self.items}[{first}] and {other} for "
                f"{self.items}[{second}] have no order",
                hint="make them one type: string(…), double(…)",
            )
        for family, first in found.items():
            if family in _UNORDERED:
                raise InputRefused(
                    f"input {self.name}: {family}, as for {self.items}[{first}], has no order",
                    hint="name a text, a number or a boolean in it; several keys are several expressions",
                )
        if "a number" in found:
            self._check_numbers()

    def check_numbers(self) -> None:
        """Raise InputRefused, naming the element, unless all values are numbers or null."""
        for family, first in self.families().items():
            if family != "a number":
                hint = "count truths with: item.x ? 1 : 0" if family == "a boolean" else "use double(…)"
                raise InputRefused(
                    f"input {self.name}: {family}, for {self.items}[{first}], is not a number", hint=hint
                )
        self._check_numbers()

    def _check_numbers(self) -> None:
        if any(map(ne, self.values, self.values)):
            at = next(i for i, value in enumerate(self.values) if value != value)
            raise InputRefused(f"input {self.name}: not a number, for {self.items}[{at}]", hint="use null")


def column(name: str, text: str, items: Sequence[Value], context: Context, of: str = "items") -> KeyColumn:
    """Return the values of the expression `text`, the input `name`, for `items`, the input `of`.

    A path such as `item.owner.name` is null for an element that has no such field, or nothing at all.
    Raises InputRefused, which names input and element; also for a path that no element has. Stopped.
    """
    template = compiled(name, text)
    evaluate = evaluating(name, template, context, of)
    path = _path(template)
    if context.cancelled():
        raise Stopped("the node was cancelled")
    if path is None:
        values = [evaluate(item, index, None) for index, item in enumerate(items)]
        return KeyColumn(name, of, None, values)
    if not path:
        return KeyColumn(name, of, None, items)
    found = [_along(path, item, index, evaluate) for index, item in enumerate(items)]
    if found and all(value is _Field.ABSENT for value in found):
        raise InputRefused(f"input {name}: no element of {of} has {text.strip()}", hint=_hint(items))
    field = path[0] if len(path) == 1 and isinstance(path[0], str) else None
    return KeyColumn(name, of, field, [None if value is _Field.ABSENT else value for value in found])


def _along(path: Steps, item: Value, index: int, evaluate: Evaluate) -> Value | _Field:
    """Return the value that `path` leads to. `evaluate` is asked where that is nothing that it leads
    through.
    """
    value = item
    for step in path:
        if type(value) is dict and isinstance(step, str):
            if step not in value:
                return _Field.ABSENT
            value = value[step]
        elif type(value) is list and isinstance(step, int):
            if step >= len(value):
                return _Field.ABSENT
            value = value[step]
        elif value is None:
            return _Field.ABSENT
        else:
            return evaluate(item, index, None)
    return value


def _path(template: "ValueTemplate") -> Steps | None:
    """Return the steps from an element to the value, if the expression is a path."""
    if template.bare is not None:
        return () if template.bare.kind == "item" else None
    pick = template.pick
    if pick is None or pick.counts or pick.read.kind != "item":
        return None
    steps = tuple(step for step in pick.steps if isinstance(step, int | str))
    return steps if len(steps) == len(pick.steps) else None


def _hint(items: Sequence[Value]) -> str:
    first = next((item for item in items if isinstance(item, dict)), None)
    if not first:
        return "the elements are not maps: write item"
    names = ", ".join(list(first)[:_NAMES_SHOWN])
    return f"the first has: {names}{', …' if len(first) > _NAMES_SHOWN else ''}; check the name"


def columns(
    name: str, texts: Sequence[str], items: Sequence[Value], context: Context, of: str = "items"
) -> list[KeyColumn]:
    """Return a column for each of `texts`, the input `name`. Raises InputRefused, also if there is
    none; Stopped.
    """
    if not texts:
        raise InputRefused(f"input {name} is empty", hint="give an expression, such as item.name")
    return [column(f"{name}[{at}]", text, items, context, of) for at, text in enumerate(texts)]


def identities(found: Sequence[KeyColumn]) -> Sequence[Hashable]:
    """Return a key for each element, from its values in all columns: equal if all of these are."""
    sides = [_identities(one.values) for one in found]
    return sides[0] if len(sides) == 1 else list(zip(*sides, strict=True))


def _identities(values: Sequence[Value]) -> Sequence[Hashable]:
    if set(map(type, values)) <= _PLAIN:
        return [value for value in values if not isinstance(value, list | dict)]
    return list(map(identity, values))


def identity(value: Value) -> Hashable:
    """Return a hashable key that is equal for equal values."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("list", *map(identity, value))
    if isinstance(value, dict):
        names = sorted(value)
        return ("map", *names, *[identity(value[name]) for name in names])
    return value


def same_kinds(left: KeyColumn, right: KeyColumn) -> None:
    """Raise InputRefused if no value of one column can equal one of the other, for their kinds differ."""
    one, other = left.families(), right.families()
    if one and other and not one.keys() & other.keys():
        first, second = next(iter(one)), next(iter(other))
        raise InputRefused(
            f"nothing can match: input {left.name} gives {first} for left[{one[first]}], "
            f"{right.name} {second} for right[{other[second]}]",
            hint="make them one type: string(…), int(…)",
        )
