"""The Bincode format. Common keys of a workflow have fields of their own; every other key goes into `more`.

A new key of the file format therefore needs no new layout: it is one more entry of a map. The first four
bytes are the version of the schema, in every version to come. Maps keep the order of their keys. Pure.

The Rust version of these types is in tests/data/bincode.
"""

from collections.abc import Mapping
from functools import cache
from typing import Final, TypeAlias

import msgspec

from symphony.commons.bincode import U32, BincodeInvalid, Plain, TypeCodec
from symphony.commons.bincode.hints import Ordered
from symphony.commons.errors import SerializationFailed
from symphony.workflow.documents.tree import (
    DEPTH_MAX,
    SCHEMA_BELIEVABLE,
    Document,
    SyntaxProblem,
    Tree,
    not_readable,
    too_deep,
)
from symphony.workflow.model import SCHEMA_VERSION

_VERSION_BYTES: Final = 4

_Values: TypeAlias = dict[str, Plain]


class _Node(msgspec.Struct, frozen=True):
    what: str
    inputs: _Values | None
    more: _Values | None


class OperatorData(_Node, frozen=True): ...


class InstrumentData(_Node, frozen=True): ...


class ControlData(_Node, frozen=True): ...


class WorkflowData(_Node, frozen=True): ...


class CommandData(_Node, frozen=True): ...


_NodeData: TypeAlias = OperatorData | InstrumentData | ControlData | WorkflowData | CommandData
_KINDS: Final[Mapping[str, type[_NodeData]]] = {
    "operator": OperatorData,
    "instrument": InstrumentData,
    "control": ControlData,
    "workflow": WorkflowData,
    "command": CommandData,
}
_KIND_NAMES: Final = {kind: name for name, kind in _KINDS.items()}


class DocumentData(msgspec.Struct, frozen=True):
    """A whole document, as it is in the file."""

    symphony: U32
    name: str
    version: str
    nodes: Ordered[_NodeData]
    more: _Values


@cache
def _codec() -> TypeCodec[DocumentData]:
    return TypeCodec[DocumentData](DocumentData, depth_max=DEPTH_MAX)


def parse(body: bytes) -> Document:
    """Parse the document in `body`. Of a newer version only its number is read. Raises SyntaxProblem."""
    version = int.from_bytes(body[:_VERSION_BYTES], "little")
    if len(body) < _VERSION_BYTES or version > SCHEMA_BELIEVABLE:
        raise not_readable("Bincode", "it does not begin with the version of a schema")
    if version > SCHEMA_VERSION:
        return Document({"symphony": version}, (), None)
    try:
        found = _codec().decode(body)
    except BincodeInvalid as error:
        raise _problem(error) from None
    nodes: dict[str, Tree] = {name: _node_tree(node) for name, node in found.nodes.items()}
    fixed = {"symphony": found.symphony, "name": found.name, "version": found.version, "nodes": nodes}
    return Document({**found.more, **fixed}, (), None)


def _problem(error: BincodeInvalid) -> SyntaxProblem:
    if error.deep:
        return too_deep()
    if error.duplicate:
        return SyntaxProblem("duplicate-name", error.message, "rename or remove one")
    return not_readable("Bincode", error.message)


def _node_tree(node: _NodeData) -> Tree:
    tree = {**node.more} if node.more is not None else {}
    tree[_KIND_NAMES[type(node)]] = node.what
    if node.inputs is not None:
        tree["inputs"] = node.inputs
    return tree


def write(tree: Tree) -> bytes:
    """Write the document for `tree`, which must have the form of a workflow.

    Raises SerializationFailed if it does not have that form.
    """
    try:
        more = dict(tree)  # type: ignore[call-overload]  # what is no map is refused
        nodes = {name: _node_data(node) for name, node in more.pop("nodes").items()}
        document = DocumentData(more.pop("symphony"), more.pop("name"), more.pop("version"), nodes, more)
    except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
        raise SerializationFailed(
            "Bincode carries whole workflows only", hint="give symphony, name, version and nodes"
        ) from None
    return _codec().encode(document)


def _node_data(tree: dict[str, Plain]) -> _NodeData:
    if len(tree) == 2:  # most nodes have a kind, then inputs, and nothing else
        first, second = tree
        if first in _KINDS and second == "inputs":
            return _KINDS[first](tree[first], tree[second], None)  # type: ignore[arg-type]  # the codec checks them
    more = dict(tree)
    kind = next(key for key in more if key in _KINDS)
    what, inputs = more.pop(kind), more.pop("inputs", None)
    return _KINDS[kind](what, inputs, more or None)  # type: ignore[arg-type]  # the codec checks them
