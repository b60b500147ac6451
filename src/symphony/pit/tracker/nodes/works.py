"""Makes the work of every node, once for a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict, assert_never

from symphony.commons.quantities import duration_s
from symphony.pit.tracker.nodes.owning import Copies, copies_of
from symphony.pit.tracker.nodes.sources import Source, Sources
from symphony.pit.tracker.nodes.work import (
    COMMAND,
    ApprovalWork,
    BranchWork,
    Delay,
    DelayWork,
    Loop,
    LoopWork,
    MergeWork,
    ModelWork,
    OperatorWork,
    PlainResult,
    SubWorkflowWork,
    Work,
)
from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.workflow.catalog import Catalog, Port
from symphony.workflow.checks import Check, check_of, plain_of
from symphony.workflow.compiled import Compiled, LoopParts, More, NodeExpressions
from symphony.workflow.expressions import Read, ValueTemplate
from symphony.workflow.expressions.compiler import constant
from symphony.workflow.model import (
    CommandNode,
    ConditionalEdge,
    ControlNode,
    DataEdge,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
)
from symphony.workflow.types import ANY, STRING, PortType

ROUNDS_MAX = 1_000
"""The most rounds of a loop without `max_iterations`."""
_CONTROL_PORTS: Mapping[str, Mapping[str, Port]] = {
    "branch": {"taken": Port(type=ANY)},
    "approval": {name: Port(type=ANY) for name in ("approved", "by", "comment")},
}


class _Target(NamedTuple):
    """The operator or model behind nodes that run the same thing, and its ports."""

    operator: Operator | None
    model: str | None
    version: str
    input_ports: Mapping[str, Port] | None
    output_types: Mapping[str, PortType]
    input_checks: Mapping[str, Check]
    output_checks: Mapping[str, Check]
    result: PlainResult | None
    copies: Copies
    typed_inputs: bool
    effect: str
    idempotent: bool
    inline: bool
    short: bool
    keepable: bool
    """True if results can be kept at all."""
    cacheable: bool
    """True if results are kept when the node does not say."""

    @classmethod
    def made(
        cls, operator: Operator | None, model: str | None, version: str,
        given: Mapping[str, Port] | None, gives: Mapping[str, Port],
    ) -> "_Target":  # fmt: skip
        """Return the target with everything that follows from its operator or model."""
        info = None if operator is None else operator.info
        effect = "read" if model is not None else "pure" if info is None else info.effect
        return cls(
            operator=operator,
            model=model,
            version=version,
            input_ports=given,
            output_types={k: p.type for k, p in gives.items()},
            input_checks={k: check_of(p.type) for k, p in (given or {}).items()},
            output_checks={k: check_of(p.type) for k, p in gives.items() if p.type.kind != "any"},
            result=None if operator is None or not operator.single_output else _result(gives),
            copies=() if operator is None else copies_of(given or {}),
            typed_inputs=_typed(given or {}),
            effect=effect,
            idempotent=info is None or info.idempotent,
            inline=operator is not None and operator.style == "inline" and effect == "pure",
            short=_short(operator),
            keepable=_keepable(operator, model),
            # A result that is made at once is cheaper to compute than to look up.
            cacheable=_keepable(operator, model) and (operator is None or operator.style != "inline"),
        )


class _Targets:
    """Finds the operators and models behind nodes: most of them run the same few operators."""

    def __init__(self, catalog: Catalog, operators: Mapping[str, Operator]) -> None:
        self._catalog, self._operators = catalog, operators
        self._known: dict[str, _Target] = {}

    def of(self, node: Node) -> _Target:
        """Return the operator or model behind a node."""
        if not isinstance(node, OperatorNode):
            return self._made(node)
        found = self._known.get(node.operator)
        if found is None:
            found = self._known[node.operator] = self._made(node)
        return found

    def _made(self, node: Node) -> _Target:
        match node:
            case OperatorNode():
                operator = self._operators[node.operator.partition("@")[0]]
                info = operator.info
                return _Target.made(operator, None, info.version, info.inputs, info.outputs)
            case CommandNode():
                operator = self._operators[COMMAND]
                return _Target.made(operator, None, operator.info.version, None, operator.info.outputs)
            case InstrumentNode():
                model = node.instrument.partition("@")[0]
                known = self._catalog.models[model]
                return _Target.made(None, model, known.version, known.inputs, known.outputs)
            case ControlNode(control="loop"):
                ports = {name: Port(type=ANY) for name in (*(node.state or {}), "iterations")}
                return _Target.made(None, None, "", None, ports)
            case ControlNode():
                return _Target.made(None, None, "", None, _CONTROL_PORTS.get(node.control, {}))
            case SubWorkflowNode():
                return _Target.made(None, None, "", None, {})
        assert_never(node)


def works_of(
    compiled: Compiled, catalog: Catalog, operators: Mapping[str, Operator], base: Path | None = None
) -> tuple[Work, ...]:
    """Return the work of every node, in the workflow's order.

    `base` is the folder against which templates and modules of a sub-workflow resolve.
    """
    transforms, conditions = _transforms(compiled), _conditions(compiled)
    nodes = compiled.workflow.nodes
    numbers = {name: i for i, (name, node) in enumerate(nodes.items()) if node.on_error.fallback is None}
    sources, targets = Sources(numbers), _Targets(catalog, operators)
    return tuple(
        _work(
            name, node, compiled.nodes[number], transforms.get(name, {}), conditions.get(name, ()), sources,
            targets.of(node), base,
        )
        for number, (name, node) in enumerate(nodes.items())
    )  # fmt: skip


def _transforms(compiled: Compiled) -> dict[str, dict[str, tuple[DataEdge, ValueTemplate | None]]]:
    """Return explicit data edges with their transforms, by target and input."""
    out: dict[str, dict[str, tuple[DataEdge, ValueTemplate | None]]] = {}
    for edge, transform in zip(compiled.workflow.edges, compiled.edges, strict=True):
        if isinstance(edge, DataEdge):
            out.setdefault(edge.target, {})[edge.input] = (edge, transform)
    return out


def _conditions(compiled: Compiled) -> dict[str, tuple[tuple[str, ValueTemplate], ...]]:
    out: dict[str, list[tuple[str, ValueTemplate]]] = {}
    for edge, when in zip(compiled.workflow.edges, compiled.edges, strict=True):
        if isinstance(edge, ConditionalEdge) and when is not None:
            out.setdefault(edge.target, []).append((edge.source, when))
    return {target: tuple(found) for target, found in out.items()}


class _Common(TypedDict):
    """The fields that every kind of work has."""

    name: str
    node: Node
    inputs: Mapping[str, ValueTemplate]
    sources: Mapping[str, Source]
    output_types: Mapping[str, PortType]
    output_checks: Mapping[str, Check]
    when: ValueTemplate | None
    for_each: ValueTemplate | None
    label: ValueTemplate | None
    conditions: tuple[tuple[str, ValueTemplate], ...]
    artifact_name: ValueTemplate | None
    instead: Mapping[str, ValueTemplate]
    config: Mapping[str, ValueTemplate]
    base: Path | None
    repeatable: bool
    timeout_s: float | None


_NO_MORE = More()


def _work(
    name: str,
    node: Node,
    parts: NodeExpressions,
    edges: Mapping[str, tuple[DataEdge, ValueTemplate | None]],
    conditions: tuple[tuple[str, ValueTemplate], ...],
    sources: Sources,
    target: _Target,
    base: Path | None,
) -> Work:
    inputs, more = parts.inputs, parts.more or _NO_MORE
    if edges:
        inputs = {**inputs, **{entry: _carried(edge, through) for entry, (edge, through) in edges.items()}}
    common: _Common = {
        "name": name,
        "node": node,
        "inputs": inputs,
        "sources": {entry: sources.of(template) for entry, template in inputs.items()},
        "output_types": target.output_types,
        "output_checks": target.output_checks,
        "when": more.when,
        "for_each": more.for_each,
        "label": more.label,
        "conditions": conditions,
        "artifact_name": more.artifact_name,
        "instead": more.instead,
        "config": more.config,
        "base": base,
        "repeatable": target.effect != "write"
        or (target.idempotent if node.idempotent is None else node.idempotent),
        "timeout_s": None if node.timeout is None else duration_s(node.timeout),
    }
    if target.operator is not None:
        return _operator_work(common, target, target.operator)
    if target.model is not None:
        return ModelWork(
            **common,
            version=target.version,
            model=target.model,
            input_ports=target.input_ports,
            input_checks=target.input_checks,
            typed_inputs=target.typed_inputs,
            cacheable=node.cache != "off",
            cached_always=node.cache == "on",
        )
    if isinstance(node, SubWorkflowNode):
        return SubWorkflowWork(**common)
    assert isinstance(node, ControlNode)
    return _control_work(common, node, more)


def _operator_work(common: _Common, target: _Target, operator: Operator) -> OperatorWork:
    node, timeout_s, fans_out = common["node"], common["timeout_s"], common["for_each"] is not None
    always = node.cache == "on" and target.keepable
    inline = target.inline and not always
    free = inline and timeout_s is None
    return OperatorWork(
        **common,
        version=target.version,
        operator=operator,
        input_ports=target.input_ports,
        input_checks=target.input_checks,
        typed_inputs=target.typed_inputs,
        copies=target.copies,
        result=target.result if node.artifact is None else None,
        inline=inline,
        direct=free and not common["conditions"] and common["when"] is None and not fans_out,
        direct_elements=free and fans_out,
        barrier=target.effect == "write",
        cacheable=always or (target.cacheable and node.cache != "off"),
        cached_always=always,
        short=target.short and timeout_s is None,
    )


def _control_work(common: _Common, node: ControlNode, more: More) -> Work:
    match node.control:
        case "loop":
            assert more.loop is not None
            return LoopWork(**common, loop=_loop(node, more.loop))
        case "branch":
            chooser = more.condition or more.switch
            assert chooser is not None
            cases = tuple((node.cases or {}).items())
            return BranchWork(**common, chooser=chooser, cases=cases, default=node.default)
        case "delay":
            return DelayWork(**common, delay=_delay(node, more.until))
        case "approval":
            plainly = constant(f"{common['name']}: go on?", STRING)
            return ApprovalWork(**common, message=more.message or plainly)
        case "merge":
            return MergeWork(**common)


def _carried(edge: DataEdge, transform: ValueTemplate | None) -> ValueTemplate:
    """Return the template of an input that comes from an edge."""
    read = Read("port", edge.source, edge.output)
    return ValueTemplate(noted=(read,), bare=read) if transform is None else _through(transform, read)


def _result(gives: Mapping[str, Port]) -> PlainResult | None:
    if len(gives) != 1:
        return None
    ((name, port),) = gives.items()
    return PlainResult(name, plain_of(port.type))


def _typed(ports: Mapping[str, Port]) -> bool:
    return any(port.type.kind != "any" for port in ports.values())


def _short(operator: Operator | None) -> bool:
    """True if it is a function that is assumed to be short until shown otherwise."""
    return (
        operator is not None
        and operator.style == "thread"
        and operator.info.effect == "pure"
        and not operator.cpu
    )


def _keepable(operator: Operator | None, model: str | None) -> bool:
    if operator is None:
        return model is not None
    return operator.info.effect == "pure" or operator.reads is not None


def _loop(loop: ControlNode, parts: LoopParts) -> Loop:
    return Loop(
        state=parts.state,
        next=parts.next,
        while_=parts.while_,
        until=parts.until,
        rounds_max=ROUNDS_MAX if loop.max_iterations is None else loop.max_iterations,
    )


def _delay(delay: ControlNode, until: ValueTemplate | None) -> Delay:
    return Delay(for_s=None if delay.for_ is None else duration_s(delay.for_), until=until)


def _through(inner: ValueTemplate, read: Read) -> ValueTemplate:
    """Return the template of an input that is a data edge's value after its transform `inner`."""
    reads = tuple(read if r.kind == "value" else r for r in inner.reads)

    def part(lookup: object) -> Value:
        assert callable(lookup)
        return inner.render(lambda r: lookup(read) if r.kind == "value" else lookup(r))

    return ValueTemplate(noted=reads, parts=part).through(inner, read)
