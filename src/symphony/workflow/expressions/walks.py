"""Tells from an expression's text which maps it can build, and which macros go through a map.

A macro such as `m.map(key, …)` goes through a map in the order of the library's hash table, another in
every process. `ordered_walks` rewrites a text so that the library finds the order of the keys in a list
of orders, a variable, and falls back to its own where none fits. Pure.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from symphony.workflow.expressions.order import Built
from symphony.workflow.expressions.scan import Token, tokens
from symphony.workflow.expressions.staging import bracket_pairs, is_macro, operand_start

_LISTING = frozenset({"map", "filter"})
"""The macros whose results depend on the order in which they go through a map."""
_SORTED_MAX = 50


@lru_cache(maxsize=4_096)
def built_maps(text: str) -> Built:
    """Return the sets of keys that maps can have which `text` builds; None if that cannot be told."""
    found = tokens(text)
    pairs = bracket_pairs(found)
    built = set[frozenset[str]]()
    for at, token in enumerate(found):
        if token.kind == "op" and token.text == "{":
            keys = _keys(found, pairs, at)
            if keys is None:
                return None
            built.add(keys)
    return frozenset(built)


def _keys(found: Sequence[Token], pairs: Mapping[int, int], opening: int) -> frozenset[str] | None:
    """Return the keys of the map that is written at a brace, if all are plain texts."""
    closing = pairs.get(opening)
    if closing is None or (opening and found[opening - 1].kind in ("ident", "quoted")):
        return None  # a message, whose fields may hold maps
    keys, at, expected = set[str](), opening + 1, True
    while at < closing:
        token = found[at]
        if expected:
            text = token.text
            if token.kind != "string" or "\\" in text or text[0] not in "\"'" or text[:3] in ('"""', "'''"):
                return None
            if found[at + 1].text != ":":
                return None
            keys.add(text[1:-1])
        expected = token.kind == "op" and token.text == ","
        at = pairs.get(at, at) + 1 if token.text in ("(", "[", "{") and token.kind == "op" else at + 1
    return frozenset(keys)


class Walks(NamedTuple):
    """A text whose macros go through maps in order, and the variables that it expects beside its own.

    `orders` is for what `Orders.walks` gives, empty if it is not needed. `keys` names the variables that
    hold maps, each with the one that is to hold the list of its keys.
    """

    text: str
    orders: str
    keys: Sequence[tuple[str, str]]


@lru_cache(maxsize=4_096)
def ordered_walks(text: str, lists: frozenset[str], maps: frozenset[str], sorts: bool) -> Walks | None:
    """Return `text` with macros that go through maps in order; None if none of its macros goes through one.

    `lists` and `maps` are the variables that hold such. With `sorts`, the keys of a map whose order is
    not known are sorted, if there are not very many.
    """
    found = tokens(text)
    pairs = bracket_pairs(found)
    name = "_1"
    while name in text:
        name += "1"
    added, walk = list[tuple[int, int, str]](), _walk(name, sorts)
    keys = dict[str, str]()
    for dot in range(1, len(found) - 2):
        if found[dot + 1].text not in _LISTING or not is_macro(found, pairs, dot):
            continue
        first = operand_start(found, pairs, dot - 1)
        start, end = found[first].start, found[dot].start
        if first == dot - 1 and found[first].text in maps:
            variable = keys.setdefault(found[first].text, f"{name}m{len(keys)}")
            added.append((start, found[first].end, variable))
        elif not _is_list(found, pairs, first, dot - 1, lists):
            added += ((start, start, "[dyn("), (end, end, walk))
    if not added:
        return None
    out, at = "", 0
    for start, end, more in sorted(added, key=lambda one: one[:2]):
        out, at = out + text[at:start] + more, end
    orders = f"{name}o" if any(more == walk for _, _, more in added) else ""
    return Walks(out + text[at:], orders, tuple(keys.items()))


def _walk(name: str, sorts: bool) -> str:
    """Return what stands behind an operand in brackets: it, or the keys of the map that it is."""
    orders, order, key, it = (f"{name}{letter}" for letter in "oikv")
    sized = f"size({it}) in {orders} ? {orders}[size({it})] : []"
    other = _sorted(it, name) if sorts else f"dyn({it})"
    keys = f"(({sized}).filter({order}, {order}.all({key}, {key} in {it})) + [{other}])[0]"
    return f")].map({it}, type({it}) == map ? {keys} : {it})[0]"


def _sorted(it: str, name: str) -> str:
    """CEL that sorts the keys of the map `it`, if all have one type, by how many are less. Quadratic."""
    key, less, pairs, pair, number = (f"{name}{letter}" for letter in "jlpqn")
    ranks = f"{it}.map({key}, [dyn({key}), size({it}.filter({less}, {less} < {key}))])"
    numbers = f"{list(range(_SORTED_MAX))}.filter({number}, {number} < size({it}))"
    picked = f"{numbers}.map({number}, {pairs}.filter({pair}, {pair}[1] == {number})[0][0])"
    alike = f"{it}.all({key}, {it}.all({less}, type({less}) == type({key})))"
    sortable = f"size({it}) <= {_SORTED_MAX} && {alike}"
    return f"{sortable} ? dyn([{ranks}].map({pairs}, {picked})[0]) : dyn({it})"


def _is_list(
    found: Sequence[Token], pairs: Mapping[int, int], first: int, last: int, lists: frozenset[str]
) -> bool:
    """True if the operand of these tokens looks like a list."""
    if first == last:
        return found[first].text in lists
    if found[first].text == "[" and pairs.get(first) == last:
        return True
    opening = pairs.get(last, -1)
    return opening > 1 and found[opening - 1].text in _LISTING and is_macro(found, pairs, opening - 2)
