"""Edges that nobody wrote: they come from expressions, `after` and fallbacks. Pure."""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import Final, TypeAlias, TypeVar

from symphony.ports.values import Value
from symphony.workflow.expressions import BadExpression, Read, condition_reads, value_reads
from symphony.workflow.fields import RESERVED
from symphony.workflow.model import ControlEdge, ControlNode, DataEdge, Edge, Node, Workflow

_BARE = re.compile(
    r'\$\{\{ *(?:([A-Za-z_][A-Za-z0-9_]*)|nodes\["([A-Za-z0-9_-]+)"\])\.([A-Za-z_][A-Za-z0-9_]*) *\}\}'
)
_ALL_PORTS: Final = "*"
_Asked = TypeVar("_Asked")

Known: TypeAlias = dict[str, tuple[tuple[str, str], ...]]
"""What texts are known to read."""


def derived_edges(workflow: Workflow) -> tuple[Edge, ...]:
    """Every derived edge of the workflow, each once; of a node's, those of its inputs come first.

    What other expressions of a node read (`when`, `for_each`, a loop's body, …) gives a control
    edge, unless a data edge or `after` joins the same two nodes already.
    """
    edges: list[Edge] = []
    known: Known = {}
    for name, node in workflow.nodes.items():
        sources: set[str] = set()
        for entry, value in node.inputs.items():
            for source, output in ports_read(value, known):
                sources.add(source)
                edges.append(DataEdge(source=source, target=name, output=output, input=entry, derived=True))
        if node.after:
            for text in dict.fromkeys(node.after):
                source, _, branch = text.partition(".")
                sources.add(source)
                edges.append(ControlEdge(source=source, target=name, branch=branch or None, derived=True))
        edges += [
            ControlEdge(source=source, target=name, derived=True)
            for source in other_sources(node)
            if source not in sources
        ]
    more = [*_spare_edges(workflow), *_transform_edges(workflow)]
    if more:
        there = {edge_key(edge) for edge in edges}
        edges += {key: edge for edge in more if (key := edge_key(edge)) not in there}.values()
    return tuple(edges)


def derived_ends(workflow: Workflow) -> dict[str, list[str]] | None:
    """Where derived edges begin, by where they end, as documents spell both: `NODE` or `NODE.PORT`.

    The same as of `derived_edges`, without a value for each. None if the workflow has explicit
    edges or fallbacks, whose edges must be compared with the others.
    """
    if workflow.edges:
        return None
    ends: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    closely: Known = {}
    for name, node in workflow.nodes.items():
        for entry, value in node.inputs.items():
            begin = _bare_ends(value, known)
            if begin is None:
                begin = [_end(*pair) for pair in ports_read(value, closely)]
            if begin:
                ends[f"{name}.{entry}"] = begin
        if node.on_error.fallback is not None:
            return None
        if node.after or _has_more(node):
            joined = {at for value in node.inputs.values() for at, _ in ports_read(value, closely)}
            joined.update(text.partition(".")[0] for text in node.after)
            begin = [*dict.fromkeys(node.after), *(s for s in other_sources(node) if s not in joined)]
            if begin:
                ends[name] = begin
    return ends


def _end(node: str, port: str) -> str:
    return node if port == _ALL_PORTS else f"{node}.{port}"


def _bare_ends(value: Value, known: dict[str, str]) -> list[str] | None:
    """The ports that a text, or the texts of a list, read; None if any is more than one bare reference."""
    ends: list[str] = []
    for text in value if isinstance(value, list) else (value,):
        if isinstance(text, str):
            if "${{" not in text:
                continue
            end = known.get(text)
            if end is None:
                node, _, port = (end := text[4:-3]).partition(".")
                named = node.isidentifier() and port.isidentifier() and text.isascii()
                if not named or text != f"${{{{ {end} }}}}" or node in RESERVED or port in RESERVED:
                    return None
                known[text] = end
            ends.append(end)
        elif isinstance(text, list | dict):
            return None
    return list(dict.fromkeys(ends)) if len(ends) > 1 else ends


def sources(node: Node, known: Known) -> set[str]:
    """The nodes that `node` names in its expressions and in `after`: where its derived edges begin."""
    found = {source for value in node.inputs.values() for source, _ in ports_read(value, known)}
    found.update(text.partition(".")[0] for text in node.after)
    found.update(other_sources(node))
    return found


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


def ports_read(value: Value, known: Known) -> Collection[tuple[str, str]]:
    """Every (node, port) that a value reads, each once; most expressions are one bare reference.

    `known` keeps what was found for the questions to come.
    """
    if type(value) is str:
        found = known.get(value)
        if found is None and "${{" not in value:
            return ()
        if found is None:
            bare = _BARE.fullmatch(value)
            if bare is not None and bare[1] not in RESERVED and bare[3] not in RESERVED:
                found = ((bare[1] or bare[2], bare[3]),)
            else:
                found = _read_closely(value)
            known[value] = found
        return found
    if type(value) is list:
        pairs: dict[tuple[str, str], None] = {}
        for item in value:
            if type(item) is str:
                if "${{" in item:
                    for pair in known.get(item) or ports_read(item, known):
                        pairs[pair] = None
            elif type(item) is list or type(item) is dict:
                pairs.update(dict.fromkeys(_read_closely(item)))
        return pairs
    return _read_closely(value) if type(value) is dict else ()


def _read_closely(value: Value) -> tuple[tuple[str, str], ...]:
    reads = quietly(value_reads, value)
    return tuple(
        dict.fromkeys((read.name, read.port or _ALL_PORTS) for read in reads if read.kind in ("port", "node"))
    )


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


def other_sources(node: Node) -> Collection[str]:
    """The nodes that a node reads outside of its inputs, in order, each once."""
    if not _has_more(node):
        return ()
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
        inner += [Read("node", name) for name in other_sources(node)]
    return reads + [read for read in inner if read.name not in body]


def _spare_edges(workflow: Workflow) -> Iterator[Edge]:
    for name, node in workflow.nodes.items():
        if node.on_error.fallback is not None:
            yield ControlEdge(source=name, target=node.on_error.fallback, derived=True)


def _transform_edges(workflow: Workflow) -> Iterator[Edge]:
    """An explicit edge's transform may read other nodes than the edge's source."""
    for edge in workflow.edges:
        if isinstance(edge, DataEdge) and edge.transform is not None:
            for source in _nodes([*quietly(partial(condition_reads, value=True), edge.transform)]):
                if source != edge.source:
                    yield ControlEdge(source=source, target=edge.target, derived=True)
