"""Tells which lists and maps of a document have keys in a fixed order, and in which order.

Everywhere else, keys are the author's names and keep their order.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from symphony.workflow.documents.tree import Tree


@dataclass(frozen=True, slots=True, eq=False)
class KeyShape:
    """The shape of a list or map: the order of its keys, and the shapes of what is below them.

    `each` is the shape of all elements or values whose keys are not in `inside`.
    """

    order: tuple[str, ...] = ()
    inside: "Mapping[str, KeyShape]" = field(default_factory=dict)
    each: "KeyShape | None" = None

    def of(self, key: str | int) -> "KeyShape":
        """Return the shape of what is below a key or an index."""
        found = self.inside.get(key) if isinstance(key, str) else None
        return found or self.each or FREE

    def sorted(self, keys: Iterable[str]) -> list[int]:
        """Return the places of `keys`: those in `order` first, then the others in the order they have."""
        known = {key: at for at, key in enumerate(self.order)}
        places = list(enumerate(keys))
        return [at for at, _ in sorted(places, key=lambda one: known.get(one[1], len(known)))]


FREE: Final = KeyShape()
_INPUT: Final = KeyShape(("type", "enum", "default", "min", "max", "description"))
_EDGE: Final = KeyShape(("from", "to", "when", "transform", "priority", "label", "derived"))
_RETRY: Final = KeyShape(("attempts", "backoff", "initial", "max", "jitter"))
_ARTIFACT: Final = KeyShape(("name", "content_type", "port"))
_below_node: Final[dict[str, KeyShape]] = {"retry": _RETRY, "artifact": _ARTIFACT}
NODE: Final = KeyShape(
    (
        "description", "operator", "instrument", "workflow", "control", "command",
        "condition", "switch", "cases", "default", "for", "message", "on_timeout",
        "for_each", "label", "after", "inputs", "config",
        "state", "body", "next", "while", "until", "max_iterations",
        "concurrency", "fail_fast", "when", "join", "timeout", "idempotent", "priority", "cache",
        "enabled", "retry", "on_error", "artifact", "position", "metadata",
    ),
    _below_node,
)  # fmt: skip
_NODES: Final = KeyShape(each=NODE)
_below_node["body"] = _NODES
WORKFLOW: Final = KeyShape(
    (
        "symphony", "name", "version", "description", "tags", "metadata", "env", "operators", "inputs",
        "nodes", "steps", "edges", "outputs", "budget", "on_finish",
    ),
    {
        "inputs": KeyShape(each=_INPUT),
        "nodes": _NODES,
        "steps": KeyShape(each=KeyShape(("name", "command", "needs"))),
        "edges": KeyShape(each=_EDGE),
        "budget": KeyShape(("money", "tokens", "calls")),
        "on_finish": KeyShape(("command", "url")),
    },
)  # fmt: skip


def ordered(tree: Tree, shape: KeyShape) -> Tree:
    """Return `tree` with its keys in the order that `shape` gives them."""
    if isinstance(tree, list):
        return [ordered(item, shape.of(at)) for at, item in enumerate(tree)]
    if not isinstance(tree, dict):
        return tree
    keys = list(tree)
    return {keys[at]: ordered(tree[keys[at]], shape.of(keys[at])) for at in shape.sorted(keys)}


def same(one: Tree, other: Tree, shape: KeyShape) -> bool:
    """True if two documents mean the same. Only the order of keys with a fixed order may differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = list(one)
        if shape.order and set(shape.order).issuperset(keys):
            keys.sort()
            others = sorted(other)
        else:
            keys = [keys[at] for at in shape.sorted(keys)]
            others = list(other)
            others = [others[at] for at in shape.sorted(others)]
        return keys == others and all(same(one[key], other[key], shape.of(key)) for key in keys)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(
            same(a, b, shape.of(at)) for at, (a, b) in enumerate(zip(one, other, strict=True))
        )
    return type(one) is type(other) and (one == other or (one != one and other != other))
