"""A level of nodes with every expression split once, and what each node reads as numbers. Pure.

The first stage after reading: validation types these templates, edges and plans are made of these
numbers, a run renders these templates. Nothing here depends on a catalogue, and nothing is refused:
what is wrong with an expression stands in its template.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from operator import attrgetter
from typing import Final, TypeAlias

import msgspec

from symphony.ports.values import Value
from symphony.workflow.expressions import Read, Splitter, ValueTemplate
from symphony.workflow.expressions.compiler import NO_NODE, OUTSIDE
from symphony.workflow.model import FAIL, ConditionalEdge, ControlNode, DataEdge, Node, Workflow

Numbers: TypeAlias = Sequence[int]
"""The number of the node of each port that one input reads; OUTSIDE for nodes of no or another level."""

ALL_PORTS: Final = "*"

_NONE: Mapping[str, ValueTemplate] = {}
_NOTHING: Numbers = ()
_node_of = attrgetter("node")
_more_of = attrgetter("when", "for_each", "config", "artifact", "on_error")
_NO_MORE: tuple[object, ...] = (None, None, {}, None, FAIL)


def has_more(node: Node) -> bool:
    """True if a node can have expressions besides its inputs, or go on after a failure. Most do not."""
    return type(node) is ControlNode or _more_of(node) != _NO_MORE


class NodeExpressions(msgspec.Struct, eq=False):
    """The expressions of one node. `more` holds the ones that few nodes have."""

    inputs: Mapping[str, ValueTemplate]
    reads: Sequence[Numbers]
    """For each input what it reads of nodes."""
    more: "More | None" = None


class More(msgspec.Struct, kw_only=True, eq=False):
    """The expressions of a node beside its inputs."""

    when: ValueTemplate | None = None
    for_each: ValueTemplate | None = None
    label: ValueTemplate | None = None
    """Reads `item` and `index` alone, so that nobody waits for it."""
    config: Mapping[str, ValueTemplate] = _NONE
    instead: Mapping[str, ValueTemplate] = _NONE
    """What `on_error: {value: …}` gives, by port."""
    artifact_name: ValueTemplate | None = None
    condition: ValueTemplate | None = None
    switch: ValueTemplate | None = None
    until: ValueTemplate | None = None
    """A delay's moment."""
    message: ValueTemplate | None = None
    loop: "LoopParts | None" = None

    def templates(self) -> Iterator[ValueTemplate]:
        """Yield all templates but those of a loop, in the order in which they are named."""
        if self.when is not None:
            yield self.when
        if self.for_each is not None:
            yield self.for_each
        yield from self.config.values()
        yield from self.instead.values()
        for one in (self.artifact_name, self.condition, self.switch, self.until, self.message):
            if one is not None:
                yield one


class LoopParts:
    """The expressions of a loop. Its body is compiled when it is first asked for: loops may nest deeply."""

    def __init__(self, loop: ControlNode, outside: Splitter) -> None:
        self._loop, self._outside = loop, outside
        self.state: Mapping[str, ValueTemplate] = {
            key: outside.template(value) for key, value in (loop.state or {}).items()
        }
        self.while_ = None if loop.while_ is None else outside.condition(loop.while_)
        """Tested before the body has run: it sees what is outside."""

    @cached_property
    def body(self) -> "Compiled":
        """The body's level."""
        return Compiled(Workflow(name="body", nodes=self._loop.body or {}), self._outside)

    @cached_property
    def next(self) -> Mapping[str, ValueTemplate]:
        """The state of the next round; it sees the body."""
        inside = self.body.splitter
        return {
            key: inside.condition(value) if isinstance(value, str) else inside.template(value)
            for key, value in (self._loop.next or {}).items()
        }

    @cached_property
    def until(self) -> ValueTemplate | None:
        """The end condition; it sees the body."""
        return None if self._loop.until is None else self.body.splitter.condition(self._loop.until)


class Compiled:
    """One level: the nodes of a workflow, or of a loop's body."""

    def __init__(self, workflow: Workflow, outside: Splitter | None = None) -> None:
        """`outside` is the level around a loop's body."""
        self.workflow = workflow
        self.names = tuple(workflow.nodes)
        self.index: Mapping[str, int] = {name: number for number, name in enumerate(self.names)}
        self.splitter = Splitter(programs=None if outside is None else outside.programs, numbers=self.index)
        self.nodes: Sequence[NodeExpressions] = [*map(self._parts, workflow.nodes.values())]
        self.outputs = self._templates(workflow.outputs)
        self.edges: Sequence[ValueTemplate | None] = [self._edge(edge) for edge in workflow.edges]
        """For each explicit edge its condition or transform."""
        self._others: dict[int, tuple[str, ...]] = {}

    def _parts(self, node: Node) -> NodeExpressions:
        inputs: dict[str, ValueTemplate] = {}
        reads: list[Numbers] = []
        for name, value in node.inputs.items():
            template = inputs[name] = self.splitter.template(value)
            reads.append(_NOTHING if template.constant else self._numbers(template))
        return NodeExpressions(inputs, reads, self._more(node) if has_more(node) else None)

    def _numbers(self, template: ValueTemplate) -> Numbers:
        """Return the nodes of the ports that a template reads, each port once."""
        varying = template.varying
        if varying is None:
            if template.node != NO_NODE:
                return (template.node,)
        else:
            numbers = tuple(map(_node_of, varying))
            distinct = set(numbers)
            if len(distinct) < len(numbers):  # of one node, or the same port again
                numbers = tuple(map(_node_of, dict.fromkeys(varying)))
            if NO_NODE not in distinct:
                return numbers
        index = self.index
        return [index.get(read.name, OUTSIDE) for read in template.reads if read.kind in ("port", "node")]

    def ports(self, template: ValueTemplate) -> Iterator[tuple[str, str]]:
        """Yield what a template reads of nodes, without duplicates: the node's name, and the port or `*`."""
        for read in template.reads:
            if read.kind in ("port", "node"):
                yield read.name, read.port or ALL_PORTS

    def sources(self, number: int) -> Collection[int]:
        """Return the nodes of the level that the inputs of a node read."""
        reads = self.nodes[number].reads
        found = reads[0] if len(reads) == 1 else [*chain.from_iterable(reads)]
        return [source for source in found if source >= 0] if OUTSIDE in found else found

    def edge_reads(self, at: int) -> Sequence[str]:
        """Return the nodes that the condition or transform of an explicit edge reads."""
        template = self.edges[at]
        return () if template is None else _nodes(template.reads)

    def body(self, number: int) -> "Compiled | None":
        """Return the body of a node that is a loop."""
        more = self.nodes[number].more
        return None if more is None or more.loop is None else more.loop.body

    def others(self, number: int) -> Sequence[str]:
        """Return the nodes that a node reads outside of its inputs, by name, without duplicates."""
        more = self.nodes[number].more
        if more is None:
            return ()
        found = self._others.get(number)
        if found is None:
            reads = [read for template in more.templates() for read in template.reads]
            if more.loop is not None:
                reads += _loop_reads(more.loop)
            found = self._others[number] = _nodes(reads)
        return found

    def _templates(self, values: Mapping[str, Value] | None) -> Mapping[str, ValueTemplate]:
        return {key: self.splitter.template(value) for key, value in values.items()} if values else _NONE

    def _condition(self, text: str | None) -> ValueTemplate | None:
        return None if text is None else self.splitter.condition(text)

    def _edge(self, edge: object) -> ValueTemplate | None:
        if isinstance(edge, ConditionalEdge):
            return self.splitter.condition(edge.when)
        if isinstance(edge, DataEdge) and edge.transform is not None:
            return self.splitter.transform(edge.transform)
        return None

    def _more(self, node: Node) -> More:
        more, each = More(), node.for_each
        if node.when is not None:
            more.when = self.splitter.condition(node.when)
        if each is not None:
            more.for_each = (
                self.splitter.condition(each) if isinstance(each, str) else self.splitter.template(each)
            )
            more.label = self._condition(node.label)
        if node.config:
            more.config = self._templates(node.config)
        if node.on_error.value:
            more.instead = self._templates(node.on_error.value)
        if node.artifact is not None:
            more.artifact_name = self.splitter.template(node.artifact.name)
        if isinstance(node, ControlNode):
            more.condition, more.switch = self._condition(node.condition), self._condition(node.switch)
            if node.message is not None:
                more.message = self.splitter.template(node.message)
            if node.control == "loop":
                more.loop = LoopParts(node, self.splitter)
            else:
                more.until = self._condition(node.until)
        return more


def _nodes(reads: Iterable[Read]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(read.name for read in reads if read.kind in ("port", "node")))


def _loop_reads(loop: LoopParts) -> list[Read]:
    """Return what a loop and the nodes of its body read of the nodes outside."""
    reads = [read for template in loop.state.values() for read in template.reads]
    if loop.while_ is not None:
        reads += loop.while_.reads
    inner: list[Read] = []
    if loop.until is not None:
        inner += loop.until.reads
    for template in loop.next.values():
        inner += template.reads
    for number, parts in enumerate(loop.body.nodes):
        for template in parts.inputs.values():
            inner += template.reads
        inner += [Read("node", name) for name in loop.body.others(number)]
    return reads + [read for read in inner if read.name not in loop.body.index]


class Compilation:
    """The compiled form of workflows. Each is compiled once, however many callers ask for it."""

    def __init__(self) -> None:
        self._known: dict[int, Compiled] = {}  # by identity: a Compiled holds its workflow

    def of(self, workflow: Workflow) -> Compiled:
        """Return the compiled form of `workflow`."""
        found = self._known.get(id(workflow))
        if found is None:
            found = self._known[id(workflow)] = Compiled(workflow)
        return found

    def ready(self) -> None:
        """Compile very deep expressions for evaluation, which may fail. Raises BadExpression."""
        for compiled in self._known.values():
            for program in compiled.splitter.programs:
                if program.expression.deep:
                    program.ready()
