"""The work of each node, prepared once per run (see `works`): compiled inputs, conditions, limits."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import msgspec

from symphony.commons.backoff import backoff_s
from symphony.commons.quantities import duration_s
from symphony.pit.tracker.nodes.owning import Copies
from symphony.pit.tracker.nodes.sources import Source
from symphony.ports.values import Value
from symphony.sdk import Operator
from symphony.workflow.catalog import Port
from symphony.workflow.checks import Check
from symphony.workflow.expressions import Read, ValueTemplate
from symphony.workflow.expressions.celtypes import TIMESTAMP
from symphony.workflow.model import Node, Retry
from symphony.workflow.types import ANY, PortType

COMMAND = "command"
MEGABYTE = 1_000_000


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """A loop's own expressions. `state` is rendered outside of the body, `next` and `until` inside."""

    state: Mapping[str, ValueTemplate]
    next: Mapping[str, ValueTemplate]
    while_: ValueTemplate | None
    until: ValueTemplate | None
    rounds_max: int


class Delay(msgspec.Struct, frozen=True, kw_only=True):
    """A delay of `for_s` seconds, or until the time that `until` evaluates to."""

    for_s: float | None
    until: ValueTemplate | None


class PlainResult(NamedTuple):
    """The only output of an operator: its port, and a quick check that a value fits it unchanged."""

    port: str
    fits: Callable[[object], bool]


class NodeWork(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One node, ready to run: the part that every kind has. One of its edges' `conditions` must hold."""

    name: str
    node: Node
    inputs: Mapping[str, ValueTemplate]
    sources: Mapping[str, Source] = {}
    """Where each input comes from, with numbers of nodes instead of names."""
    output_types: Mapping[str, PortType] = {}
    output_checks: Mapping[str, Check] = {}
    """The checks of the outputs whose type is not `any`."""
    when: ValueTemplate | None = None
    for_each: ValueTemplate | None = None
    label: ValueTemplate | None = None
    conditions: tuple[tuple[str, ValueTemplate], ...] = ()
    artifact_name: ValueTemplate | None = None
    instead: Mapping[str, ValueTemplate] = {}
    """The values of `on_error: {value: …}`, which replace outputs, by port."""
    config: Mapping[str, ValueTemplate] = {}
    base: Path | None = None
    """The folder of the file that defines the node, if it is not the run's."""
    repeatable: bool = True
    """True if the node may run again after it was cut off half-way."""
    timeout_s: float | None = None
    version: str = ""
    """The version of what it calls, if it calls anything."""

    @property
    def runs(self) -> str:
        """Return the name of the operator or model behind the node; empty if there is none."""
        return ""

    def own(self) -> Iterator[ValueTemplate | None]:
        """Yield the expressions that only this kind of node has."""
        yield from ()

    def templates(self) -> Iterator[ValueTemplate]:
        """Yield every expression of the node itself, compiled."""
        mine = (self.when, self.for_each, self.label, self.artifact_name, *self.own())
        yield from (template for template in mine if template is not None)
        yield from self.inputs.values()
        yield from self.config.values()
        yield from self.instead.values()
        yield from (condition for _, condition in self.conditions)


class _Called(NodeWork, frozen=True, kw_only=True, eq=False):
    """The work of a node whose attempts call something."""

    input_ports: Mapping[str, Port] | None = None
    input_checks: Mapping[str, Check] = {}
    typed_inputs: bool = True
    """False if every port accepts everything, so that there is nothing to check."""
    barrier: bool = False
    """True if the node changes the outside world: its start is durable before it begins."""
    cacheable: bool = False
    cached_always: bool = False
    """True if the node is `cacheable` even where running again is quicker."""

    @property
    def cores(self) -> float:
        """Return the share of the processor that a call needs: 0 if it only waits for others."""
        return 1.0

    @property
    def memory_bytes(self) -> int:
        """Return what a call is declared to need, for the arbiter."""
        return 0


class OperatorWork(_Called, frozen=True, kw_only=True, eq=False):
    """Calls an operator; for a command, the operator that runs commands."""

    operator: Operator
    copies: Copies = ()
    """How its inputs are copied, so that what it changes in them is its own."""
    result: PlainResult | None = None
    """For an operator with one output that is not an artifact."""
    inline: bool = False
    direct: bool = False
    """True if it is inline and has no condition, no fan-out and no timeout."""
    direct_elements: bool = False
    """`direct` for the elements of its fan-out: its conditions were checked once, for all of them."""
    short: bool = False
    """True if it may be called in a batch: a pure function for a thread, without a timeout."""

    @property
    def runs(self) -> str:
        """Return the name of the operator."""
        return self.operator.info.name

    @property
    def cores(self) -> float:
        """Return 1 for a command or a function that runs in a thread or a process; 0 for a coroutine."""
        return 1.0 if self.operator.style == "thread" or self.runs == COMMAND else 0.0

    @property
    def memory_bytes(self) -> int:
        """Return what its operator declares."""
        return self.operator.memory_mb * MEGABYTE


class ModelWork(_Called, frozen=True, kw_only=True, eq=False):
    """Asks a model."""

    model: str

    @property
    def runs(self) -> str:
        """Return the name of the model."""
        return self.model


class SubWorkflowWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Runs the graph of another workflow inside the node."""


class LoopWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Runs the graph inside the node round after round."""

    loop: Loop

    def own(self) -> Iterator[ValueTemplate | None]:
        """Yield the loop's expressions."""
        yield from self.loop.state.values()
        yield from self.loop.next.values()
        yield self.loop.while_
        yield self.loop.until


class BranchWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Takes one of several branches."""

    chooser: ValueTemplate
    """A condition, or the expression whose value is compared with `cases`."""
    cases: tuple[tuple[str, Value], ...] = ()
    default: str | None = None

    def own(self) -> Iterator[ValueTemplate | None]:
        """Yield the expression that chooses."""
        yield self.chooser


class MergeWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Takes the values of the first of its candidates."""


class DelayWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Waits for a moment."""

    delay: Delay

    def own(self) -> Iterator[ValueTemplate | None]:
        """Yield the expression for the time."""
        yield self.delay.until


class ApprovalWork(NodeWork, frozen=True, kw_only=True, eq=False):
    """Asks a person."""

    message: ValueTemplate

    def own(self) -> Iterator[ValueTemplate | None]:
        """Yield the expression for the question."""
        yield self.message


CallWork: TypeAlias = OperatorWork | ModelWork
"""The work that takes an attempt."""
Work: TypeAlias = CallWork | SubWorkflowWork | LoopWork | BranchWork | MergeWork | DelayWork | ApprovalWork
"""One node, ready to run, by its kind."""


def type_of_read(read: Read) -> PortType:
    """Return the type of a read value as the evaluator gets it."""
    # Values were checked against declared types earlier. The evaluator recognizes their types itself,
    # and a skipped node's null needs a dynamic variable.
    return TIMESTAMP if read.kind == "run" and read.name == "started_at" else ANY


def retry_delay_s(retry: Retry, attempt: int, jitter: float) -> float:
    """Return the seconds to wait after failed attempt `attempt` (1-based).

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
    """Return the environment variables that the node's inputs read."""
    return frozenset(r.name for template in work.inputs.values() for r in template.reads if r.kind == "env")


def artifact_name(work: Work) -> str | None:
    """Return the name that a node gives its artifact, prepared by `Bindings.named`."""
    name = None if work.artifact_name is None else work.artifact_name.value
    assert name is None or isinstance(name, str)
    return name


def settings(work: Work) -> dict[str, Value]:
    """Return a node's `config`, prepared by `Bindings.configured`."""
    return {name: template.value for name, template in work.config.items()}


def candidates(work: Work) -> Sequence[str]:
    """Return the names of the nodes that a merge chooses from."""
    return tuple(after.partition(".")[0] for after in work.node.after)
