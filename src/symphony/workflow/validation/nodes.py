"""Checks of single nodes: what they run, their inputs and options, and what controls need."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import msgspec

from symphony.workflow.catalog import Port
from symphony.workflow.checks import plain_of
from symphony.workflow.compiled import More, NodeExpressions
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.model import (
    CommandNode,
    ControlNode,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
)
from symphony.workflow.problems import child, did_you_mean
from symphony.workflow.types import ANY, STRING, PortType, called, fits, list_of, mismatch
from symphony.workflow.validation.commands import check_command, check_environment
from symphony.workflow.validation.forgotten import warn_of_forgotten
from symphony.workflow.validation.level import Level, required, speaks
from symphony.workflow.validation.loops import check_loop
from symphony.workflow.validation.scope import Scope, port_hint

_NONE: Mapping[str, Collection[str]] = {}
_NO_MORE = More()
_LABEL = PortType("string", optional=True)
_MOMENT = re.compile(r"\s*\d{4}-\d\d-\d\d[Tt ]\d\d:")  # a bare timestamp, which is not CEL


def check_nodes(level: Level, fed: Mapping[str, Collection[str]] = _NONE) -> None:
    """Check every node of a level. `fed`: for each node, the inputs that explicit edges give."""
    level.sheet.nodes += len(level.scope.nodes)
    usual: dict[str, _Usual] = {}
    plain = zip(level.scope.nodes.items(), level.scope.compiled.nodes, level.before, strict=True)
    for (name, node), parts, before in plain:
        more, scope = parts.more, level.scope
        known = usual.get(node.operator) if type(node) is OperatorNode else None
        if known is None or not _is_usual(level, parts, known, before):
            scope = _check_inputs(level, name, node, parts, before, fed.get(name, ()))
            if known is None and type(node) is OperatorNode and (ports := level.scope.inputs_of(node)):
                usual[node.operator] = _Usual.of(ports)
        if more is not None and more.when is not None:
            level.boolean(more.when, level.scope, before, f"{child(level.place, name)}.when")
        if node.after:
            _after(level, name, node.after, before)
        if more is not None and (node.on_error.action != "fail" or node.artifact is not None or node.config):
            _options(level, name, node, more, before, scope)
    warn_of_forgotten(level)


class _Usual(NamedTuple):
    """The inputs of an operator, to compare most of its nodes with: their types, and which are required.

    Each type has a quick test for plain values.
    """

    ports: Mapping[str, tuple[PortType, Callable[[object], bool]]]
    needed: frozenset[str]

    @classmethod
    def of(cls, ports: Mapping[str, Port]) -> "_Usual":
        """Make it from an operator's input ports."""
        usual = {n: port.type for n, port in ports.items() if n != "environment" and not speaks(port)}
        return cls({name: (kind, plain_of(kind)) for name, kind in usual.items()}, frozenset(required(ports)))


def _is_usual(level: Level, parts: NodeExpressions, usual: _Usual, before: list[int]) -> bool:
    """True if the node is not a fan-out and all its inputs fit at once.

    This is the short path: what the node reads is noted only if the result is True.
    """
    if parts.more is not None and parts.more.for_each is not None:
        return False
    ports, inputs = usual.ports, parts.inputs
    if not inputs.keys() >= usual.needed:
        return False
    for name, template in inputs.items():
        port = ports.get(name)
        if port is None:
            return False
        target, is_plain = port
        if not (template.constant and is_plain(template.value)) and not level.bare(template, target):
            return False
    for reads in parts.reads:
        if reads:
            before += reads
            level.sheet.edges += len(reads)
    return True


def _check_inputs(
    level: Level, name: str, node: Node, parts: NodeExpressions, before: list[int], fed: Collection[str]
) -> Scope:
    """Check closely what a node runs and is given; return the scope of its expressions."""
    scope, more = level.scope, parts.more
    if more is not None and more.for_each is not None:
        scope = _for_each(level, name, more.for_each, before)
        if more.label is not None:
            _label(level, name, more.label, scope)
    expected = level.scope.inputs_of(node)
    if type(node) is not OperatorNode or expected is None:
        _check_kind(level, name, node, scope, more, fed)
    if isinstance(node, OperatorNode) and "environment" in node.inputs:
        check_environment(level, node, name)
    _inputs(level, name, parts, before, scope, expected)
    if expected is not None and any(key in expected and speaks(expected[key]) for key in parts.inputs):
        from symphony.workflow.validation.literals import check_literals

        check_literals(level, f"{child(level.place, name)}.inputs", parts.inputs, expected, fed)
    for missing, port in (expected or {}).items():
        if port.default is msgspec.UNSET and missing not in node.inputs and missing not in fed:
            place = child(child(child(level.place, name), "inputs"), missing)
            level.error(
                "missing-input",
                place,
                f"the input {missing!r} is missing",
                f"give it {_wanted(port)}",
            )
    return scope


def _wanted(port: Port) -> str:
    return "a value" if port.type.kind in ("any", "json") else called(port.type)


def _inputs(
    level: Level, name: str, parts: NodeExpressions, before: list[int], scope: Scope,
    expected: Mapping[str, Port] | None,
) -> None:  # fmt: skip
    """Check the inputs, first by the short path: valid references and plain values."""
    for (key, template), reads in zip(parts.inputs.items(), parts.reads, strict=True):
        target = ANY
        if expected is not None:
            port = expected.get(key)
            if port is None:
                place = f"{child(level.place, name)}.inputs.{key}"
                level.error(
                    "unknown-port", place, f"there is no input {key!r}", port_hint(key, expected, "input")
                )
            else:
                target = port.type
        if level.bare(template, target):
            before += reads
            level.sheet.edges += len(reads)
        else:
            level.value(template, target, scope, before, f"{child(level.place, name)}.inputs.{key}")


def _check_kind(
    level: Level, name: str, node: Node, scope: Scope, more: More | None, fed: Collection[str]
) -> None:
    place = child(level.place, name)
    match node:
        case OperatorNode() | InstrumentNode():
            info = level.scope.info(node)
            if isinstance(info, str):
                _unknown(level, node, info, place)
        case SubWorkflowNode():
            problem = level.scope.children.get(node.workflow).problem
            if problem is not None:
                level.error(problem[0], f"{place}.workflow", problem[1], problem[2])
        case CommandNode():
            check_command(level, node, scope, name, fed)
        case ControlNode():
            _control(level, name, node, more or _NO_MORE, place, scope)


def _unknown(level: Level, node: OperatorNode | InstrumentNode, why: str, place: str) -> None:
    catalog = level.scope.catalog
    why = f": {why}" if why else ""
    if isinstance(node, OperatorNode):
        from symphony.workflow.remedies import operator_hint

        if not why and catalog.unread:
            return  # the file that may define it cannot be read, which is reported there
        if not why and catalog.partial:  # the operator may exist
            files = ", ".join(catalog.partial)
            message = f"{node.operator} is not known before a run: {files} makes names of operators when run"
            hint = 'give operators plain names: @operator("my.name", version="1.0.0")'
            level.sheet.warnings.add("unknown-operator", f"{place}.operator", message, hint)
            return
        versions = {name: one.version for name, one in catalog.operators.items()}
        defining = None if why else level.scope.children.defining(node.operator.partition("@")[0])
        hint = operator_hint(node.operator, versions, defining)
        level.error("unknown-operator", f"{place}.operator", f"unknown operator {node.operator}{why}", hint)
    else:
        hint = did_you_mean(
            node.instrument.partition("@")[0], catalog.models, "symphony models list shows all"
        )
        level.error("unknown-model", f"{place}.instrument", f"unknown model {node.instrument}{why}", hint)


def _for_each(level: Level, name: str, each: ValueTemplate, before: list[int]) -> Scope:
    """Check `for_each`; return the scope of the node's inputs, with `item`."""
    place = f"{child(level.place, name)}.for_each"
    if each.form == "condition":
        kind = level.condition(each, level.scope, before, place)
    else:
        kind = level.value(each, list_of(ANY), level.scope, before, place)
    if kind is None or kind.kind in ("any", "json"):
        return level.scope.seeing(item=ANY)
    if kind.kind == "embedding":
        return level.scope.seeing(item=PortType("number"))
    if not fits(kind, PortType("list", ANY, optional=True)):
        level.error("type-mismatch", place, f"for_each needs a list, not {kind}", "give a list, such as [x]")
        return level.scope.seeing(item=ANY)
    return level.scope.seeing(item=kind.item or ANY)


def _label(level: Level, name: str, label: ValueTemplate, scope: Scope) -> None:
    """Check a label: a string that depends only on the element and its number."""
    place = f"{child(level.place, name)}.label"
    kind = level.condition(label, scope, [], place)
    if kind is None:
        return
    if any(read.kind not in ("item", "index") for read in label.reads):
        message = "a label reads `item` and `index` alone"
        level.error("bad-expression", place, message, "put what it needs into the elements of for_each")
    elif not fits(kind, _LABEL):
        message = f"a label is a string, and this gives {called(kind)}"
        level.error("type-mismatch", place, message, "convert it: string(x)")


def branches(node: Node) -> tuple[str, ...] | None:
    """Return the branches of a node; None if it is not a branch node."""
    if not isinstance(node, ControlNode) or node.control != "branch":
        return None
    if node.switch is None:
        return "true", "false"
    return tuple(dict.fromkeys((*(node.cases or {}), *([node.default] if node.default else []))))


def check_branch(level: Level, source: str, branch: str, place: str) -> None:
    """Report it if `source` does not have this branch."""
    node = level.scope.nodes.get(source)
    if node is None:
        return  # broken: reported elsewhere
    known = branches(node)
    if known is None:
        message = f"{source} is not a branch, so it has no {branch!r}"
        level.error("unknown-port", place, message, f"write {source} alone")
    elif branch not in known:
        hint = did_you_mean(branch, known, f"its branches are {', '.join(known)}")
        level.error("unknown-port", place, f"the branch {source} has no {branch!r}", hint)


def _after(level: Level, name: str, after: tuple[str, ...], before: list[int]) -> None:
    level.sheet.edges += len(set(after))
    numbers = [*map(level.scope.compiled.index.get, after)]
    if None not in numbers:  # the short path: no branches
        before += numbers  # type: ignore[arg-type]  # none of them is None
        return
    place = f"{child(level.place, name)}.after"
    for i, text in enumerate(after):
        source, dot, branch = text.partition(".")
        if not level.exists(source):
            level.unknown_node(source, child(place, i))
            continue
        before.append(level.number(source))
        if dot:
            check_branch(level, source, branch, child(place, i))


def _options(level: Level, name: str, node: Node, more: More, before: list[int], scope: Scope) -> None:
    place = child(level.place, name)
    for key, template in more.config.items():
        level.value(template, ANY, scope, before, f"{place}.config.{key}")
    ports = level.scope.run_outputs(node, more.loop)
    if node.on_error.action == "value":
        _error_value(level, more.instead, ports, scope, before, f"{place}.on_error.value")
    elif node.on_error.fallback is not None:
        _fallback(level, name, node.on_error.fallback, f"{place}.on_error.fallback")
    artifact = node.artifact
    if artifact is None or more.artifact_name is None:
        return
    level.value(more.artifact_name, STRING, scope, before, f"{place}.artifact.name")
    if ports is None:
        return
    if artifact.port is not None and artifact.port not in ports:
        message = f"{name} has no output {artifact.port!r}"
        level.error("unknown-port", f"{place}.artifact.port", message, port_hint(artifact.port, ports))
    elif artifact.port is None and len(ports) > 1:
        message = f"{name} has several outputs: which one is the artifact?"
        level.error("missing-input", f"{place}.artifact", message, f"add port: one of {', '.join(ports)}")


def _error_value(
    level: Level, values: Mapping[str, ValueTemplate], ports: Mapping[str, Port] | None, scope: Scope,
    before: list[int], place: str,
) -> None:  # fmt: skip
    for key, template in values.items():
        target = ANY
        if ports is not None:
            if key not in ports:
                level.error(
                    "unknown-port", child(place, key), f"there is no output {key!r}", port_hint(key, ports)
                )
                continue
            target = ports[key].type
        level.value(template, target, scope, before, child(place, key))


def _fallback(level: Level, name: str, spare: str, place: str) -> None:
    if not level.exists(spare):
        level.unknown_node(spare, place)
        return
    level.sheet.edges += 1
    if spare in level.scope.nodes:
        level.before[level.number(spare)].append(level.number(name))
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


def _control(level: Level, name: str, node: ControlNode, more: More, place: str, scope: Scope) -> None:
    before = level.before[level.number(name)]
    match node.control:
        case "branch":
            if more.condition is not None:
                level.boolean(more.condition, scope, before, f"{place}.condition")
            if more.switch is not None:
                _switch(level, node, more.switch, before, place, scope)
        case "delay" if node.until is not None and _MOMENT.match(node.until):
            message = f"{node.until} is not an expression that gives a timestamp"
            level.error(
                "type-mismatch", f"{place}.until", message, f'write timestamp("{node.until.strip()}")'
            )
        case "delay" if more.until is not None:
            kind = level.condition(more.until, scope, before, f"{place}.until")
            if kind is not None and kind.kind not in ("any", "json", "string", "timestamp"):
                message = f"`until` needs a timestamp, not {kind}"
                level.error(
                    "type-mismatch", f"{place}.until", message, 'write timestamp("2030-01-01T00:00:00Z")'
                )
        case "approval" if more.message is not None:
            level.value(more.message, STRING, scope, before, f"{place}.message")
        case "loop":
            check_loop(level, name, place, scope, check_nodes)


def _switch(
    level: Level, node: ControlNode, switch: ValueTemplate, before: list[int], place: str, scope: Scope
) -> None:
    kind = level.condition(switch, scope, before, f"{place}.switch")
    for case, value in (node.cases or {}).items():
        why = None if kind is None else mismatch(value, kind)
        if why and kind is not None and not (kind.kind == "number" and isinstance(value, int)):
            message = f"this case can never match: {why}"
            level.error("type-mismatch", f"{place}.cases.{case}", message, f"the switch gives {kind}")
