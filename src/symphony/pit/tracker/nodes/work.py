"""What each node does, made ready once for a run: compiled inputs, conditions, operator, limits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from symphony.commons.backoff import backoff_s
from symphony.pit.tracker.nodes.sources import Source, Sources
from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.workflow.catalog import Catalog, Port
from symphony.workflow.checks import Check, check_of, plain_of
from symphony.workflow.compiled import Compiled, LoopParts, More, Parts
from symphony.workflow.expressions import Read, Template
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
    duration_s,
)
from symphony.workflow.types import ANY, STRING, PortType

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


class PlainResult(NamedTuple):
    """The only output of an operator: its port, and what tells by a look that a value fits it as it is."""

    port: str
    fits: Callable[[object], bool]


class Work(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One node, ready to run. `conditions`: of its conditional edges, one must hold."""

    name: str
    node: Node
    operator: Operator | None = None
    model: str | None = None
    version: str = ""
    inputs: Mapping[str, Template]
    sources: Mapping[str, Source] = {}
    """Where each input comes from, with the numbers of nodes in place of their names."""
    config: Mapping[str, Template] = {}
    input_ports: Mapping[str, Port] | None = None
    output_types: Mapping[str, PortType] = {}
    input_checks: Mapping[str, Check] = {}
    output_checks: Mapping[str, Check] = {}
    """Of the ports that do not take anything."""
    result: PlainResult | None = None
    """Of an operator with one output that is no artifact."""
    when: Template | None = None
    for_each: Template | None = None
    conditions: tuple[tuple[str, Template], ...] = ()
    branch: Template | None = None
    loop: Loop | None = None
    delay: Delay | None = None
    message: Template | None = None
    """What an approval asks."""
    artifact_name: Template | None = None
    instead: Mapping[str, Template] = {}
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
    cached_always: bool = False
    """`cacheable`, also where it is quicker to run again."""
    short: bool = False
    """May be called in a batch with others: a pure function in a thread, without a timeout."""

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


class _Target(NamedTuple):
    """What stands behind nodes that run the same: the operator or model, and its ports."""

    operator: Operator | None
    model: str | None
    version: str
    input_ports: Mapping[str, Port] | None
    output_types: Mapping[str, PortType]
    input_checks: Mapping[str, Check]
    output_checks: Mapping[str, Check]
    result: PlainResult | None
    typed_inputs: bool
    effect: str
    idempotent: bool
    inline: bool
    short: bool
    keepable: bool
    """Can results be kept at all?"""
    cacheable: bool
    """Are they, if the node does not say so?"""

    @classmethod
    def made(
        cls, operator: Operator | None, model: str | None, version: str,
        given: Mapping[str, Port] | None, gives: Mapping[str, Port],
    ) -> "_Target":  # fmt: skip
        """What stands behind, with what follows from it."""
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
            typed_inputs=_typed(given or {}),
            effect=effect,
            idempotent=info is None or info.idempotent,
            inline=operator is not None and operator.style == "inline" and effect == "pure",
            short=_short(operator),
            keepable=_keepable(operator, model),
            # What is done at once is cheaper to run than to look up.
            cacheable=_keepable(operator, model) and (operator is None or operator.style != "inline"),
        )


class _Targets:
    """Finds what stands behind nodes: most of them run the same few operators."""

    def __init__(self, catalog: Catalog, operators: Mapping[str, Operator]) -> None:
        self._catalog, self._operators = catalog, operators
        self._known: dict[str, _Target] = {}

    def of(self, node: Node) -> _Target:
        """What stands behind a node."""
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
        return _Target.made(None, None, "", None, _CONTROL_PORTS.get(getattr(node, "control", ""), {}))


def works_of(
    compiled: Compiled, catalog: Catalog, operators: Mapping[str, Operator], base: Path | None = None
) -> tuple[Work, ...]:
    """The work of every node, in the workflow's order.

    `base`: the folder where the templates and modules of a sub-workflow resolve.
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


def type_of_read(read: Read) -> PortType:
    """What the evaluator is told of a value."""
    # Values were checked against declared types before they got here; the evaluator tells them
    # apart by themselves, and a skipped node's null needs a dynamic variable.
    return TIMESTAMP if read.kind == "run" and read.name == "started_at" else ANY


def _transforms(compiled: Compiled) -> dict[str, dict[str, tuple[DataEdge, Template | None]]]:
    """Explicit data edges with their transforms, by target and input."""
    out: dict[str, dict[str, tuple[DataEdge, Template | None]]] = {}
    for edge, transform in zip(compiled.workflow.edges, compiled.edges, strict=True):
        if isinstance(edge, DataEdge):
            out.setdefault(edge.target, {})[edge.input] = (edge, transform)
    return out


def _conditions(compiled: Compiled) -> dict[str, tuple[tuple[str, Template], ...]]:
    out: dict[str, list[tuple[str, Template]]] = {}
    for edge, when in zip(compiled.workflow.edges, compiled.edges, strict=True):
        if isinstance(edge, ConditionalEdge) and when is not None:
            out.setdefault(edge.target, []).append((edge.source, when))
    return {target: tuple(found) for target, found in out.items()}


def _work(
    name: str,
    node: Node,
    parts: Parts,
    edges: Mapping[str, tuple[DataEdge, Template | None]],
    conditions: tuple[tuple[str, Template], ...],
    sources: Sources,
    target: _Target,
    base: Path | None,
) -> Work:
    inputs, more = parts.inputs, parts.more
    if edges:
        inputs = {**inputs, **{entry: _carried(edge, through) for entry, (edge, through) in edges.items()}}
    always = node.cache == "on" and target.keepable
    inline, timeout_s = (
        target.inline and not always,
        None if node.timeout is None else duration_s(node.timeout),
    )
    work = Work(
        name=name,
        node=node,
        operator=target.operator,
        model=target.model,
        version=target.version,
        inputs=inputs,
        sources={entry: sources.of(template) for entry, template in inputs.items()},
        input_ports=target.input_ports,
        output_types=target.output_types,
        input_checks=target.input_checks,
        output_checks=target.output_checks,
        result=target.result if node.artifact is None else None,
        conditions=conditions,
        base=base,
        inline=inline,
        direct=inline and not conditions and more is None and timeout_s is None,
        typed_inputs=target.typed_inputs,
        barrier=target.effect == "write",
        repeatable=target.effect != "write"
        or (target.idempotent if node.idempotent is None else node.idempotent),
        timeout_s=timeout_s,
        cacheable=always or (target.cacheable and node.cache != "off"),
        cached_always=always,
        short=target.short and timeout_s is None,
    )
    return work if more is None else _with_more(work, more)


def _with_more(work: Work, more: More) -> Work:
    """The work with the expressions that stand beside its inputs, and what a control needs."""
    node = work.node
    control = node if isinstance(node, ControlNode) else None
    free = work.inline and work.timeout_s is None
    message = more.message
    if control is not None and control.control == "approval" and message is None:
        message = Template(reads=(), value=f"{work.name}: go on?", type=STRING)
    return msgspec.structs.replace(
        work,
        config=more.config,
        when=more.when,
        for_each=more.for_each,
        branch=more.condition or more.switch,
        loop=None if more.loop is None or control is None else _loop(control, more.loop),
        delay=_delay(control, more.until) if control is not None and control.control == "delay" else None,
        message=message,
        artifact_name=more.artifact_name,
        instead=more.instead,
        cases=tuple((control.cases or {}).items()) if control is not None else (),
        direct=free and not work.conditions and more.when is None and more.for_each is None,
        direct_elements=free and more.for_each is not None,
    )


def _carried(edge: DataEdge, transform: Template | None) -> Template:
    """An input that an edge gives."""
    read = Read("port", edge.source, edge.output)
    return Template(reads=(read,), bare=read) if transform is None else _through(transform, read)


def _result(gives: Mapping[str, Port]) -> PlainResult | None:
    for name, port in gives.items():
        return PlainResult(name, plain_of(port.type)) if len(gives) == 1 else None
    return None


def _typed(ports: Mapping[str, Port]) -> bool:
    return any(port.type.kind != "any" for port in ports.values())


def _short(operator: Operator | None) -> bool:
    """Is it a function that can be taken to be short until it shows that it is not?"""
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


def _delay(delay: ControlNode, until: Template | None) -> Delay:
    return Delay(for_s=None if delay.for_ is None else duration_s(delay.for_), until=until)


def _through(inner: Template, read: Read) -> Template:
    """An input that is a data edge's value seen through its transform `inner`."""
    reads = tuple(read if r.kind == "value" else r for r in inner.reads)

    def part(lookup: object) -> Value:
        assert callable(lookup)
        return inner.render(lambda r: lookup(read) if r.kind == "value" else lookup(r))

    return Template(reads=reads, parts=part).through(inner, read)


def retry_delay_s(retry: Retry, attempt: int, jitter: float) -> float:
    """Seconds to wait after failed attempt `attempt` (1-based).

    `jitter`, in [0, 1], is drawn by the caller.
    """
    return backoff_s(
        attempt,
        base_s=duration_s(retry.initial),
        cap_s=duration_s(retry.max) if retry.max else 86_400.0,
        growth=retry.backoff,
        jitter=jitter if retry.jitter else 1.0,
    )


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
