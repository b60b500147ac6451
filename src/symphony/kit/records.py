"""Lists of records put in order, made unique and joined: `data.sort`, `data.unique`, `data.join`."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from symphony.kit.csv_text import columns_of
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.item_expressions import ItemCel, heavy_over
from symphony.kit.keys import KeyColumn, columns, identities, same_kinds
from symphony.ports.values import Value
from symphony.sdk import Bounds, Context, operator

JOINED_MAX: Final = 2_000_000
"""The most records that a join gives: keys that are not unique multiply."""

Kind: TypeAlias = Literal["inner", "left", "right", "full", "semi", "anti"]
Record: TypeAlias = dict[str, Value]


@operator("data.sort", version="1.0.0", pure=True, bounds=heavy_over("items", "by"))
def sort(
    items: list[Value],
    context: Context,
    by: list[ItemCel] = ["item"],  # noqa: B006
    descending: list[bool] = [],  # noqa: B006
    missing: Literal["last", "first"] = "last",
    ignore_case: bool = False,
    limit: int | None = None,
) -> list[Value]:
    """Sort a list.

    Elements with equal keys stay in the order that they have. Numbers are in the order of their values,
    texts in that of their code points, false comes before true. Keys of one expression are of one kind:
    a number and a text have no order, nor have lists and maps.

    items: the list
    by: CEL over `item` and `index`, the most important first, for instance item.lines, item.name; a path
        such as item.owner.name is null for elements without that field
    descending: whether the greatest comes first, for each of `by` or one for all; empty for none
    missing: where elements go whose key is null, also in descending order
    ignore_case: compare texts without case
    limit: keep so many elements, the first ones; null keeps all
    """
    if limit is not None and limit < 0:
        raise InputRefused("input limit is negative", hint="use 0 or more, or null for all elements")
    if len(descending) not in (0, 1, len(by)):
        raise InputRefused(
            f"input descending has {len(descending)} elements, and by has {len(by)}",
            hint="give one for each, or one for all",
        )
    backwards = descending * len(by) if len(descending) == 1 else descending or [False] * len(by)
    found = columns("by", by, items, context)
    for one in found:
        one.check_order()
    order = list(range(len(items)))
    for one, reverse in zip(reversed(found), reversed(backwards), strict=True):
        if context.cancelled():
            raise Stopped("the node was cancelled")
        order = _ordered(order, one.values, reverse, missing == "first", ignore_case)
    return [items[at] for at in order[:limit]]


def _ordered(
    order: list[int], values: Sequence[Value], reverse: bool, nulls_first: bool, ignore_case: bool
) -> list[int]:
    """Return `order` by the values at its numbers, stable, with those of null at one end.

    The values have an order: `KeyColumn.check_order`.
    """
    nulls = [at for at in order if values[at] is None] if None in values else []
    filled = [at for at in order if values[at] is not None] if nulls else order
    keys: Sequence[object] = values
    if ignore_case and filled and isinstance(values[filled[0]], str):
        keys = [value.casefold() if isinstance(value, str) else value for value in values]
    filled = sorted(filled, key=keys.__getitem__, reverse=reverse)  # type: ignore[arg-type]
    return [*nulls, *filled] if nulls_first else [*filled, *nulls]


@operator("data.unique", version="1.0.0", pure=True, bounds=heavy_over("items", "by"))
def unique(
    items: list[Value],
    context: Context,
    by: list[ItemCel] = ["item"],  # noqa: B006
    keep: Literal["first", "last"] = "first",
) -> list[Value]:
    """Remove elements with duplicate keys. The remaining elements keep their order.

    1 and 1.0 are the same, 1 and true are not; null is a key as any other. Texts are the same if they
    have the same code points.

    items: the list
    by: CEL over `item` and `index`, for instance item.id; the whole element if not given; a path such as
        item.owner.name is null for elements without that field
    keep: which of them
    """
    keys = identities(columns("by", by, items, context))
    if keep == "last":
        places = sorted({key: at for at, key in enumerate(keys)}.values())
    else:
        first: dict[Hashable, int] = {}
        for at, key in enumerate(keys):
            first.setdefault(key, at)
        places = list(first.values())
    return [items[at] for at in places]


def _join_is_heavy(inputs: Mapping[str, Value]) -> bool:
    return _LEFT.heavy(inputs) or _RIGHT.heavy(inputs)


_LEFT: Final = heavy_over("left", "by")
_RIGHT: Final = heavy_over("right", "by", "right_by")


@operator("data.join", version="1.0.0", pure=True, bounds=Bounds(heavy=_join_is_heavy))
def join(
    left: list[Record],
    right: list[Record],
    by: list[ItemCel],
    context: Context,
    right_by: list[ItemCel] = [],  # noqa: B006
    kind: Kind = "inner",
    suffix: str = "_right",
    unique: Literal["none", "left", "right", "both"] = "none",
) -> list[Record]:
    """Join the records of two lists that have the same keys.

    Each pair of such records gives one, so that keys which are not unique multiply; at most 2,000,000.
    A null key matches nothing. 1 and 1.0 match, 1 and true do not; where all keys of one list are of
    another kind than those of the other, such as texts and numbers, that is an error. Records are in the
    order of `left`, then of `right`; a right join has that of `right`.

    A field that is a key under one name on both sides appears once. Of other fields that both lists have,
    the one of `right` gets the suffix. Where there is no match, fields of the other list are null.

    left: maps
    right: maps
    by: CEL over `item` and `index`, for instance item.id; a path is null for records without that field
    right_by: the same for `right`, as many; empty if they are the same
    kind: inner gives what matches; left also what is only in `left`, right what is only in `right`, full
        both; semi gives the records of `left` that match, and anti those that do not, once and unchanged
    suffix: what a field of `right` gets behind its name
    unique: fail if two records of that list have the same key
    """
    right_by = right_by or by
    if len(right_by) != len(by):
        raise InputRefused(
            f"input right_by has {len(right_by)} expressions, and by has {len(by)}",
            hint="give as many",
        )
    sides = _Sides(
        columns("by", by, left, context, "left"),
        columns("right_by" if right_by is not by else "by", right_by, right, context, "right"),
    )
    if unique in ("left", "both"):
        sides.check_unique("left", sides.left, sides.left_keys)
    if unique in ("right", "both"):
        sides.check_unique("right", sides.right, sides.right_keys)
    if kind in ("semi", "anti"):
        known = {key for key, null in zip(sides.right_keys, sides.right_nulls, strict=True) if not null}
        wanted = kind == "semi"
        pairs = zip(left, sides.left_keys, sides.left_nulls, strict=True)
        return [record for record, key, null in pairs if (not null and key in known) is wanted]
    sides.check_size(kind)
    shape = _Shape.of(left, right, sides, suffix)
    if context.cancelled():
        raise Stopped("the node was cancelled")
    return _joined(left, right, sides, shape, kind)


class _Sides:
    """The keys of both lists, and which of them have a null. Raises InputRefused."""

    def __init__(self, left: list[KeyColumn], right: list[KeyColumn]) -> None:
        for one, other in zip(left, right, strict=True):
            same_kinds(one, other)
        self.left, self.right = left, right
        self.left_keys, self.right_keys = identities(left), identities(right)
        self.left_nulls, self.right_nulls = _nulls(left), _nulls(right)

    def check_unique(self, side: str, found: list[KeyColumn], keys: Sequence[Hashable]) -> None:
        """Raise InputRefused if two records have the same key."""
        known: dict[Hashable, int] = {}
        for at, key in enumerate(keys):
            before = known.setdefault(key, at)
            if before != at:
                said = ", ".join(repr(one.values[at])[:60] for one in found)
                raise InputRefused(
                    f"{side}[{before}] and {side}[{at}] have the same key {said}",
                    hint=f"use data.unique, or do not say unique: {side}",
                )

    def check_size(self, kind: Kind) -> None:
        """Raise OutputTooLarge before anything is made."""
        left = Counter(key for key, null in zip(self.left_keys, self.left_nulls, strict=True) if not null)
        right = Counter(key for key, null in zip(self.right_keys, self.right_nulls, strict=True) if not null)
        shared = left.keys() & right.keys()
        size = sum(left[key] * right[key] for key in shared)
        if kind in ("left", "full"):
            size += len(self.left_keys) - sum(left[key] for key in shared)
        if kind in ("right", "full"):
            size += len(self.right_keys) - sum(right[key] for key in shared)
        if size > JOINED_MAX:
            raise OutputTooLarge(
                f"the join has {size:,} records, and at most {JOINED_MAX:,} are made",
                hint="many records have the same key: join by more, or say unique: right to find them",
            )


def _nulls(found: list[KeyColumn]) -> Sequence[bool]:
    sides = [[value is None for value in one.values] for one in found]
    return sides[0] if len(sides) == 1 else list(map(any, zip(*sides, strict=True)))


@dataclass(frozen=True, slots=True)
class _Shape:
    """The fields of a joined record: `names` has those of the right list that stay, by their name there.

    `shared` are the fields that are a key under one name on both sides.
    """

    left: dict[str, None]
    names: dict[str, str]
    shared: tuple[str, ...]

    @classmethod
    def of(cls, left: list[Record], right: list[Record], sides: _Sides, suffix: str) -> "_Shape":
        """Raises InputRefused if two fields would have one name."""
        pairs = zip(sides.left, sides.right, strict=True)
        shared = tuple(
            one.field for one, other in pairs if one.field is not None and one.field == other.field
        )
        first, second = columns_of(left), columns_of(right)
        taken = set(first)
        names = {one: f"{one}{suffix}" if one in taken else one for one in second if one not in shared}
        seen = taken | set(shared)
        for one, name in names.items():
            if name in seen:
                raise InputRefused(
                    f"field {one!r} of right would be {name!r}, which is there already",
                    hint="say another suffix",
                )
            seen.add(name)
        return cls(dict.fromkeys(first), names, shared)

    def renamed(self, record: Record) -> Record:
        """Return a record of the right list without shared fields, its others by their new names."""
        return {self.names[name]: value for name, value in record.items() if name in self.names}


def _joined(
    left: list[Record], right: list[Record], sides: _Sides, shape: _Shape, kind: Kind
) -> list[Record]:
    empty = dict.fromkeys(shape.names.values())
    renamed = [shape.renamed(record) for record in right]

    def alone(at: int) -> Record:
        keys = {name: right[at].get(name) for name in shape.shared}
        return {**shape.left, **keys, **renamed[at]}

    made: list[Record] = []
    if kind == "right":
        places = _places(sides.left_keys, sides.left_nulls)
        for at, (key, null) in enumerate(zip(sides.right_keys, sides.right_nulls, strict=True)):
            partners = () if null else places.get(key, ())
            made += [{**left[one], **renamed[at]} for one in partners] if partners else [alone(at)]
        return made
    places = _places(sides.right_keys, sides.right_nulls)
    matched: set[Hashable] = set()
    for record, key, null in zip(left, sides.left_keys, sides.left_nulls, strict=True):
        partners = () if null else places.get(key, ())
        if partners:
            made += [{**record, **renamed[one]} for one in partners]
            matched.add(key)
        elif kind in ("left", "full"):
            made.append({**record, **empty})
    if kind == "full":
        for at, (key, null) in enumerate(zip(sides.right_keys, sides.right_nulls, strict=True)):
            if null or key not in matched:
                made.append(alone(at))
    return made


def _places(keys: Sequence[Hashable], nulls: Sequence[bool]) -> dict[Hashable, Sequence[int]]:
    """Return where each key is, but for nulls."""
    found: dict[Hashable, list[int]] = {}
    for at, (key, null) in enumerate(zip(keys, nulls, strict=True)):
        if not null:
            found.setdefault(key, []).append(at)
    return {**found}
