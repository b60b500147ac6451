"""What each node does, made ready once for a run: compiled inputs, conditions, operator, limits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from symphony.pit.tracker.nodes.sources import Source, Sources
from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.workflow.catalog import Catalog, Port
from symphony.workflow.checks import Check, check_of
from symphony.workflow.expressions import Compiler, Read, Template
from symphony.workflow.expressions.celtypes import TIMESTAMP
from symphony.workflow.model import (
    CommandNode,
    ConditionalEdge,
    ControlNode,
    DataEdge,
    InstrumentNode,
    Node,
    OperatorNode,
    Retry,
    Workflow,
    duration_s,
)
from symphony.workflow.types import ANY, PortType

COMMAND = "command"
ROUNDS_MAX = 1_000
"""Rounds of a loop that does not say `max_iterations`."""
_CONTROL_PORTS: Mapping[str, Mapping[str, Port]] = {
    "branch": {"taken": Port(type=ANY)},
    "approval": {name: Port(type=ANY) for name in ("approved", "by", "comment")},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop's own expressions. `state` is rendered outside of the body, `next` and `until` inside."""

    state: Mapping[str, Template]
    next: Mapping[str, Template]
    while_: Template | None
    until: Template | None
    rounds_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Either `for_s` seconds, or until the moment that `until` gives."""

    for_s: float | None
    until: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One node, ready to run. `conditions`: of its conditional edges, one must hold."""

    name: str
    node: Node
    operator: Operator | None = None
    model: str | None = None
    version: str = ""
    inputs: Mapping[str, Template]
    sources: Mapping[str, Source] = field(default_factory=dict)
    """Where each input comes from, with the numbers of nodes in place of their names."""
    config: Mapping[str, Template]
    input_ports: Mapping[str, Port] | None = None
    output_types: Mapping[str, PortType] = field(default_factory=dict)
    input_checks: Mapping[str, Check] = field(default_factory=dict)
    output_checks: Mapping[str, Check] = field(default_factory=dict)
    """Of the ports that do not take anything."""
    when: Template | None = None
    for_each: Template | None = None
    conditions: tuple[tuple[str, Template], ...] = ()
    branch: Template | None = None
    loop: Loop | None = None
    delay: Delay | None = None
    message: Template | None = None
    """What an approval asks."""
    artifact_name: Template | None = None
    instead: Mapping[str, Template] = field(default_factory=dict)
    """What `on_error: {value: …}` gives in place of outputs, by port."""
    base: Path | None = None
    """The folder of the file that the node stands in, if it is not the run's."""
    cases: tuple[tuple[str, Value], ...] = ()
    inline: bool = False
    direct: bool = False
    """Inline, and nothing stands before it: no condition, no fan-out, no timeout."""
    direct_elements: bool = False
    """`direct` of the elements of its fan-out: what stands before it was asked once, for all of them."""
    typed_inputs: bool = True
    """False if every port takes anything, so that there is nothing to check."""
    barrier: bool = False
    """Changes the outside world: its start is durable before it begins."""
    repeatable: bool = True
    """May be run again when it was cut off half-way."""
    timeout_s: float | None = None
    cacheable: bool = False

    @property
    def runs(self) -> str:
        """The name of the operator or model behind the node; empty if there is none."""
        return self.model or ("" if self.operator is None else self.operator.info.name)

    def templates(self) -> Iterator[Template]:
        """Every expression of the node itself, compiled."""
        single = (self.when, self.for_each, self.branch, self.message, self.artifact_name)
        yield from (template for template in single if template is not None)
        yield from self.inputs.values()
        yield from self.config.values()
        yield from self.instead.values()
        yield from (condition for _, condition in self.conditions)
        if self.delay is not None and self.delay.until is not None:
            yield self.delay.until
        if self.loop is not None:
            yield from self.loop.state.values()
            yield from self.loop.next.values()
            yield from (t for t in (self.loop.while_, self.loop.until) if t is not None)


def works_of(
    workflow: Workflow, catalog: Catalog, operators: Mapping[str, Operator], base: Path | None = None
) -> tuple[Work, ...]:
    """The work of every node, in the workflow's order. Raises BadExpression.

    `base`: the folder where the templates and modules of a sub-workflow resolve.
    """
    compiler = Compiler(type_of_read, value=False)
    transforms = _transforms(workflow)
    conditions = _conditions(workflow, compiler)
    nodes = workflow.nodes
    numbers = {name: i for i, (name, node) in enumerate(nodes.items()) if node.on_error.fallback is None}
    sources = Sources(numbers)
    return tuple(
        _work(
            name, node, transforms.get(name, {}), conditions.get(name, ()), sources, compiler, catalog,
            operators, base,
        )
        for name, node in nodes.items()
    )  # fmt: skip


def type_of_read(read: Read) -> PortType:
    """What the evaluator is told of a value."""
    # Values were checked against declared types before they got here; the evaluator tells them
    # apart by themselves, and a skipped node's null needs a dynamic variable.
    return TIMESTAMP if read.kind == "run" and read.name == "started_at" else ANY


def _transforms(workflow: Workflow) -> dict[str, dict[str, tuple[DataEdge, str | None]]]:
    """Explicit data edges by target and input."""
    out: dict[str, dict[str, tuple[DataEdge, str | None]]] = {}
    for edge in workflow.edges:
        if isinstance(edge, DataEdge):
            out.setdefault(edge.target, {})[edge.input] = (edge, edge.transform)
    return out


def _conditions(workflow: Workflow, compiler: Compiler) -> dict[str, tuple[tuple[str, Template], ...]]:
    out: dict[str, list[tuple[str, Template]]] = {}
    for edge in workflow.edges:
        if isinstance(edge, ConditionalEdge):
            out.setdefault(edge.target, []).append((edge.source, compiler.condition(edge.when)))
    return {target: tuple(found) for target, found in out.items()}


def _work(
    name: str,
    node: Node,
    edges: Mapping[str, tuple[DataEdge, str | None]],
    conditions: tuple[tuple[str, Template], ...],
    sources: Sources,
    compiler: Compiler,
    catalog: Catalog,
    operators: Mapping[str, Operator],
    base: Path | None,
) -> Work:
    operator, model, version, ports = _target(node, catalog, operators)
    inputs = {entry: compiler.template(value) for entry, value in node.inputs.items()}
    for entry, (edge, transform) in edges.items():
        read = Read("port", edge.source, edge.output)
        inputs[entry] = (
            Template(reads=(read,), bare=read) if transform is None else _through(compiler, transform, read)
        )
    info = None if operator is None else operator.info
    effect = "read" if model is not None else "pure" if info is None else info.effect
    idempotent = node.idempotent if node.idempotent is not None else info is None or info.idempotent
    control = node if isinstance(node, ControlNode) else None
    chooser = None if control is None else control.condition or control.switch
    each = node.for_each
    inline = operator is not None and operator.style == "inline" and effect == "pure"
    direct = inline and not conditions and (node.when, each, node.timeout) == (None, None, None)
    return Work(
        name=name,
        node=node,
        operator=operator,
        model=model,
        version=version,
        inputs=inputs,
        sources={entry: sources.of(template) for entry, template in inputs.items()},
        config={key: compiler.template(value) for key, value in node.config.items()},
        input_ports=ports[0],
        output_types={k: p.type for k, p in ports[1].items()},
        input_checks={k: check_of(p.type) for k, p in (ports[0] or {}).items()},
        output_checks={k: check_of(p.type) for k, p in ports[1].items() if p.type.kind != "any"},
        when=None if node.when is None else compiler.condition(node.when),
        for_each=None if each is None else _each(each, compiler),
        conditions=conditions,
        branch=None if chooser is None else compiler.condition(chooser),
        loop=_loop(control, compiler) if control is not None and control.control == "loop" else None,
        delay=_delay(control, compiler) if control is not None and control.control == "delay" else None,
        message=compiler.template(control.message or f"{name}: go on?")
        if control is not None and control.control == "approval"
        else None,
        artifact_name=None if node.artifact is None else compiler.template(node.artifact.name),
        instead={port: compiler.template(value) for port, value in node.on_error.value.items()},
        base=base,
        cases=tuple((control.cases or {}).items()) if control is not None else (),
        inline=inline,
        direct=direct,
        direct_elements=inline and each is not None and node.timeout is None,
        typed_inputs=_typed(ports[0] or {}),
        barrier=effect == "write",
        repeatable=effect != "write" or idempotent,
        timeout_s=None if node.timeout is None else duration_s(node.timeout),
        cacheable=node.cache == "auto" and _cacheable(operator, model),
    )


def _typed(ports: Mapping[str, Port]) -> bool:
    return any(port.type.kind != "any" for port in ports.values())


def _each(each: str | list[Value], compiler: Compiler) -> Template:
    return compiler.condition(each) if isinstance(each, str) else compiler.template(each)


def _cacheable(operator: Operator | None, model: str | None) -> bool:
    if model is not None:
        return True
    if operator is None or operator.style == "inline":
        return False  # cheaper to run than to look up
    return operator.info.effect == "pure" or operator.reads is not None


def _loop(loop: ControlNode, compiler: Compiler) -> Loop:
    return Loop(
        state={key: compiler.template(value) for key, value in (loop.state or {}).items()},
        next={
            key: compiler.condition(value) if isinstance(value, str) else compiler.template(value)
            for key, value in (loop.next or {}).items()
        },
        while_=None if loop.while_ is None else compiler.condition(loop.while_),
        until=None if loop.until is None else compiler.condition(loop.until),
        rounds_max=ROUNDS_MAX if loop.max_iterations is None else loop.max_iterations,
    )


def _delay(delay: ControlNode, compiler: Compiler) -> Delay:
    return Delay(
        for_s=None if delay.for_ is None else duration_s(delay.for_),
        until=None if delay.until is None else compiler.condition(delay.until),
    )


def _target(
    node: Node, catalog: Catalog, operators: Mapping[str, Operator]
) -> tuple[Operator | None, str | None, str, tuple[Mapping[str, Port] | None, Mapping[str, Port]]]:
    """The operator or model behind a node, its version, and its ports."""
    if isinstance(node, OperatorNode):
        operator = operators[node.operator.partition("@")[0]]
        return operator, None, operator.info.version, (operator.info.inputs, operator.info.outputs)
    if isinstance(node, CommandNode):
        operator = operators[COMMAND]
        return operator, None, operator.info.version, (None, operator.info.outputs)
    if isinstance(node, InstrumentNode):
        model = node.instrument.partition("@")[0]
        info = catalog.models[model]
        return None, model, info.version, (info.inputs, info.outputs)
    if isinstance(node, ControlNode) and node.control == "loop":
        return None, None, "", (None, {name: Port(type=ANY) for name in (*(node.state or {}), "iterations")})
    return None, None, "", (None, _CONTROL_PORTS.get(getattr(node, "control", ""), {}))


def _through(compiler: Compiler, transform: str, read: Read) -> Template:
    """An input that is a data edge's value seen through its `transform`."""
    inner = compiler.transform(transform)
    reads = tuple(read if r.kind == "value" else r for r in inner.reads)

    def part(lookup: object) -> Value:
        assert callable(lookup)
        return inner.render(lambda r: lookup(read) if r.kind == "value" else lookup(r))

    return Template(reads=reads, parts=part).through(inner, read)


def retry_delay_s(retry: Retry, attempt: int, jitter: float) -> float:
    """Seconds to wait after failed attempt `attempt` (1-based).

    `jitter`, in [0, 1], is drawn by the caller. Full jitter: M. Brooker, "Exponential Backoff And
    Jitter", AWS blog, 2015.
    """
    base = duration_s(retry.initial)
    factor = {"constant": 1.0, "linear": float(attempt), "exponential": 2.0 ** min(attempt - 1, 60)}[
        retry.backoff
    ]
    delay = min(base * factor, duration_s(retry.max) if retry.max else 86_400.0)
    return delay * jitter if retry.jitter else delay


def variables_read(work: Work) -> frozenset[str]:
    """The environment variables that the node's inputs read."""
    return frozenset(r.name for template in work.inputs.values() for r in template.reads if r.kind == "env")


def artifact_name(work: Work) -> str | None:
    """What a node calls its artifact, made ready by `Bindings.named`."""
    name = None if work.artifact_name is None else work.artifact_name.value
    assert name is None or isinstance(name, str)
    return name


def settings(work: Work) -> dict[str, Value]:
    """What a node says under `config`, made ready by `Bindings.configured`."""
    return {name: template.value for name, template in work.config.items()}


def candidates(work: Work) -> Sequence[str]:
    """The nodes that a merge chooses from."""
    return tuple(after.partition(".")[0] for after in work.node.after)
