"""Reads a document into a `Workflow`, best effort, with every structural problem at its place."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree, child
from symphony.workflow.fields import Fields, kind_of
from symphony.workflow.inputs import beyond
from symphony.workflow.model import (
    FAIL,
    NODES_MAX,
    SCHEMA_VERSION,
    ArtifactSpec,
    CommandNode,
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
    Retry,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.types import mismatch

WORKFLOW_KEYS = (
    "symphony", "name", "version", "description", "tags", "env", "inputs", "nodes", "steps", "edges", "outputs", "metadata",
)  # fmt: skip
INPUT_KEYS = ("type", "enum", "default", "min", "max", "description")
KINDS = ("operator", "instrument", "control", "workflow", "command")
OPTION_KEYS = (
    "inputs", "config", "for_each", "concurrency", "when", "after", "join", "retry", "timeout", "on_error",
    "idempotent", "priority", "cache", "artifact", "description", "position", "enabled", "metadata",
)  # fmt: skip
CONTROL_KEYS: Mapping[str, tuple[str, ...]] = {
    "branch": ("condition", "switch", "cases", "default"),
    "merge": (),
    "delay": ("for", "until"),
    "approval": ("message", "on_timeout"),
    "loop": ("state", "body", "next", "while", "until", "max_iterations"),
}
RETRY_KEYS = ("attempts", "backoff", "initial", "max", "jitter")


def read_tree(tree: Tree, fields: Fields) -> Workflow | None:
    """The workflow in `tree`; None if it is none at all. Problems go to `fields`."""
    document = fields.map(tree, "", "a workflow")
    if document is None:
        return None
    schema = document.get("symphony", SCHEMA_VERSION)
    if schema != SCHEMA_VERSION or isinstance(schema, bool):
        hint = f"this version reads schema {SCHEMA_VERSION}: upgrade Symphony, or write symphony: {SCHEMA_VERSION}"
        fields.report("unsupported-schema", "symphony", f"schema version {schema!r} is not supported", hint)
        return None
    fields.known(document, "", WORKFLOW_KEYS, "a workflow")
    env = fields.texts(document["env"], "env") if "env" in document else ()
    return Workflow(
        name=_name(document, fields),
        version=fields.semver(document["version"], "version") if "version" in document else "0.1.0",
        description=fields.text(document.get("description", ""), "description"),
        tags=fields.texts(document["tags"], "tags") if "tags" in document else (),
        env=env,
        inputs=_inputs(document.get("inputs", {}), fields),
        nodes=_nodes_or_steps(document, fields),
        edges=_edges(document.get("edges", []), fields),
        outputs=fields.values(document.get("outputs", {}), "outputs", "outputs"),
        metadata=fields.values(document.get("metadata", {}), "metadata", "metadata"),
    )


def _name(document: Mapping[str, Tree], fields: Fields) -> str:
    if "name" not in document:
        fields.report("missing-input", "name", "the workflow has no name", "add name: followed by free text")
        return "unnamed"
    name = fields.text(document["name"], "name", default="unnamed")
    if not 1 <= len(name) <= 100:
        fields.wrong("name", f"a name has 1 to 100 characters, this one {len(name)}", "shorten it; use description for more")
    return name


def _inputs(tree: Tree, fields: Fields) -> dict[str, InputSpec]:
    found = fields.map(tree, "inputs", "inputs") or {}
    inputs: dict[str, InputSpec] = {}
    for name, raw in found.items():
        place = child("inputs", name)
        fields.name(name, place)
        spec = fields.map(raw, place, "an input")
        if spec is not None:
            inputs[name] = _input(spec, place, fields)
    return inputs


def _input(tree: Mapping[str, Tree], place: str, fields: Fields) -> InputSpec:
    fields.known(tree, place, INPUT_KEYS, "an input")
    bounds: dict[str, int | float | None] = {"min": None, "max": None}
    for key in bounds:
        bound = tree.get(key)
        if isinstance(bound, int | float) and not isinstance(bound, bool):
            bounds[key] = bound
        elif bound is not None:
            fields.wrong(child(place, key), f"a number is expected, not {kind_of(bound)}", "write a number")
    default: Value | msgspec.UnsetType = msgspec.UNSET
    if "default" in tree:
        default = fields.value(tree["default"], child(place, "default"))
    spec = InputSpec(
        type=fields.type(tree, place), default=default, min=bounds["min"], max=bounds["max"],
        description=fields.text(tree.get("description", ""), child(place, "description")),
    )  # fmt: skip
    if not isinstance(default, msgspec.UnsetType) and (why := mismatch(default, spec.type) or beyond(default, spec)):
        fields.wrong(child(place, "default"), f"the default does not fit: {why}", f"give a {spec.type}, or change the type")
    return spec


def _nodes_or_steps(document: Mapping[str, Tree], fields: Fields) -> dict[str, Node]:
    if "steps" in document:
        if "nodes" in document:
            fields.wrong("steps", "steps stand in place of nodes, not beside them", "move the steps into nodes")
        return _steps(document["steps"], fields)
    if "nodes" not in document or document["nodes"] in ({}, None):
        fields.report("missing-input", "nodes", "the workflow has no nodes", "add at least one node under nodes:")
        return {}
    return read_nodes(document["nodes"], "nodes", fields)


def read_nodes(tree: Tree, place: str, fields: Fields) -> dict[str, Node]:
    """The nodes of a workflow or of a loop's body."""
    found = fields.map(tree, place, "nodes") or {}
    if len(found) > NODES_MAX:
        fields.report("limit-exceeded", place, f"{len(found)} nodes, at most {NODES_MAX} are allowed", "use for_each")
        return {}
    nodes: dict[str, Node] = {}
    for name, raw in found.items():
        at = child(place, name)
        sound = fields.name(name, at)
        node = _node(raw, at, fields)
        if node is None:
            fields.broken.add(name)
        elif sound:
            nodes[name] = node
        else:
            fields.broken.add(name)
    return nodes


def _node(tree: Tree, place: str, fields: Fields) -> Node | None:
    raw = fields.map(tree, place, "a node")
    if raw is None:
        return None
    kinds = [kind for kind in KINDS if kind in raw]
    if len(kinds) != 1:
        said = "none" if not kinds else " and ".join(kinds)
        fields.wrong(place, f"a node has exactly one kind; this one has {said}", f"write one of {', '.join(KINDS)}")
        return None
    kind = kinds[0]
    what = fields.text(raw[kind], child(place, kind))
    extra = CONTROL_KEYS.get(what, ()) if kind == "control" else ()
    if kind == "control" and what not in CONTROL_KEYS:
        hint = f"use one of {', '.join(CONTROL_KEYS)}"
        fields.wrong(child(place, "control"), f"there is no control {what!r}", hint)
        return None
    fields.known(raw, place, (kind, *OPTION_KEYS, *extra), f"a {kind} node" if kind != "control" else f"a {what}")
    options = _options(raw, place, fields)
    match kind:
        case "operator":
            return OperatorNode(operator=what, **options)  # type: ignore[arg-type]  # built from the same fields
        case "instrument":
            return InstrumentNode(instrument=what, **options)  # type: ignore[arg-type]
        case "workflow":
            return SubWorkflowNode(workflow=what, **options)  # type: ignore[arg-type]
        case "command":
            if "${{" in what:
                hint = "give the value as an input: it arrives as an environment variable"
                fields.report("bad-expression", child(place, "command"), "a command holds no expressions", hint)
            return CommandNode(command=what, **options)  # type: ignore[arg-type]
    return _control(what, raw, place, options, fields)


def _options(raw: Mapping[str, Tree], place: str, fields: Fields) -> dict[str, object]:
    """The optional keys that every node may have, as keyword arguments."""
    out: dict[str, object] = {}
    for key in OPTION_KEYS:
        if key in raw:
            out[key] = _option(key, raw[key], child(place, key), fields)
    if "concurrency" in raw and "for_each" not in raw:
        fields.wrong(child(place, "concurrency"), "concurrency belongs to for_each", "remove it or add for_each")
    return out


def _option(key: str, tree: Tree, place: str, fields: Fields) -> object:
    match key:
        case "inputs" | "config" | "metadata":
            return fields.values(tree, place, key)
        case "for_each":
            return fields.value(tree, place) if isinstance(tree, list) else fields.text(tree, place, default="[]")
        case "concurrency":
            return fields.integer(tree, place, least=1, default=1)
        case "when":
            return fields.condition(tree, place)
        case "after":
            return fields.texts(tree, place)
        case "join":
            return fields.choice(tree, place, ("all", "any"), "all")
        case "cache":
            return fields.choice(tree, place, ("auto", "off"), "auto")
        case "retry":
            return _retry(tree, place, fields)
        case "timeout":
            return fields.duration(tree, place)
        case "on_error":
            return _on_error(tree, place, fields)
        case "idempotent":
            return fields.boolean(tree, place, default=False)
        case "enabled":
            return fields.boolean(tree, place, default=True)
        case "priority":
            return fields.integer(tree, place)
        case "artifact":
            return _artifact(tree, place, fields)
        case "position":
            return _position(tree, place, fields)
    return fields.text(tree, place)


def _retry(tree: Tree, place: str, fields: Fields) -> Retry | None:
    raw = fields.map(tree, place, "retry")
    if raw is None:
        return None
    fields.known(raw, place, RETRY_KEYS, "retry")
    backoff = fields.choice(
        raw.get("backoff", "exponential"), child(place, "backoff"), ("constant", "linear", "exponential"), "exponential"
    )
    steady: Literal["constant", "linear", "exponential"] = (
        "constant" if backoff == "constant" else "linear" if backoff == "linear" else "exponential"
    )
    return Retry(
        attempts=fields.integer(raw.get("attempts", 1), child(place, "attempts"), least=1, default=1),
        backoff=steady,
        initial=fields.duration(raw.get("initial", "1s"), child(place, "initial")),
        max=fields.duration(raw["max"], child(place, "max")) if "max" in raw else None,
        jitter=fields.boolean(raw.get("jitter", False), child(place, "jitter"), default=False),
    )


def _on_error(tree: Tree, place: str, fields: Fields) -> OnError:
    if tree == "fail":
        return FAIL
    if tree == "skip":
        return OnError(action="skip")
    if isinstance(tree, dict) and len(tree) == 1:
        if "value" in tree:
            return OnError(action="value", value=fields.values(tree["value"], child(place, "value"), "value"))
        if "fallback" in tree:
            return OnError(action="fallback", fallback=fields.text(tree["fallback"], child(place, "fallback")))
    hint = "write fail, skip, {value: {PORT: …}} or {fallback: NODE}"
    fields.wrong(place, f"{tree!r} says not what a failure means", hint)
    return FAIL


def _artifact(tree: Tree, place: str, fields: Fields) -> ArtifactSpec | None:
    raw = fields.map(tree, place, "artifact")
    if raw is None:
        return None
    fields.known(raw, place, ("name", "content_type", "port"), "artifact")
    if "name" not in raw:
        fields.report("missing-input", child(place, "name"), "the artifact has no name", "add name:")
    kept = {k: fields.text(raw[k], child(place, k)) for k in ("name", "content_type", "port") if k in raw}
    return ArtifactSpec(name=kept.get("name", "unnamed"), content_type=kept.get("content_type"), port=kept.get("port"))


def _position(tree: Tree, place: str, fields: Fields) -> tuple[float | int, float | int] | None:
    if isinstance(tree, list) and len(tree) == 2:
        x, y = tree
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in (x, y)):
            return x, y
    fields.wrong(place, "a position is two numbers", "write [x, y]")
    return None


def _control(
    kind: str, raw: Mapping[str, Tree], place: str, options: Mapping[str, object], fields: Fields
) -> ControlNode | None:
    """A control node; what its kind needs is checked here."""
    made: dict[str, object] = {"control": kind, **options}
    for key, target in (("condition", "condition"), ("switch", "switch"), ("while", "while_")):
        if key in raw:
            made[target] = fields.condition(raw[key], child(place, key))
    for key in ("default", "message", "until"):
        if key in raw:
            made[key] = fields.text(raw[key], child(place, key))
    for key in ("cases", "state", "next"):
        if key in raw:
            made[key] = fields.values(raw[key], child(place, key), key)
    if "for" in raw:
        made["for_"] = fields.duration(raw["for"], child(place, "for"))
    if "on_timeout" in raw:
        made["on_timeout"] = fields.choice(raw["on_timeout"], child(place, "on_timeout"), ("fail", "approve", "reject"), "fail")
    if "max_iterations" in raw:
        made["max_iterations"] = fields.integer(raw["max_iterations"], child(place, "max_iterations"), least=1, default=1)
    if "body" in raw:
        made["body"] = read_nodes(raw["body"], child(place, "body"), fields)
    if missing := _lacks(kind, raw):
        fields.wrong(place, f"a {kind} needs {missing}", f"add {missing}")
    return ControlNode(**made)  # type: ignore[arg-type]  # the keys are the struct's


def _lacks(kind: str, raw: Mapping[str, Tree]) -> str | None:
    match kind:
        case "branch":
            if ("condition" in raw) == ("switch" in raw):
                return "either condition or switch"
            return "cases" if "switch" in raw and "cases" not in raw else None
        case "merge":
            return None if raw.get("after") else "its candidates in after"
        case "delay":
            return None if ("for" in raw) != ("until" in raw) else "either for or until"
        case "loop":
            return "body, next and either while or until" if not (
                "body" in raw and "next" in raw and ("while" in raw) != ("until" in raw)
            ) else None
    return None


def _steps(tree: Tree, fields: Fields) -> dict[str, Node]:
    """Steps as command nodes: one after the other unless any of them has `needs`."""
    if not isinstance(tree, list) or not tree:
        fields.report("missing-input", "steps", "steps must be a list with at least one step", "write - {name, command}")
        return {}
    free = any(isinstance(raw, dict) and "needs" in raw for raw in tree)
    nodes: dict[str, Node] = {}
    last: tuple[str, ...] = ()
    for i, raw in enumerate(tree):
        place = f"steps[{i}]"
        step = fields.map(raw, place, "a step")
        if step is None:
            continue
        fields.known(step, place, ("name", "command", "needs"), "a step")
        for key in ("name", "command"):
            if key not in step:
                fields.report("missing-input", child(place, key), f"the step has no {key}", f"add {key}:")
        name = fields.text(step.get("name", f"step-{i + 1}"), child(place, "name"))
        fields.name(name, child(place, "name"))
        if name in nodes:
            fields.report("duplicate-name", child(place, "name"), f"a step {name!r} stands before", "rename one")
        needs = fields.texts(step["needs"], child(place, "needs")) if "needs" in step else ()
        node = _node({"command": step.get("command", "true"), "after": list(needs if free else last)}, place, fields)
        if node is not None:
            nodes[name] = node
        last = (name,)
    return nodes


def _edges(tree: Tree, fields: Fields) -> tuple[Edge, ...]:
    if not isinstance(tree, list):
        fields.wrong("edges", f"edges must be a list, not {kind_of(tree)}", "write - {from: a.port, to: b.input}")
        return ()
    read = (_edge(raw, f"edges[{i}]", fields) for i, raw in enumerate(tree))
    return tuple(edge for edge in read if edge is not None)


def _edge(tree: Tree, place: str, fields: Fields) -> Edge | None:
    raw = fields.map(tree, place, "an edge")
    if raw is None or raw.get("derived") is True:
        return None  # it comes from a shorthand and is made anew
    fields.known(raw, place, ("from", "to", "transform", "priority", "when", "label", "derived"), "an edge")
    for key in ("from", "to"):
        if key not in raw:
            fields.report("missing-input", child(place, key), f"the edge has no {key!r}", f"add {key}: NODE or NODE.PORT")
            return None
    source, _, output = fields.text(raw["from"], child(place, "from")).partition(".")
    target, _, entry = fields.text(raw["to"], child(place, "to")).partition(".")
    label = fields.text(raw["label"], child(place, "label")) if "label" in raw else None
    if "when" in raw:
        when = fields.condition(raw["when"], child(place, "when"))
        return ConditionalEdge(source=source, target=target, when=when, label=label)
    if entry:
        transform = fields.text(raw["transform"], child(place, "transform")) if "transform" in raw else None
        return DataEdge(source=source, target=target, output=output, input=entry, transform=transform)
    priority = fields.integer(raw.get("priority", 0), child(place, "priority"))
    return ControlEdge(source=source, target=target, branch=output or None, priority=priority)
