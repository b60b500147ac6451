"""Writes a `Workflow` as a plain tree: the canonical document of every format."""

from collections.abc import Mapping

import msgspec

from symphony.workflow.documents.tree import Tree, tree_of
from symphony.workflow.graph import all_edges
from symphony.workflow.model import (
    FAIL,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    Edge,
    InputSpec,
    InstrumentNode,
    Node,
    OnError,
    OperatorNode,
    SubWorkflowNode,
    Workflow,
)

_PLAIN = ("concurrency", "when", "join", "timeout", "idempotent", "priority", "cache", "description", "enabled")
_CONTROL = ("condition", "switch", "default", "for_", "until", "message", "on_timeout", "while_", "max_iterations")


def write_tree(workflow: Workflow, *, derived: bool, null: bool = False) -> dict[str, Tree]:
    """The document of `workflow`; with `derived`, edges that come from shorthands stand there too."""
    out: dict[str, Tree] = {"symphony": workflow.schema, "name": workflow.name, "version": workflow.version}
    if workflow.description:
        out["description"] = workflow.description
    for key, texts in (("tags", workflow.tags), ("env", workflow.env)):
        if texts:
            out[key] = list(texts)
    if workflow.inputs:
        out["inputs"] = {name: _input(spec, null) for name, spec in workflow.inputs.items()}
    out["nodes"] = {name: write_node(node, null) for name, node in workflow.nodes.items()}
    edges = all_edges(workflow) if derived else workflow.edges
    if edges:
        out["edges"] = [_edge(edge) for edge in edges]
    if workflow.outputs:
        out["outputs"] = tree_of(dict(workflow.outputs), null=null)
    if workflow.metadata:
        out["metadata"] = tree_of(dict(workflow.metadata), null=null)
    return out


def _input(spec: InputSpec, null: bool) -> Tree:
    out: dict[str, Tree] = {}
    if spec.type.kind == "enum":
        out["enum"] = list(spec.type.choices)
    else:
        out["type"] = str(spec.type)
    if not isinstance(spec.default, msgspec.UnsetType):
        out["default"] = tree_of(spec.default, null=null)
    for key, bound in (("min", spec.min), ("max", spec.max)):
        if bound is not None:
            out[key] = bound
    if spec.description:
        out["description"] = spec.description
    return out


def write_node(node: Node, null: bool = False) -> dict[str, Tree]:
    """One node, its kind first, defaults left out."""
    out: dict[str, Tree] = dict([_kind(node)])
    if isinstance(node, ControlNode):
        _write_control(node, out, null)
    for key in ("inputs", "config", "metadata"):
        values: Mapping[str, object] = getattr(node, key)
        if values:
            out[key] = tree_of(dict(getattr(node, key)), null=null)
    if node.for_each is not None:
        out["for_each"] = tree_of(node.for_each, null=null)
    if node.after:
        out["after"] = list(node.after)
    for key in _PLAIN:
        given = getattr(node, key)
        if given != _default(node, key):
            out[key] = given
    if node.retry is not None:
        out["retry"] = {k: v for k, v in msgspec.structs.asdict(node.retry).items() if v is not None}
    if node.on_error != FAIL:
        out["on_error"] = _on_error(node.on_error, null)
    if node.artifact is not None:
        out["artifact"] = {k: v for k, v in msgspec.structs.asdict(node.artifact).items() if v is not None}
    if node.position is not None:
        out["position"] = list(node.position)
    return out


def _default(node: Node, key: str) -> object:
    return next(f.default for f in msgspec.structs.fields(type(node)) if f.name == key)


def _kind(node: Node) -> tuple[str, str]:
    if isinstance(node, OperatorNode):
        return "operator", node.operator
    if isinstance(node, InstrumentNode):
        return "instrument", node.instrument
    if isinstance(node, SubWorkflowNode):
        return "workflow", node.workflow
    if isinstance(node, ControlNode):
        return "control", node.control
    return "command", node.command


def _write_control(node: ControlNode, out: dict[str, Tree], null: bool) -> None:
    for key in _CONTROL:
        given = getattr(node, key)
        if given is not None:
            out[key.rstrip("_")] = given
    for key in ("cases", "state", "next"):
        values = getattr(node, key)
        if values is not None:
            out[key] = tree_of(dict(values), null=null)
    if node.body is not None:
        out["body"] = {name: write_node(inner, null) for name, inner in node.body.items()}


def _on_error(on_error: OnError, null: bool) -> Tree:
    if on_error.action == "value":
        return {"value": tree_of(dict(on_error.value), null=null)}
    return {"fallback": on_error.fallback} if on_error.action == "fallback" else on_error.action


def _edge(edge: Edge) -> Tree:
    if isinstance(edge, DataEdge):
        out: dict[str, Tree] = {"from": f"{edge.source}.{edge.output}", "to": f"{edge.target}.{edge.input}"}
        if edge.transform is not None:
            out["transform"] = edge.transform
    elif isinstance(edge, ControlEdge):
        out = {"from": f"{edge.source}.{edge.branch}" if edge.branch else edge.source, "to": edge.target}
        if edge.priority:
            out["priority"] = edge.priority
    else:
        assert isinstance(edge, ConditionalEdge)
        out = {"from": edge.source, "to": edge.target, "when": edge.when}
        if edge.label is not None:
            out["label"] = edge.label
        return out
    if edge.derived:
        out["derived"] = True
    return out
