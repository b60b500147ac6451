"""Checks of single nodes: what they run, their inputs and options, and what controls need."""

import re
from collections.abc import Collection, Mapping

from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.model import (
    CommandNode,
    ControlNode,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
)
from symphony.workflow.problems import child, did_you_mean
from symphony.workflow.types import ANY, STRING, PortType, fits, list_of, mismatch
from symphony.workflow.validation.commands import check_command, check_environment
from symphony.workflow.validation.level import Level, required
from symphony.workflow.validation.scope import Scope, port_hint

_NONE: Mapping[str, Collection[str]] = {}
_MOMENT = re.compile(r"\s*\d{4}-\d\d-\d\d[Tt ]\d\d:")  # a bare timestamp, which is no CEL


def check_nodes(level: Level, fed: Mapping[str, Collection[str]] = _NONE) -> None:
    """Check every node of a level. `fed`: for each node, the inputs that explicit edges give."""
    needed: dict[int, tuple[str, ...]] = {}
    level.sheet.nodes += len(level.scope.nodes)
    known: dict[str, Mapping[str, Port]] = {}
    for name, node in level.scope.nodes.items():
        scope = level.scope
        expected = known.get(node.operator) if type(node) is OperatorNode else None
        if node.for_each is not None:
            scope = _for_each(level, name, node)
        if expected is None:
            expected = level.scope.inputs_of(node)
            if type(node) is not OperatorNode or expected is None:
                _check_kind(level, name, node, scope, fed.get(name, ()))
            else:
                known[node.operator] = expected
        if isinstance(node, OperatorNode) and "environment" in node.inputs:
            check_environment(level, node, name)
        _inputs(level, name, node, scope, expected)
        if expected:
            names = needed.get(id(expected))
            if names is None:
                names = needed[id(expected)] = required(expected)
            for missing in names:
                if missing not in node.inputs and missing not in fed.get(name, ()):
                    place = child(child(child(level.place, name), "inputs"), missing)
                    kind = expected[missing].type
                    level.error(
                        "missing-input", place, f"the input {missing!r} is missing", f"give it {kind}"
                    )
        if node.when is not None:
            level.boolean(node.when, level.scope, level.before[name], f"{child(level.place, name)}.when")
        if node.after:
            _after(level, name, node)
        if node.on_error.action != "fail" or node.artifact is not None or node.config:
            _options(level, name, node, scope)


def _inputs(level: Level, name: str, node: Node, scope: Scope, expected: Mapping[str, Port] | None) -> None:
    """The short path first: a bare reference that is sound, or a plain text for a text port."""
    before = level.before[name]
    for key, value in node.inputs.items():
        target = ANY
        if expected is not None:
            port = expected.get(key)
            if port is None:
                place = f"{child(level.place, name)}.inputs.{key}"
                level.error("unknown-port", place, f"there is no input {key!r}", port_hint(key, expected))
            else:
                target = port.type
        if level.bare(value, target, before):
            continue
        level.value(value, target, scope, before, f"{child(level.place, name)}.inputs.{key}")


def _check_kind(level: Level, name: str, node: Node, scope: Scope, fed: Collection[str]) -> None:
    place = child(level.place, name)
    match node:
        case OperatorNode() | InstrumentNode():
            info = level.scope.info(node)
            if isinstance(info, str):
                _unknown(level, node, info, place)
        case SubWorkflowNode():
            problem = level.scope.children.get(node.workflow).problem
            if problem is not None:
                level.error(problem[0], place, problem[1], problem[2])
        case CommandNode():
            check_command(level, node, scope, name, fed)
        case ControlNode():
            _control(level, name, node, place, scope)


def _unknown(level: Level, node: OperatorNode | InstrumentNode, why: str, place: str) -> None:
    catalog = level.scope.catalog
    if isinstance(node, OperatorNode):
        hint = did_you_mean(
            node.operator.partition("@")[0], catalog.operators, "symphony operators list shows all"
        )
        level.error("unknown-operator", place, f"unknown operator {node.operator}: {why}", hint)
    else:
        hint = did_you_mean(
            node.instrument.partition("@")[0], catalog.models, "symphony models list shows all"
        )
        level.error("unknown-model", place, f"unknown model {node.instrument}: {why}", hint)


def _for_each(level: Level, name: str, node: Node) -> Scope:
    """The scope of a node's inputs, with `item`."""
    place = f"{child(level.place, name)}.for_each"
    kind: PortType | None
    if isinstance(node.for_each, list):
        kind = level.value(node.for_each, list_of(ANY), level.scope, level.before[name], place)
    else:
        template = level.condition(node.for_each or "", level.scope, level.before[name], place)
        kind = None if template is None else template.type
    if kind is None or kind.kind in ("any", "json"):
        return level.scope.seeing(item=ANY)
    if kind.kind == "embedding":
        return level.scope.seeing(item=PortType("number"))
    if not fits(kind, PortType("list", ANY, optional=True)):
        level.error("type-mismatch", place, f"for_each needs a list, not {kind}", "give a list, such as [x]")
        return level.scope.seeing(item=ANY)
    return level.scope.seeing(item=kind.item or ANY)


def branches(node: Node) -> tuple[str, ...] | None:
    """The branches of a node; None if it is no branch."""
    if not isinstance(node, ControlNode) or node.control != "branch":
        return None
    if node.switch is None:
        return "true", "false"
    return tuple(dict.fromkeys((*(node.cases or {}), *([node.default] if node.default else []))))


def check_branch(level: Level, source: str, branch: str, place: str) -> None:
    """Does `source` have this branch?"""
    node = level.scope.nodes.get(source)
    if node is None:
        return  # broken: reported elsewhere
    known = branches(node)
    if known is None:
        message = f"{source} is no branch, so it has no {branch!r}"
        level.error("unknown-port", place, message, f"write {source} alone")
    elif branch not in known:
        hint = did_you_mean(branch, known, f"its branches are {', '.join(known)}")
        level.error("unknown-port", place, f"the branch {source} has no {branch!r}", hint)


def _after(level: Level, name: str, node: Node) -> None:
    place = f"{child(level.place, name)}.after"
    nodes, before = level.scope.nodes, level.before[name]
    for i, after in enumerate(node.after):
        if after in nodes:  # the short path: no branch
            before.append(after)
            continue
        source, dot, branch = after.partition(".")
        if not level.exists(source):
            level.unknown_node(source, child(place, i))
            continue
        before.append(source)
        if dot:
            check_branch(level, source, branch, child(place, i))
    level.sheet.edges += len(set(node.after))


def _options(level: Level, name: str, node: Node, scope: Scope) -> None:
    place, before = child(level.place, name), level.before[name]
    for key, value in node.config.items():
        level.value(value, ANY, scope, before, f"{place}.config.{key}")
    ports = level.scope.run_outputs(node)
    if node.on_error.action == "value":
        _error_value(level, node.on_error.value, ports, scope, before, f"{place}.on_error.value")
    elif node.on_error.fallback is not None:
        _fallback(level, name, node.on_error.fallback, f"{place}.on_error.fallback")
    artifact = node.artifact
    if artifact is None:
        return
    level.value(artifact.name, STRING, scope, before, f"{place}.artifact.name")
    if ports is None:
        return
    if artifact.port is not None and artifact.port not in ports:
        message = f"{name} has no output {artifact.port!r}"
        level.error("unknown-port", f"{place}.artifact.port", message, port_hint(artifact.port, ports))
    elif artifact.port is None and len(ports) > 1:
        message = f"{name} has several outputs: which one is the artifact?"
        level.error("missing-input", f"{place}.artifact", message, f"add port: one of {', '.join(ports)}")


def _error_value(
    level: Level, values: Mapping[str, Value], ports: Mapping[str, Port] | None, scope: Scope,
    before: list[str], place: str,
) -> None:  # fmt: skip
    for key, value in values.items():
        target = ANY
        if ports is not None:
            if key not in ports:
                level.error(
                    "unknown-port", child(place, key), f"there is no output {key!r}", port_hint(key, ports)
                )
                continue
            target = ports[key].type
        level.value(value, target, scope, before, child(place, key))


def _fallback(level: Level, name: str, spare: str, place: str) -> None:
    if not level.exists(spare):
        level.unknown_node(spare, place)
        return
    level.sheet.edges += 1
    if spare in level.before:
        level.before[spare].append(name)
    offered, needed = level.scope.outputs(spare), level.scope.outputs(name)
    if offered is None or needed is None:
        return
    for port, wanted in needed.items():
        if port not in offered:
            message = f"the fallback {spare} has no output {port!r}, which {name} has"
            level.error("unknown-port", place, message, "a fallback offers the same ports")
        elif not fits(offered[port].type, wanted.type):
            message = f"{spare}.{port} is {offered[port].type}, {name}.{port} is {wanted.type}"
            level.error("type-mismatch", place, message, "a fallback offers ports of the same types")


def _control(level: Level, name: str, node: ControlNode, place: str, scope: Scope) -> None:
    before = level.before[name]
    match node.control:
        case "branch":
            if node.condition is not None:
                level.boolean(node.condition, scope, before, f"{place}.condition")
            if node.switch is not None:
                _switch(level, node, before, place, scope)
        case "delay" if node.until is not None and _MOMENT.match(node.until):
            message = f"{node.until} is not an expression that gives a timestamp"
            level.error(
                "type-mismatch", f"{place}.until", message, f'write timestamp("{node.until.strip()}")'
            )
        case "delay" if node.until is not None:
            template = level.condition(node.until, scope, before, f"{place}.until")
            if template is not None and template.type.kind not in ("any", "json", "string", "timestamp"):
                message = f"`until` needs a timestamp, not {template.type}"
                level.error(
                    "type-mismatch", f"{place}.until", message, 'write timestamp("2030-01-01T00:00:00Z")'
                )
        case "approval" if node.message is not None:
            level.value(node.message, STRING, scope, before, f"{place}.message")
        case "loop":
            from symphony.workflow.validation.loops import check_loop

            check_loop(level, name, node, place, scope)


def _switch(level: Level, node: ControlNode, before: list[str], place: str, scope: Scope) -> None:
    template = level.condition(node.switch or "", scope, before, f"{place}.switch")
    for case, value in (node.cases or {}).items():
        why = None if template is None else mismatch(value, template.type)
        if why and template is not None and not (template.type.kind == "number" and isinstance(value, int)):
            message = f"this case can never match: {why}"
            level.error(
                "type-mismatch", f"{place}.cases.{case}", message, f"the switch gives {template.type}"
            )
