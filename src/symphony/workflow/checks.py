"""Port types compiled to fast checks that agree with `types.mismatch`. Pure.

A check only accepts by itself. What it cannot decide at once is left to `mismatch`, which alone words the
problems.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from itertools import chain, islice
from math import isfinite
from typing import TypeAlias

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.commons.plainness import MANY, numbers_fit
from symphony.ports.values import StoredValue
from symphony.workflow.types import PortType, mismatch

Check: TypeAlias = Callable[[StoredValue], str | None]
"""Why a value does not fit, as half a sentence, or None if it fits."""

_NONE = type(None)
_BLOCK = 16_384
_EXACT: dict[str, frozenset[type]] = {
    "string": frozenset({str}),
    "path": frozenset({str}),
    "boolean": frozenset({bool}),
    "bytes": frozenset({bytes}),
    "artifact": frozenset({str, bytes}),
    "any": frozenset({_NONE, bool, str, bytes, list, dict}),
    "json": frozenset({_NONE, bool, str, list, dict}),
}
"""By the kind of a type: what fits whatever its value is."""
_NUMBERS: dict[str, frozenset[type]] = {
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "any": frozenset({int, float}),
    "json": frozenset({int, float}),
}
"""By the kind of a type: what fits within the bounds of numbers."""


@lru_cache(maxsize=1024)
def check_of(kind: PortType) -> Check:
    """Return the check of a port's type. Make it once for each port."""
    exact, numbers = _types_of(kind)
    if kind.kind == "enum":
        return _enum_check(kind)
    if kind.kind in ("list", "map", "embedding"):
        return _holder_check(kind)
    if not numbers:

        def by_type(value: StoredValue) -> str | None:
            return None if type(value) in exact else mismatch(value, kind)

        return by_type
    floats = float in numbers

    def with_numbers(value: StoredValue) -> str | None:
        if type(value) is int:
            if INTEGER_MIN <= value <= INTEGER_MAX:
                return None
        elif type(value) in exact or (floats and type(value) is float and isfinite(value)):
            return None
        return mismatch(value, kind)

    return with_numbers


def plain_of(kind: PortType) -> Callable[[object], bool]:
    """Tells by a look what fits `kind` as it is: not all that does, and of lists and maps none.

    Nor an integer in a port of numbers, which becomes a double.
    """
    exact, numbers = _types_of(kind)
    exact = exact - {list, dict}
    choices = frozenset(kind.choices if kind.kind == "enum" else ())
    integers, floats = int in numbers and kind.kind != "number", float in numbers

    def plain(value: object) -> bool:
        if type(value) is int:
            return integers and INTEGER_MIN <= value <= INTEGER_MAX
        if type(value) is float:
            return floats and isfinite(value)
        return type(value) in exact or (type(value) is str and value in choices)

    return plain


def _types_of(kind: PortType) -> tuple[frozenset[type], frozenset[type]]:
    exact = _EXACT.get(kind.kind, frozenset())
    return exact | {_NONE} if kind.optional else exact, _NUMBERS.get(kind.kind, frozenset())


def _enum_check(kind: PortType) -> Check:
    choices = frozenset(kind.choices)

    def one_of(value: StoredValue) -> str | None:
        return None if type(value) is str and value in choices else mismatch(value, kind)

    return one_of


def _holder_check(kind: PortType) -> Check:
    """Return the check of a list, map or embedding type."""
    item = kind.item or PortType("number" if kind.kind == "embedding" else "any")
    parts = _parts_fit(item, anything=item.kind == "any" and kind.kind != "map")
    if kind.kind == "map":
        keys = frozenset(kind.choices)

        def map_of(value: StoredValue) -> str | None:
            fit = type(value) is dict and (not keys or keys.issuperset(value)) and parts(value.values())
            return None if fit else mismatch(value, kind)

        return map_of

    def list_of(value: StoredValue) -> str | None:
        return None if type(value) is list and parts(value) else mismatch(value, kind)

    return list_of


def _parts_fit(item: PortType, *, anything: bool) -> Callable[[Collection[StoredValue]], bool]:
    """True if all elements surely fit. Most lists hold few types, so the set of types is looked at."""
    if anything:
        return lambda _: True
    exact, numbers = _types_of(item)
    known = exact | numbers
    check = check_of(item)
    below = _below_fit(item)

    def fit(parts: Collection[StoredValue]) -> bool:
        kinds = set(map(type, parts))
        if kinds <= exact:
            return True
        if kinds <= known:
            if numbers_fit(parts, kinds):
                return True
        elif below is not None and len(parts) > MANY and below(parts, kinds):
            return True
        return not any(map(check, parts))

    return fit


def _below_fit(item: PortType) -> Callable[[Collection[StoredValue], set[type]], bool] | None:
    """True if the contents of all these lists or maps surely fit. They are checked together, not one by
    one.
    """
    if item.kind not in ("list", "map") or item.choices:
        return None
    inner = item.item or PortType("any")
    parts_fit = _parts_fit(inner, anything=inner.kind == "any" and item.kind == "list")
    holder = dict if item.kind == "map" else list

    def below(holders: Collection[StoredValue], kinds: set[type]) -> bool:
        if kinds != {holder}:
            return False
        parts = chain.from_iterable(map(dict.values, holders) if holder is dict else holders)  # type: ignore[arg-type]
        while block := list(islice(parts, _BLOCK)):
            if not parts_fit(block):
                return False
        return True

    return below
