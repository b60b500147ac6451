"""Reads `edges:`, which say what the shorthands of nodes cannot. Pure."""

from collections.abc import Mapping
from typing import Final

from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import BAD, Fields, Reader, boolean, condition, missing, section, text, whole
from symphony.workflow.model import NAME, ConditionalEdge, ControlEdge, DataEdge, Edge
from symphony.workflow.problems import child, shown


def read_edges(tree: Tree, fields: Fields) -> tuple[Edge, ...]:
    """Return the explicit edges. Derived edges are left out, as they are made again from the shorthands."""
    if not isinstance(tree, list):
        fields.wrong(
            "", "edges", f"edges must be a list, not {shown(tree)}", "write - {from: a.port, to: b.input}"
        )
        return ()
    edges: list[Edge] = []
    for i, raw in enumerate(tree):
        if type(raw) is dict and raw.get("derived") is True:
            continue
        found = fields.map(raw, "edges", i, "an edge", "" if type(raw) is dict else _hint(raw))
        edge = None if found is None else _edge(fields, found, f"edges[{i}]")
        if edge is not None:
            if i != len(edges):
                fields.aliases[f"edges[{len(edges)}]"] = f"edges[{i}]"
            edges.append(edge)
    return tuple(edges)


def _hint(tree: Tree) -> str:
    from symphony.workflow.remedies import edge_hint  # only where something is wrong

    return edge_hint(tree)


def _edge(fields: Fields, tree: Mapping[str, Tree], place: str) -> Edge | None:
    made = section(fields, tree, place, _READERS, "an edge")
    if missing(fields, tree, place, ("from", "to"), "the edge"):
        return None
    made.pop("derived", None)
    source, target = made.pop("from", None), made.pop("to", None)
    if not isinstance(source, _End) or not isinstance(target, _End):
        return None
    given = {"source": source.node, "target": target.node, **made}
    if "when" in tree:
        return _conditional(fields, source, target, given, place)
    if target.port is not None:
        return _data(fields, source, target, given, place)
    return _control(fields, source, given, place)


def _conditional(
    fields: Fields, source: "_End", target: "_End", given: dict[str, object], place: str
) -> Edge | None:
    for key, end in (("from", source), ("to", target)):
        if end.port is not None:
            hint = f"write {key}: {end.node}; the condition may read its ports"
            fields.wrong(place, key, "a conditional edge goes from node to node, not to ports", hint)
            return None
    _only(fields, given, place, ("when", "label"), "a conditional edge")
    return ConditionalEdge(**given)  # type: ignore[arg-type]  # the readers give what the fields take


def _data(
    fields: Fields, source: "_End", target: "_End", given: dict[str, object], place: str
) -> Edge | None:
    _only(fields, given, place, ("transform",), "a data edge")
    if source.port is None:
        fields.wrong(place, "from", "a data edge begins at a port", f"write from: {source.node}.PORT")
        return None
    return DataEdge(output=source.port, input=target.port, **given)  # type: ignore[arg-type]  # as above


def _control(fields: Fields, source: "_End", given: dict[str, object], place: str) -> Edge:
    _only(fields, given, place, ("priority",), "a control edge")
    return ControlEdge(branch=source.port, **given)  # type: ignore[arg-type]  # as above


def _only(fields: Fields, given: dict[str, object], place: str, keys: tuple[str, ...], what: str) -> None:
    """Report and drop keys that do not belong to this kind of edge."""
    for key in [key for key in given if key not in (*keys, "source", "target")]:
        del given[key]
        hint = {
            "transform": "a transform needs ports at both ends: from: a.port, to: b.input",
            "priority": "only an edge between two nodes, without condition, has a priority",
            "label": "a label belongs to a condition: add when:",
        }.get(key, f"remove {key}:")
        fields.findings.add("unknown-key", child(place, key), f"{what} has no {key}", hint)


class _End:
    """One end of an edge."""

    __slots__ = ("node", "port")

    def __init__(self, node: str, port: str | None) -> None:
        self.node, self.port = node, port


def _end(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read one end of an edge: `NODE` or `NODE.PORT`."""
    found = text(fields, tree, place, key)
    if not isinstance(found, str):
        return BAD
    node, dot, port = found.partition(".")
    if NAME.fullmatch(node) and (not dot or NAME.fullmatch(port)):
        return _End(node, port if dot else None)
    return fields.wrong(
        place, key, f"{shown(found)} is not the end of an edge", f"write {key}: NODE or {key}: NODE.PORT"
    )


_READERS: Final[Mapping[str, Reader]] = {
    "from": _end,
    "to": _end,
    "transform": text,
    "priority": whole,
    "when": condition,
    "label": text,
    "derived": boolean,
}
TABLES: Final[Mapping[str, Mapping[str, Reader]]] = {"edge": _READERS}
"""Every table of this module, for descriptions of the format."""
