"""Restores the order of keys in maps that come out of CEL, which has no order. Pure.

The library's maps are hash tables: their keys come out in another order in every process. A map
that passed through unchanged gets the order back that it went in with; a map that CEL built is
put in the order of its keys. Content tells the two apart: a map that equals an input map counts as passed
through. If equal maps went in with different orders, their orders are used in turn, in the order of the
inputs.

The content of a map is examined only if its keys do not decide: if the expression builds maps, or if maps
with the same keys went in with different orders.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from symphony.ports.values import Value

Keys: TypeAlias = tuple[str, ...]
Built: TypeAlias = frozenset[frozenset[str]] | None
_Content: TypeAlias = object
"""What a value holds: hashable, and equal for equal values whatever the order of keys."""

_Pick: TypeAlias = Callable[[dict[str, Value]], tuple[Value, ...]]
_LIST: Final = -1
_WALKS_MAX: Final = 1_000

_SCALARS: Final = frozenset({type(None), bool, int, float, str, bytes})


class Orders:
    """The orders of the maps among `inputs`, found when a result first asks for them.

    `built` holds the sets of keys that maps can have which the expression builds; None: any.
    """

    __slots__ = ("_built", "_by_keys", "_inputs", "_listed", "_sources")

    def __init__(self, inputs: Sequence[Value], built: Built) -> None:
        self._inputs, self._built = inputs, built
        self._listed: list[Keys] | None = None
        self._by_keys: dict[frozenset[str], Keys] = {}
        self._sources: _Sources | None = None

    @property
    def listed(self) -> Sequence[Keys]:
        """Return the keys of every map among the inputs, each order once, in the order of the inputs."""
        if self._listed is None:
            self._listed = _key_orders(self._inputs)
            for keys in self._listed:
                self._by_keys.setdefault(frozenset(keys), keys)
        return self._listed

    def restore(self, value: Value) -> Value:
        """Return `value`, a result of the expression, with its maps in order; itself if it holds none."""
        if isinstance(value, list):
            if _SCALARS.issuperset(map(type, value)):
                return value
        elif not isinstance(value, dict) or not value:
            return value
        return _Restoring(self).value(value)

    def of_keys(self, keys: Iterable[str]) -> Keys | None:
        """Return the first order of these keys among the inputs."""
        return self._by_keys.get(frozenset(keys)) if self.listed else None

    @property
    def walks(self) -> dict[int, list[list[str]]]:
        """Return the orders in which macros go through maps, by size: those of the inputs, then of
        built maps.
        """
        found: dict[int, list[list[str]]] = {}
        for keys in (*self.listed[:_WALKS_MAX], *sorted(map(sorted, self._built or ()))):
            if len(keys) > 1:
                found.setdefault(len(keys), []).append(list(keys))
        return found

    @property
    def sorts(self) -> bool:
        """True if `walks` may lack the keys of some map."""
        return self._built is None or len(self.listed) > _WALKS_MAX

    def walked(self, plain: object) -> object:
        """Return a map that the library gave, with its keys in the order in which a macro goes through it."""
        if not isinstance(plain, dict) or not all(isinstance(key, str) for key in plain):
            return plain
        return {key: plain[key] for key in self.of_keys(plain) or sorted(plain)}

    def may_build(self, keys: Iterable[str]) -> bool:
        """True if the expression may build a map with these keys."""
        return self._built is None or frozenset(keys) in self._built

    @property
    def ambiguous(self) -> bool:
        """True if maps with the same keys have different orders."""
        return len(self.listed) > len(self._by_keys)

    @property
    def sources(self) -> "_Sources":
        """Return the maps of the inputs by their content."""
        if self._sources is None:
            self._sources = _Sources(self._inputs)
        return self._sources


def _key_orders(values: Iterable[object]) -> list[Keys]:
    found: dict[Keys, None] = {}
    stack = [*values][::-1]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if item:
                found[tuple(item)] = None
            inside: Iterable[object] = item.values()
        elif isinstance(item, list):
            inside = item
        else:
            continue
        stack += [one for one in inside if isinstance(one, dict | list)][::-1]
    return list(found)


class _Restoring:
    """One result, put in order from the top down."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._choices: dict[Keys, tuple[Keys, bool]] = {}  # by the keys as the library gave them
        self._taken: dict[_Content, int] = {}
        self._contents: _Contents | None = None

    def value(self, value: Value) -> Value:
        if isinstance(value, list):
            return value if _SCALARS.issuperset(map(type, value)) else [self.value(item) for item in value]
        if not isinstance(value, dict):
            return value
        came = tuple(value)
        choice = self._choices.get(came)
        if choice is None:
            choice = self._choices[came] = self._choice(came)
        keys, look = choice
        if look:
            source = self._source(value)
            if source is not None:
                if self._orders.ambiguous:
                    self._take(value.values())
                return _like(value, source)
            if self._orders.may_build(came):
                keys = tuple(sorted(came))
        ordered = {key: value[key] for key in keys}
        if not _SCALARS.issuperset(map(type, ordered.values())):
            for key, item in ordered.items():
                ordered[key] = self.value(item)
        return ordered

    def _choice(self, came: Keys) -> tuple[Keys, bool]:
        """Return the order of a map with these keys, and whether what it holds may tell another."""
        known = self._orders.of_keys(came)
        if known is None:
            return tuple(sorted(came)), False
        return known, self._orders.ambiguous or self._orders.may_build(came)

    def _source(self, value: dict[str, Value]) -> dict[str, Value] | None:
        """Return the map among the inputs that `value` is; None if CEL built it."""
        if self._contents is None:
            self._contents = _Contents(self._orders.sources.numbers, None)
        content = self._contents.of(value)
        same = self._orders.sources.maps.get(content)
        if not same:
            return None
        number = self._taken[content] = self._taken.get(content, -1) + 1
        return same[number % len(same)]

    def _take(self, values: Iterable[Value]) -> None:
        """Note that the maps in `values` have had their turn, with the map around them."""
        for value in values:
            if isinstance(value, dict) and value:
                self._source(value)
                self._take(value.values())
            elif isinstance(value, list):
                self._take(value)


def _like(value: Value, source: Value) -> Value:
    """Return `value` in the orders of `source`, which has equal content."""
    if isinstance(value, dict) and isinstance(source, dict):
        ordered = {key: value[key] for key in source}
        if not _SCALARS.issuperset(map(type, ordered.values())):
            for key, item in ordered.items():
                ordered[key] = _like(item, source[key])
        return ordered
    if isinstance(value, list) and isinstance(source, list) and not _SCALARS.issuperset(map(type, value)):
        return [_like(item, inner) for item, inner in zip(value, source, strict=True)]
    return value


class _Sources:
    """The maps of the inputs by their content, in the order in which they follow each other."""

    def __init__(self, inputs: Sequence[Value]) -> None:
        self.maps: dict[_Content, list[dict[str, Value]]] = {}
        self.numbers = _Numbers()
        contents = _Contents(self.numbers, self.maps)
        for value in inputs:
            contents.of(value)


class _Numbers:
    """Short names of contents, shared by the inputs and the result."""

    def __init__(self) -> None:
        self._shapes: dict[Keys, tuple[int, _Pick]] = {}  # by keys in every order met
        self._contents: dict[_Content, _Content] = {}

    def shape(self, came: Keys) -> tuple[int, _Pick]:
        """Return a number for a set of keys, and what gives the values of a map with these keys in one
        order.
        """
        found = self._shapes.get(came)
        if found is None:
            keys = tuple(sorted(came))
            if keys not in self._shapes:
                self._shapes[keys] = (len(self._shapes), _picking(keys))
            found = self._shapes[came] = self._shapes[keys]
        return found

    def content(self, long: _Content) -> _Content:
        """Return a short name for the content `long`: equal contents get one name, which is quick to hash."""
        return self._contents.setdefault(long, ("#", len(self._contents)))


def _picking(keys: Keys) -> _Pick:
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda value: tuple(value.values())


class _Contents:
    """Gives values their contents, and adds the maps that it meets to `maps`, if there is one."""

    def __init__(self, numbers: _Numbers, maps: dict[_Content, list[dict[str, Value]]] | None) -> None:
        self._numbers, self._maps = numbers, maps
        self._known: dict[int, _Content] = {}  # by identity: parts of a result are asked for again

    def of(self, value: Value) -> _Content:
        """Return the content of `value`: a scalar itself, what a flat list or map holds, a short name
        for more.
        """
        inside: Sequence[Value]
        if isinstance(value, dict):
            shape, pick = self._numbers.shape(tuple(value))
            inside = pick(value)
        elif isinstance(value, list):
            shape, inside = _LIST, value
        else:
            return value
        content: _Content
        if _SCALARS.issuperset(map(type, inside)):
            content = (shape, *inside)
        elif id(value) in self._known:
            return self._known[id(value)]
        else:
            content = self._numbers.content((shape, *[self.of(item) for item in inside]))
            if self._maps is None:
                self._known[id(value)] = content
        if self._maps is not None and isinstance(value, dict):
            self._maps.setdefault(content, []).append(value)
        return content
