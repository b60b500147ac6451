"""Keys that were written beside the map they belong into: indented too little, as a rule. Pure.

They are moved to where they were meant, each group with one problem, so that nothing else is
reported of what only follows from that.
"""

from collections.abc import Collection, Mapping
from typing import Final

from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import Fields, Owners
from symphony.workflow.problems import Code, child


def is_node(tree: Tree, kinds: Collection[str]) -> bool:
    """True if it looks like a node."""
    return isinstance(tree, dict) and any(kind in tree for kind in kinds)


def regrouped(
    tree: dict[str, Tree], own: Collection[str], owners: Owners, kinds: Collection[str],
    fields: Fields, place: str,
) -> dict[str, Tree]:  # fmt: skip
    """Return `tree`, a map with the keys `own`, with unknown keys moved into the map before them that
    lacks them.

    `owners`: the keys that take a map, with the keys of that map, None for any. What follows `nodes` or
    `body` and looks like a node is meant for it even if it is not empty.
    """
    strays: dict[str, list[str]] = {}
    owner: str | None = None
    for key, item in tree.items():
        if key in own:
            open_ = item is None or (key in _NODE_HOLDERS and isinstance(item, dict))
            owner = key if open_ and key in owners else None
        elif owner is not None and _takes(owner, owners[owner], key, item, kinds):
            strays.setdefault(owner, []).append(key)
        else:
            owner = None
    return _moved(tree, strays, fields, place, "unknown-key", "") if strays else tree


def _takes(owner: str, keys: Collection[str] | None, key: str, item: Tree, kinds: Collection[str]) -> bool:
    return is_node(item, kinds) if owner in _NODE_HOLDERS else keys is None or key in keys


_NODE_HOLDERS: Final = ("nodes", "body")
_HELD_IN_MAPS: Final = frozenset({"inputs", "config", "metadata", "retry", "on_error", "artifact", "state",
                                  "next", "cases", "body"})  # fmt: skip
"""Keys of nodes that take a map: with any other, a map is a node of that name."""


def regrouped_nodes(
    tree: dict[str, Tree], keys: Collection[str], kinds: Collection[str], fields: Fields, place: str
) -> dict[str, Tree]:
    """Return `tree`, a map of nodes, with the keys of nodes moved into the node before them. `keys`:
    all such.
    """
    strays: dict[str, list[str]] = {}
    owner: str | None = None
    for name, raw in tree.items():
        if owner is not None and _is_stray(name, raw, tree[owner], keys, kinds, began=owner in strays):
            strays.setdefault(owner, []).append(name)
        else:
            owner = name if raw is None or isinstance(raw, dict) else None
    return _moved(tree, strays, fields, place, "type-mismatch", "the node ") if strays else tree


def _is_stray(
    name: str, raw: Tree, owner: Tree, keys: Collection[str], kinds: Collection[str], *, began: bool
) -> bool:
    if isinstance(owner, dict) and name in owner:
        return False
    if name not in keys:
        return began and not isinstance(raw, dict)
    if raw is None:
        return began or owner is None or name == "inputs"
    if not isinstance(raw, dict):
        return True
    if name == "inputs":
        return not ("inputs" in raw and is_node(raw, kinds))
    return name in _HELD_IN_MAPS and not is_node(raw, kinds) and "inputs" not in raw


def regrouped_inputs(
    tree: dict[str, Tree], keys: Collection[str], fields: Fields, place: str
) -> dict[str, Tree]:
    """Return `tree`, the inputs of a workflow, with what is said of an input moved into it. `keys`:
    such keys.
    """
    strays: dict[str, list[str]] = {}
    owner: str | None = None
    for name, raw in tree.items():
        if owner is not None and name in keys and raw is not None and not isinstance(raw, dict):
            strays.setdefault(owner, []).append(name)
        else:
            owner = name if raw is None else None
    return _moved(tree, strays, fields, place, "type-mismatch", "the input ") if strays else tree


def _moved(
    tree: dict[str, Tree], strays: Mapping[str, list[str]], fields: Fields, place: str, code: Code,
    what: str,
) -> dict[str, Tree]:  # fmt: skip
    """Return the tree with each group of strays in its owner, and a problem for each group."""
    moved = {key for group in strays.values() for key in group}
    made = {key: item for key, item in tree.items() if key not in moved}
    for owner, group in strays.items():
        inside = made[owner]
        made[owner] = {
            **(inside if isinstance(inside, dict) else {}),
            **{key: tree[key] for key in group},
        }
        for key in group:
            fields.aliases[child(child(place, owner), key)] = child(place, key)
        named = " and ".join(group) if len(group) < 3 else f"{group[0]} and {len(group) - 1} more keys"
        message = f"{named} {'is' if len(group) == 1 else 'are'} beside {what}{owner}, not in it"
        hint = f"indent this below `{owner}:`" if fields.indented else f"put this into {owner}"
        fields.findings.add(code, child(place, group[0]), message, hint)
    return made
