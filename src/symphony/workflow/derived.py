"""Edges that nobody wrote: they come from expressions, `after` and fallbacks. Pure."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeVar

from symphony.ports.values import Value
from symphony.workflow.expressions import BadExpression, Read, condition_reads, value_reads
from symphony.workflow.fields import RESERVED
from symphony.workflow.model import ControlEdge, ControlNode, DataEdge, Edge, Node, Workflow

_BARE = re.compile(r"\$\{\{ *([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*) *\}\}")
_ALL_PORTS: Final = "*"
_Asked = TypeVar("_Asked")


def derived_edges(workflow: Workflow) -> tuple[Edge, ...]:
    """Every derived edge of the workflow, each once; of a node's, those of its inputs come first.

    What other expressions of a node read (`when`, `for_each`, a loop's body, …) gives a control
    edge, unless a data edge or `after` joins the same two nodes already.
    """
    edges: list[Edge] = []
    seen: dict[str, tuple[str, str] | None] = {}
    for name, node in workflow.nodes.items():
        sources: set[str] = set()
        for entry, value in node.inputs.items():
            for source, output in _ports(value, seen):
                sources.add(source)
                edges.append(DataEdge(source=source, target=name, output=output, input=entry, derived=True))
        for text in dict.fromkeys(node.after):
            source, _, branch = text.partition(".")
            sources.add(source)
            edges.append(ControlEdge(source=source, target=name, branch=branch or None, derived=True))
        if _has_more(node):
            for source in _other_sources(node):
                if source not in sources:
                    sources.add(source)
                    edges.append(ControlEdge(source=source, target=name, derived=True))
    more = [*_spare_edges(workflow), *_transform_edges(workflow)]
    if more:
        known = {edge_key(edge) for edge in edges}
        edges += {key: edge for edge in more if (key := edge_key(edge)) not in known}.values()
    return tuple(edges)


def edge_key(edge: Edge) -> tuple[object, ...]:
    """What makes two edges the same edge."""
    if isinstance(edge, DataEdge):
        return "data", edge.source, edge.output, edge.target, edge.input
    if isinstance(edge, ControlEdge):
        return "control", edge.source, edge.branch, edge.target
    return "conditional", edge.source, edge.target, edge.when


def quietly(reader: Callable[[_Asked], tuple[Read, ...]], asked: _Asked) -> tuple[Read, ...]:
    """What `reader` finds; nothing, where the expression cannot be read: validation reports that."""
    try:
        return reader(asked)
    except BadExpression:
        return ()


def _ports(value: Value, seen: dict[str, tuple[str, str] | None]) -> Iterator[tuple[str, str]]:
    """Every (node, port) that a value reads, each once. Most expressions are one bare reference."""
    if type(value) is str:
        if "${{" not in value:
            return
        known = seen.get(value)
        if known is not None:
            yield known
            return
        bare = _BARE.fullmatch(value)
        if bare is not None and bare[1] not in RESERVED and bare[2] not in RESERVED:
            seen[value] = found = bare[1], bare[2]
            yield found
            return
    elif type(value) is list and all(type(item) is str for item in value):
        pairs = dict.fromkeys(pair for item in value for pair in _ports(item, seen))
        yield from pairs
        return
    for read in quietly(value_reads, value):
        if read.kind == "port":
            yield read.name, read.port
        elif read.kind == "node":
            yield read.name, _ALL_PORTS


def _has_more(node: Node) -> bool:
    """May a node read others outside of its inputs? Most do not."""
    return (
        node.when is not None
        or node.for_each is not None
        or bool(node.config)
        or node.artifact is not None
        or node.on_error.action == "value"
        or isinstance(node, ControlNode)
    )


def _other_sources(node: Node) -> dict[str, None]:
    """The nodes that a node reads outside of its inputs, in order."""
    reads: list[Read] = []
    if node.when is not None:
        reads += quietly(condition_reads, node.when)
    if isinstance(node.for_each, str):
        reads += quietly(condition_reads, node.for_each)
    elif node.for_each is not None:
        reads += quietly(value_reads, node.for_each)
    if node.config:
        reads += _value_reads(node.config)
    reads += _value_reads(node.on_error.value)
    if node.artifact is not None:
        reads += quietly(value_reads, node.artifact.name)
    if isinstance(node, ControlNode):
        reads += _control_reads(node)
    return _nodes(reads)


def _nodes(reads: list[Read]) -> dict[str, None]:
    return dict.fromkeys(read.name for read in reads if read.kind in ("port", "node"))


def _value_reads(values: Mapping[str, Value] | None) -> list[Read]:
    """What a map of values reads; one that cannot be read does not hide the others."""
    return [read for value in (values or {}).values() for read in quietly(value_reads, value)]


def _control_reads(node: ControlNode) -> list[Read]:
    conditions = [node.condition, node.switch]
    if node.control == "loop":
        return _loop_reads(node)
    conditions.append(node.until)
    reads = [read for text in conditions if text is not None for read in quietly(condition_reads, text)]
    if node.message is not None:
        reads += quietly(value_reads, node.message)
    return reads


def _loop_reads(loop: ControlNode) -> list[Read]:
    """What a loop and the nodes of its body read of the nodes outside."""
    body = loop.body or {}
    inner: list[Read] = []
    # `while` is tested before the body has run: names in it mean nodes outside.
    reads = _value_reads(loop.state)
    if loop.while_ is not None:
        reads += quietly(condition_reads, loop.while_)
    if loop.until is not None:
        inner += quietly(condition_reads, loop.until)
    for value in (loop.next or {}).values():
        inner += quietly(condition_reads, value) if isinstance(value, str) else quietly(value_reads, value)
    for node in body.values():
        inner += _value_reads(node.inputs)
        inner += [Read("node", name) for name in _other_sources(node)]
    return reads + [read for read in inner if read.name not in body]


def _spare_edges(workflow: Workflow) -> Iterator[Edge]:
    for name, node in workflow.nodes.items():
        if node.on_error.fallback is not None:
            yield ControlEdge(source=name, target=node.on_error.fallback, derived=True)


def _transform_edges(workflow: Workflow) -> Iterator[Edge]:
    """An explicit edge's transform may read other nodes than the edge's source."""
    for edge in workflow.edges:
        if isinstance(edge, DataEdge) and edge.transform is not None:
            for source in _nodes([*quietly(condition_reads, edge.transform)]):
                if source != edge.source:
                    yield ControlEdge(source=source, target=edge.target, derived=True)
