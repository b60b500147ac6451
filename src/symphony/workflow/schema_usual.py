"""Makes plain nodes, which nearly all are, in a third of the time. Pure.

The readers are looked up once for each list of keys. Anything wrong or rare is left to `schema_nodes`,
the general way, which alone reports problems.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, TypeAlias

from symphony.ports.values import Value
from symphony.workflow.documents.tree import DEPTH_MAX, Tree
from symphony.workflow.fields import BAD, RESERVED, Fields, Reader
from symphony.workflow.model import NAME, CommandNode, InstrumentNode, Node, OperatorNode, SubWorkflowNode
from symphony.workflow.values import plain

Usual: TypeAlias = Callable[[Tree], Node | None]
"""Returns the node that a tree spells, or None if the general way must read it."""

Kinds: TypeAlias = Mapping[str, tuple[Reader, type[Node]]]
"""For the key that decides a node's kind: the reader of the key, and the class of such nodes."""

FAN_OUT_KEYS: Final = frozenset({"concurrency", "fail_fast", "label"})
"""Options that only nodes with `for_each` have."""

_Make: TypeAlias = Callable[[str, dict[str, Value]], Node]
_MAKERS: Final[Mapping[str, _Make]] = {
    "operator": lambda what, inputs: OperatorNode(operator=what, inputs=inputs),
    "instrument": lambda what, inputs: InstrumentNode(instrument=what, inputs=inputs),
    "workflow": lambda what, inputs: SubWorkflowNode(workflow=what, inputs=inputs),
    "command": lambda what, inputs: CommandNode(command=what, inputs=inputs),
}
"""Makes a node of a kind and inputs alone, twice as fast as through a map of fields."""

_NAMES: Final = re.compile(rf"(?:{NAME.pattern}\n)*")
_NONE: Final[dict[str, Tree]] = {}


class _Shape(NamedTuple):
    """The common part of nodes with the same keys. `texts` are those that the reader of their kind has
    accepted.
    """

    kind: str
    read: Reader
    struct: type[Node]
    texts: set[str]
    others: tuple[tuple[str, Reader], ...]
    make: _Make | None


def _shape_of(
    keys: tuple[str, ...], kinds: Kinds, options: Mapping[str, Reader], texts: Mapping[str, set[str]]
) -> _Shape | None:
    """Return the shape of nodes with these keys; None if the general way must read them."""
    own = [key for key in keys if key in _MAKERS]
    stray = "for_each" not in keys and not FAN_OUT_KEYS.isdisjoint(keys)
    if len(own) != 1 or stray or not all(key == own[0] or key in options for key in keys):
        return None
    kind = own[0]
    others = tuple((key, options[key]) for key in keys if key not in (kind, "inputs"))
    make = None if others or "inputs" not in keys else _MAKERS[kind]
    return _Shape(kind, *kinds[kind], texts[kind], others, make)


def _sound(fields: Fields, reader: Reader, tree: Tree, key: str) -> object:
    """Return what the reader returns, or `BAD` if it reported anything; the report is taken back."""
    found = fields.findings.found
    before = len(found)
    value = reader(fields, tree, "", key)
    if len(found) == before:
        return value
    del found[before:]
    return BAD


def usual_nodes(fields: Fields, kinds: Kinds, options: Mapping[str, Reader]) -> Usual:
    """Read nodes one by one, at the place where `fields` is now."""
    if fields.literal:
        return _never
    names, marker, room = fields.names, fields.marker, DEPTH_MAX - fields.depth - 1
    shapes: dict[tuple[str, ...], _Shape | None] = {}
    texts: dict[str, set[str]] = {kind: set() for kind in _MAKERS}

    def read(tree: Tree) -> Node | None:
        if type(tree) is not dict:
            return None
        keys = tuple(tree)
        try:
            shape = shapes[keys]
        except KeyError:
            shape = shapes[keys] = _shape_of(keys, kinds, options, texts)
        if shape is None:
            return None
        kind, reader, struct, known, others, make = shape
        what = tree[kind]
        if type(what) is not str:
            return None
        if what not in known:
            if _sound(fields, reader, what, kind) is BAD:
                return None
            known.add(what)
        inputs = tree.get("inputs", _NONE)
        if type(inputs) is not dict:
            return None
        for name, item in inputs.items():
            if name not in names:
                if type(name) is not str or NAME.fullmatch(name) is None:
                    return None
                names.add(name)
            if type(item) is not str and not plain(item, room, marker):
                return None
        if make is not None:
            return make(what, inputs)
        made: dict[str, object] = {kind: what}
        if inputs is not _NONE:
            made["inputs"] = inputs
        for key, reader in others:
            made[key] = value = _sound(fields, reader, tree[key], key)
            if value is BAD:
                return None
        return struct(**made)  # type: ignore[arg-type]  # the readers give what the fields take

    return read


def _never(_tree: Tree) -> None:
    """Leave every node to the general way: trees from Python may contain what no file can."""


def all_legal(names: Collection[str]) -> bool:
    """True if every one of these names may name a node. Checks them all at once."""
    listed = "\n".join((*names, ""))
    return (
        _NAMES.fullmatch(listed) is not None
        and listed.count("\n") == len(names)
        and RESERVED.isdisjoint(names)
    )
