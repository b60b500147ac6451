"""Writes a `Workflow` as a tree: the canonical document of every format. Defaults are left out. Pure."""

from collections.abc import Callable, Mapping
from operator import attrgetter, itemgetter
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import astuple

from symphony.ports.values import Value
from symphony.workflow.derived import derived_ends
from symphony.workflow.documents.tree import DEPTH_MAX, Tree
from symphony.workflow.graph import all_edges
from symphony.workflow.migrations import OLDEST
from symphony.workflow.model import (
    FAIL,
    Budget,
    CommandNode,
    ConditionalEdge,
    ControlNode,
    DataEdge,
    Edge,
    InputSpec,
    InstrumentNode,
    Node,
    NodeOptions,
    OnError,
    OperatorNode,
    Retry,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.values import plain, spelled, unspelled
from symphony.workflow.versions import version_needed

Spell: TypeAlias = Callable[[Value], Tree]

_RETRY = Retry()
_PLAIN: Final = (
    "concurrency",
    "fail_fast",
    "label",
    "when",
    "join",
    "timeout",
    "idempotent",
    "priority",
    "cache",
    "description",
    "enabled",
)
_plain_of = attrgetter(*_PLAIN)
_DEFAULTS: Final = _plain_of(OperatorNode(operator=""))
_BESIDES_INPUTS: Final = slice(1, len(NodeOptions.__struct_fields__))
_USUAL: Final = astuple(OperatorNode(operator=""))[_BESIDES_INPUTS]
"""The default options of a node. `inputs` are not among them, as they are written first."""
_ends: Final = itemgetter("to", "from")
_KINDS: Final[Mapping[type[Node], str]] = {
    OperatorNode: "operator",
    InstrumentNode: "instrument",
    SubWorkflowNode: "workflow",
    ControlNode: "control",
    CommandNode: "command",
}
_CONTROL: Final = (
    "condition",
    "switch",
    "default",
    "for_",
    "while_",
    "until",
    "message",
    "on_timeout",
    "max_iterations",
)


def write_tree(workflow: Workflow, *, derived: bool = False, binary: bool = False) -> dict[str, Tree]:
    """Return the document of `workflow`, in the lowest schema version that has all keys that it uses.

    With `derived`, the edges that come from shorthands are in it, too. With `binary`, bytes stay bytes,
    and keys that begin with `$` stay as they are.

    Derived edges are in the order of their ends: key order means nothing, and must not decide what a
    document says. Raises SerializationFailed if something in it is not a value.
    """
    spell = unspelled if binary else spelled
    out: dict[str, Tree] = {"symphony": OLDEST, "name": workflow.name, "version": workflow.version}
    if workflow.description:
        out["description"] = workflow.description
    if workflow.tags:
        out["tags"] = list(workflow.tags)
    if workflow.env:
        out["env"] = list(workflow.env)
    if workflow.operators:
        out["operators"] = list(workflow.operators)
    if workflow.inputs:
        out["inputs"] = {name: _input(spec, spell) for name, spec in workflow.inputs.items()}
    out["nodes"] = {name: write_node(node, spell) for name, node in workflow.nodes.items()}
    edges = [write_edge(edge) for edge in workflow.edges]
    if derived:
        edges += _derived(workflow)
    if edges:
        out["edges"] = edges
    if workflow.outputs:
        out["outputs"] = _named(workflow.outputs, spell)
    if workflow.budget is not None:
        out["budget"] = _budget(workflow.budget)
    if workflow.on_finish is not None:
        told = {"command": workflow.on_finish.command, "url": workflow.on_finish.url}
        out["on_finish"] = {key: one for key, one in told.items() if one is not None}
    if workflow.metadata:
        out["metadata"] = spell(dict(workflow.metadata))
    out["symphony"] = version_needed(out)
    return out


def _derived(workflow: Workflow) -> list[dict[str, Tree]]:
    """Return the derived edges, sorted by their ends."""
    ends = None if workflow.edges else derived_ends(workflow)
    if ends is None:
        more = all_edges(workflow)[len(workflow.edges) :]
        return sorted(map(write_edge, more), key=_ends)
    return [
        {"from": source, "to": target, "derived": True}
        for target in sorted(ends)
        for source in sorted(ends[target])
    ]


def _budget(budget: Budget) -> dict[str, Tree]:
    limits = {"money": budget.money, "tokens": budget.tokens, "calls": budget.calls}
    return {key: limit for key, limit in limits.items() if limit is not None}


def _named(values: Mapping[str, Value], spell: Spell) -> dict[str, Tree]:
    """Return the spelling of a map whose keys are names, in which no `$` is doubled. Copies it only if
    a value changes.
    """
    marker = "" if spell is unspelled else "$"
    if type(values) is dict:
        for value in values.values():
            if type(value) is not str and not plain(value, DEPTH_MAX, marker):
                break
        else:
            return values
    return {name: value if type(value) is str else spell(value) for name, value in values.items()}


def _input(spec: InputSpec, spell: Spell) -> Tree:
    out: dict[str, Tree] = {}
    if spec.type.kind == "enum" and not spec.type.optional:
        out["enum"] = list(spec.type.choices)
    else:
        out["type"] = str(spec.type)
    if not isinstance(spec.default, msgspec.UnsetType):
        out["default"] = spell(spec.default)
    if spec.min is not None:
        out["min"] = spec.min
    if spec.max is not None:
        out["max"] = spec.max
    if spec.description:
        out["description"] = spec.description
    return out


def write_node(node: Node, spell: Spell = spelled) -> dict[str, Tree]:
    """Return the document of a node: its kind first, then what it does, then the rest. `spell` spells
    its values.
    """
    kind = _KINDS[type(node)]
    fields = astuple(node)
    if fields[_BESIDES_INPUTS] == _USUAL and kind != "control":
        inputs, what = fields[0], fields[-1]
        return {kind: what, "inputs": _named(inputs, spell)} if inputs else {kind: what}
    out: dict[str, Tree] = {kind: getattr(node, kind)}
    if kind == "control":
        assert isinstance(node, ControlNode)
        _write_control(node, out, spell)
    if node.for_each is not None:
        out["for_each"] = spell(node.for_each)
    if node.after:
        out["after"] = list(node.after)
    if node.inputs:
        out["inputs"] = _named(node.inputs, spell)
    if node.config:
        out["config"] = spell(dict(node.config))
    given = _plain_of(node)
    if given != _DEFAULTS:
        out.update(pair[:2] for pair in zip(_PLAIN, given, _DEFAULTS, strict=True) if pair[1] != pair[2])
    if node.retry is not None:
        out["retry"] = _retry(node.retry)
    if node.on_error is not FAIL and node.on_error != FAIL:
        out["on_error"] = _on_error(node.on_error, spell)
    if node.artifact is not None:
        out["artifact"] = {k: v for k, v in msgspec.structs.asdict(node.artifact).items() if v is not None}
    if node.position is not None:
        out["position"] = list(node.position)
    if node.metadata:
        out["metadata"] = spell(dict(node.metadata))
    return out


def _write_control(node: ControlNode, out: dict[str, Tree], spell: Spell) -> None:
    for key in _CONTROL:
        given = getattr(node, key)
        if given is not None:
            out[key.rstrip("_")] = given
    for key, values in (("cases", node.cases), ("state", node.state), ("next", node.next)):
        if values is not None:
            out[key] = _named(values, spell)
    if node.body is not None:
        out["body"] = {name: write_node(inner, spell) for name, inner in node.body.items()}


def _retry(retry: Retry) -> Tree:
    every = msgspec.structs.asdict(retry)
    return {k: v for k, v in every.items() if k == "attempts" or v != getattr(_RETRY, k)}


def _on_error(on_error: OnError, spell: Spell) -> Tree:
    if on_error.action == "value":
        return {"value": _named(on_error.value, spell)}
    return {"fallback": on_error.fallback} if on_error.action == "fallback" else on_error.action


def write_edge(edge: Edge) -> dict[str, Tree]:
    """Return the document of one edge, explicit or derived."""
    if isinstance(edge, ConditionalEdge):
        out: dict[str, Tree] = {"from": edge.source, "to": edge.target, "when": edge.when}
        return out if edge.label is None else {**out, "label": edge.label}
    if isinstance(edge, DataEdge):
        source = edge.source if edge.output == "*" else f"{edge.source}.{edge.output}"
        out = {"from": source, "to": f"{edge.target}.{edge.input}"}
        if edge.transform is not None:
            out["transform"] = edge.transform
    else:
        out = {"from": f"{edge.source}.{edge.branch}" if edge.branch else edge.source, "to": edge.target}
        if edge.priority:
            out["priority"] = edge.priority
    if edge.derived:
        out["derived"] = True
    return out
