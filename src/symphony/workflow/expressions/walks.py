"""What the text of an expression says about maps: which it can build, and which macros go through one.

A macro such as `m.map(key, …)` goes through a map in the order of the library's hash table, another
in every process. `ordered_walks` rewrites a text so that the library finds the order of the keys
in a list of orders, a variable, and falls back to its own where none fits. Pure.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from symphony.workflow.expressions.order import Built
from symphony.workflow.expressions.scan import Token, tokens
from symphony.workflow.expressions.staging import bracket_pairs, is_macro, operand_start

_LISTING = frozenset({"map", "filter"})
"""The macros whose results tell the order in which they went."""
_SORTED_MAX = 50


@lru_cache(maxsize=4_096)
def built_maps(text: str) -> Built:
    """The sets of keys that maps can have which `text` builds; None if that cannot be told."""
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
    """The keys of the map that is written at a brace, if all are plain texts."""
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


@lru_cache(maxsize=4_096)
def ordered_walks(text: str, lists: frozenset[str], sorts: bool) -> tuple[str, str]:
    """`text` with macros that go through maps in order, and the variable that it expects.

    The variable is a list of lists of keys. `text` itself and no variable if no macro may go through
    a map: `lists` are the variables that hold lists. With `sorts`, the keys of a map that are not in
    the variable are sorted, if there are not very many.
    """
    found = tokens(text)
    pairs = bracket_pairs(found)
    name = "_1"
    while name in text:
        name += "1"
    added, walk = list[tuple[int, str]](), _walk(name, sorts)
    for dot in range(1, len(found) - 2):
        if found[dot + 1].text in _LISTING and is_macro(found, pairs, dot):
            first = operand_start(found, pairs, dot - 1)
            if not _is_list(found, pairs, first, dot - 1, lists):
                added += ((found[first].start, "[dyn("), (found[dot].start, walk))
    if not added:
        return text, ""
    out, at = "", 0
    for position, more in sorted(added, key=lambda one: one[0]):
        out, at = out + text[at:position] + more, position
    return out + text[at:], f"{name}o"


def _walk(name: str, sorts: bool) -> str:
    """What stands behind an operand in brackets: it, or the keys of the map that it is."""
    orders, order, key, it = (f"{name}{letter}" for letter in "oikv")
    fits = f"size({order}) == size({it}) && {order}.all({key}, {key} in {it})"
    other = _sorted(it, name) if sorts else f"dyn({it})"
    keys = f"({orders}.filter({order}, {fits}) + [{other}])[0]"
    return f")].map({it}, type({it}) == map ? {keys} : {it})[0]"


def _sorted(it: str, name: str) -> str:
    """CEL that sorts the texts that are the keys of the map `it`, each by how many are less. Quadratic."""
    key, less, pairs, pair, number = (f"{name}{letter}" for letter in "jlpqn")
    ranks = f"{it}.map({key}, [dyn({key}), size({it}.filter({less}, {less} < {key}))])"
    numbers = f"{list(range(_SORTED_MAX))}.filter({number}, {number} < size({it}))"
    picked = f"{numbers}.map({number}, {pairs}.filter({pair}, {pair}[1] == {number})[0][0])"
    sortable = f"size({it}) <= {_SORTED_MAX} && {it}.all({key}, type({key}) == string)"
    return f"{sortable} ? dyn([{ranks}].map({pairs}, {picked})[0]) : dyn({it})"


def _is_list(
    found: Sequence[Token], pairs: Mapping[int, int], first: int, last: int, lists: frozenset[str]
) -> bool:
    """Does the operand of these tokens give a list, by its looks?"""
    if first == last:
        return found[first].text in lists
    if found[first].text == "[" and pairs.get(first) == last:
        return True
    opening = pairs.get(last, -1)
    return opening > 1 and found[opening - 1].text in _LISTING and is_macro(found, pairs, opening - 2)
