"""Implicit edges, which come from expressions, `after` and fallbacks. Pure."""

from collections.abc import Iterable, Iterator
from operator import attrgetter
from typing import Final

from symphony.ports.values import Value
from symphony.workflow.compiled import ALL_PORTS, Compiled, has_more
from symphony.workflow.fields import RESERVED
from symphony.workflow.model import FAIL, ControlEdge, ControlNode, DataEdge, Edge, Workflow

_besides = attrgetter("after", "on_error", "when", "for_each", "config", "artifact")
_NOTHING: Final[tuple[object, ...]] = ((), FAIL, None, None, {}, None)
"""What a node has that reads and waits for nothing besides its inputs, unless it is a control node."""
_HOLDERS: Final = (list, dict)  # a union is built again on each use, and checks against it are slower


def derived_edges(compiled: Compiled) -> tuple[Edge, ...]:
    """Return every derived edge of the workflow once. Edges of a node's inputs come first.

    What other expressions of a node read (`when`, `for_each`, a loop's body, …) gives a control
    edge, unless a data edge or `after` joins the same two nodes already.
    """
    edges: list[Edge] = []
    for number, (name, node) in enumerate(compiled.workflow.nodes.items()):
        sources: set[str] = set()
        parts = compiled.nodes[number]
        for entry, template in parts.inputs.items():
            for source, output in compiled.ports(template):
                sources.add(source)
                edges.append(DataEdge(source=source, target=name, output=output, input=entry, derived=True))
        if node.after:
            for text in dict.fromkeys(node.after):
                source, _, branch = text.partition(".")
                sources.add(source)
                edges.append(ControlEdge(source=source, target=name, branch=branch or None, derived=True))
        edges += [
            ControlEdge(source=source, target=name, derived=True)
            for source in compiled.others(number)
            if source not in sources
        ]
    more = [*_spare_edges(compiled.workflow), *_transform_edges(compiled)]
    if more:
        there = {edge_key(edge) for edge in edges}
        edges += {key: edge for edge in more if (key := edge_key(edge)) not in there}.values()
    return tuple(edges)


def derived_ends(workflow: Workflow) -> dict[str, list[str]] | None:
    """Return where derived edges begin, by where they end, spelled as in documents: `NODE` or `NODE.PORT`.

    These are the edges of `derived_edges`, without an object for each. Expressions are compiled only if there
    are more than bare references. None if the workflow has explicit edges or fallbacks, whose edges must be
    compared with the others.
    """
    if workflow.edges:
        return None
    ends: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    compiled: Compiled | None = None
    for number, (name, node) in enumerate(workflow.nodes.items()):
        for entry, value in node.inputs.items():
            begin = _bare_ends(value if isinstance(value, list) else (value,), known)
            if begin is None:
                compiled = compiled or Compiled(workflow)
                template = compiled.nodes[number].inputs[entry]
                begin = [_end(source, port) for source, port in compiled.ports(template)]
            if begin:
                ends[f"{name}.{entry}"] = begin
        if _besides(node) == _NOTHING and type(node) is not ControlNode:
            continue
        if node.on_error.fallback is not None:
            return None
        begin = [*dict.fromkeys(node.after)]
        if has_more(node):
            compiled = compiled or Compiled(workflow)
            inputs = compiled.nodes[number].inputs.values()
            joined = {source for template in inputs for source, _ in compiled.ports(template)}
            joined.update(text.partition(".")[0] for text in node.after)
            begin += [source for source in compiled.others(number) if source not in joined]
        if begin:
            ends[name] = begin
    return ends


def _end(node: str, port: str) -> str:
    return node if port == ALL_PORTS else f"{node}.{port}"


def _bare_ends(values: Iterable[Value], known: dict[str, str]) -> list[str] | None:
    """Return the ports that `values` read, without duplicates; None if a value is not one bare reference."""
    ends: list[str] = []
    for text in values:
        if isinstance(text, str):
            end = known.get(text)
            if end is None:
                if "${{" not in text:
                    continue
                node, _, port = (end := text[4:-3]).partition(".")
                named = node.isidentifier() and port.isidentifier() and text.isascii()
                if not named or text != f"${{{{ {end} }}}}" or node in RESERVED or port in RESERVED:
                    return None
                known[text] = end
            ends.append(end)
        elif isinstance(text, _HOLDERS):
            return None
    return list(dict.fromkeys(ends)) if len(ends) > 1 else ends


def edge_key(edge: Edge) -> tuple[object, ...]:
    """Return the key by which two edges count as the same edge."""
    if isinstance(edge, DataEdge):
        return "data", edge.source, edge.output, edge.target, edge.input
    if isinstance(edge, ControlEdge):
        return "control", edge.source, edge.branch, edge.target
    return "conditional", edge.source, edge.target, edge.when


def _spare_edges(workflow: Workflow) -> Iterator[Edge]:
    for name, node in workflow.nodes.items():
        if node.on_error.fallback is not None:
            yield ControlEdge(source=name, target=node.on_error.fallback, derived=True)


def _transform_edges(compiled: Compiled) -> Iterator[Edge]:
    """An explicit edge's transform may read other nodes than the edge's source."""
    for edge, template in zip(compiled.workflow.edges, compiled.edges, strict=True):
        if isinstance(edge, DataEdge) and template is not None:
            for source in dict.fromkeys(r.name for r in template.reads if r.kind in ("port", "node")):
                if source != edge.source:
                    yield ControlEdge(source=source, target=edge.target, derived=True)
