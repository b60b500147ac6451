"""The names that an expression can read in its scope, and their types."""

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

from symphony.workflow.catalog import Catalog, ModelInfo, OperatorInfo, Port
from symphony.workflow.compiled import Compiled, LoopParts
from symphony.workflow.expressions import BadExpression, Read, Splitter, ValueTemplate
from symphony.workflow.fields import RESERVED
from symphony.workflow.model import (
    CommandNode,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.problems import did_you_mean
from symphony.workflow.types import ANY, INTEGER, STRING, PortType, list_of
from symphony.workflow.validation.children import Children, Ports, Resolve

_BOOLEAN = PortType("boolean")
_TEXT_OR_NULL = PortType("string", optional=True)
_COMMAND = {"stdout": Port(type=STRING), "stderr": Port(type=STRING), "exit_code": Port(type=INTEGER)}
_BRANCH = {"taken": Port(type=_TEXT_OR_NULL)}
_APPROVAL = {
    "approved": Port(type=_BOOLEAN), "by": Port(type=_TEXT_OR_NULL), "comment": Port(type=_TEXT_OR_NULL)
}  # fmt: skip
_Info = TypeVar("_Info", OperatorInfo, ModelInfo)
_RUN = {"id": STRING, "started_at": STRING}


def named(name: str, known: Mapping[str, _Info]) -> _Info | str:
    """Return what `NAME` or `NAME@VERSION` names, or why it names nothing: an empty text if the name is
    unknown.

    A version may be a prefix by whole numbers: `1` and `1.0` name 1.0.3.
    """
    plain, _, version = name.partition("@")
    found = known.get(plain)
    if found is None:
        return ""
    present = found.version
    if "@" in name and present != version and not (version and present.startswith(version + ".")):
        return f"{plain} is there in version {present}, not {version or '(empty)'}"
    return found


class Scope:
    """One level of nodes with what their expressions may read. A loop's body is a level inside another."""

    def __init__(
        self, workflow: Workflow, catalog: Catalog, children: Children, compiled: Compiled, *,
        broken: Collection[str] = (), outer: "Scope | None" = None,
        item: PortType | None = None, state: Mapping[str, PortType] | None = None,
        value: PortType | None = None,
    ) -> None:  # fmt: skip
        self.workflow, self.catalog, self.children, self.compiled = workflow, catalog, children, compiled
        self.nodes = compiled.workflow.nodes
        self.broken, self.outer = frozenset(broken), outer
        self.misnamed = _misnamed(self.broken, outer)
        self.item, self.state, self.value = item, state, value
        self._outputs: dict[str, Ports | None] = {}
        self._lists: dict[str, Ports] = {}
        self._operators: dict[str, OperatorInfo | str] = {}

    def seeing(self, *, item: PortType | None = None, value: PortType | None = None) -> "Scope":
        """Return this scope with `item` and `index`, or `value`, added."""
        other = Scope(
            self.workflow, self.catalog, self.children, self.compiled, broken=self.broken,
            outer=self.outer, item=item or self.item, state=self.state, value=value or self.value,
        )  # fmt: skip
        other._outputs, other._lists = self._outputs, self._lists
        return other

    def inside(self, loop: LoopParts) -> "Scope":
        """Return the scope of a loop's body. An outermost loop's state has a type where every round
        keeps it.
        """
        if self.outer is not None:  # each level would be tried again for every round of the levels around it
            state = dict.fromkeys(loop.state, ANY)
        else:
            state = {name: self._type_or_any(template) for name, template in loop.state.items()}
        while True:
            inner = Scope(
                self.workflow, self.catalog, self.children, loop.body, outer=self, item=self.item, state=state
            )
            after = {name: inner._next_type(template) for name, template in loop.next.items()}
            changed = [
                name for name in state if state[name] != ANY and after.get(name, state[name]) != state[name]
            ]
            if not changed:
                return inner
            state = {**state, **dict.fromkeys(changed, ANY)}

    def before_body(self, inner: "Scope") -> "Scope":
        """Return the scope of a loop's `while`. It is tested before the body has run, so it lacks the
        body's ports.
        """
        return Scope(
            self.workflow, self.catalog, self.children, Compiled(Workflow(name="none")), outer=self,
            item=inner.item, state=inner.state,
        )  # fmt: skip

    def _next_type(self, template: ValueTemplate) -> PortType:
        if template.form != "condition":
            return ANY
        try:
            return template.type_in(self.types)
        except BadExpression:
            return ANY

    def _type_or_any(self, template: ValueTemplate) -> PortType:
        try:
            kind = template.type_in(self.types)
        except BadExpression:
            return ANY
        return ANY if kind.kind in ("list", "map") or kind.optional else kind

    def level_of(self, name: str) -> "Scope | None":
        """Return the innermost level that has a node of this name."""
        scope: Scope | None = self
        while scope is not None and name not in scope.nodes and name not in scope.broken:
            scope = scope.outer
        return scope

    def outputs(self, name: str) -> Ports | None:
        """Return the ports of a node of this level as others see them; None if they are not known."""
        if name in self._outputs:
            return self._outputs[name]
        self._outputs[name] = None  # a merge that waits for itself is reported as a cycle
        node = self.nodes.get(name)
        found = self._outputs[name] = None if node is None else self.outputs_of(node, self.loop(name))
        return found

    def loop(self, name: str) -> LoopParts | None:
        """Return the compiled expressions of a loop of this level."""
        more = self.compiled.nodes[self.compiled.index[name]].more
        return None if more is None else more.loop

    def outputs_of(self, node: Node, loop: LoopParts | None = None) -> Ports | None:
        """Return the output ports of `node` as others see it: lists, where it runs for each element."""
        ports = self.run_outputs(node, loop)
        if node.for_each is None or ports is None:
            return ports
        key = node.operator if isinstance(node, OperatorNode) else ""
        if key and key in self._lists:
            return self._lists[key]
        lists = {
            name: Port(type=list_of(port.type), description=port.description) for name, port in ports.items()
        }
        if key:
            self._lists[key] = lists
        return lists

    def run_outputs(self, node: Node, loop: LoopParts | None = None) -> Ports | None:
        """Return the output ports of one run of `node`; `loop` are its expressions if it is a loop."""
        match node:
            case OperatorNode() | InstrumentNode():
                info = self.info(node)
                return None if isinstance(info, str) else info.outputs
            case CommandNode():
                return _COMMAND
            case SubWorkflowNode():
                return self.children.get(node.workflow).outputs
        match node.control:
            case "branch":
                return _BRANCH
            case "approval":
                return _APPROVAL
            case "delay":
                return {}
            case "merge":
                return self._merged([after.partition(".")[0] for after in node.after])
        inner = self.inside(loop or LoopParts(node, Splitter()))
        return {
            **{name: Port(type=kind) for name, kind in (inner.state or {}).items()},
            "iterations": Port(type=INTEGER),
        }

    def inputs_of(self, node: Node) -> Ports | None:
        """Return the input ports of `node`; None where any input is allowed."""
        match node:
            case OperatorNode() | InstrumentNode():
                info = self.info(node)
                return None if isinstance(info, str) else info.inputs
            case CommandNode():
                return None
            case SubWorkflowNode():
                return self.children.get(node.workflow).inputs
        return {}

    def info(self, node: OperatorNode | InstrumentNode) -> OperatorInfo | ModelInfo | str:
        """Return the catalogue's entry for the node's operator or model, or why it has none."""
        if isinstance(node, OperatorNode):
            found = self._operators.get(node.operator)
            if found is None:
                found = self._operators[node.operator] = named(node.operator, self.catalog.operators)
            return found
        return named(node.instrument, self.catalog.models)

    def _merged(self, names: list[str]) -> Ports | None:
        found = [self.outputs(name) for name in names if name in self.nodes]
        if not found or any(ports is None for ports in found) or len(found) < len(names):
            return None
        merged: dict[str, Port] = {}
        for ports in found:
            for name, port in (ports or {}).items():
                there = merged.get(name)
                merged[name] = port if there is None or there.type == port.type else Port(type=ANY)
        return merged

    def types(self, read: Read) -> PortType:
        """Return the type of what `read` reads. Raises BadExpression if it is not in scope."""
        match read.kind:
            case "port" | "node":
                return self._node_type(read)
            case "input":
                return self._input_type(read.name)
            case "item" if self.item is not None:
                return self.item
            case "index" if self.item is not None:
                return INTEGER
            case "item" | "index":
                raise BadExpression(
                    f"`{read.kind}` exists only in a for_each node", hint="add for_each to the node"
                )
            case "iteration" if self.state is not None:
                return INTEGER
            case "state" if self.state is not None:
                if read.name not in self.state:
                    hint = did_you_mean(read.name, self.state, f"the loop's state has {_listed(self.state)}")
                    raise BadExpression(f"the loop has no state {read.name!r}", hint=hint)
                return self.state[read.name]
            case "state" | "iteration":
                raise BadExpression(
                    f"`{read.kind}` exists only inside a loop", hint="read the loop's ports instead"
                )
            case "run":
                if read.name not in _RUN:
                    raise BadExpression(
                        f"there is no run.{read.name}", hint="there are run.id and run.started_at"
                    )
                return _RUN[read.name]
            case "env":
                if read.name not in self.workflow.env:
                    raise BadExpression(
                        f"env.{read.name} is not listed", hint=f"add `env: [{read.name}]` to the workflow"
                    )
                return _TEXT_OR_NULL
        if self.value is None:
            raise _value_outside()
        return self.value

    def _input_type(self, name: str) -> PortType:
        spec = self.workflow.inputs.get(name)
        if spec is None:
            known = self.workflow.inputs
            hint = did_you_mean(
                name, known, f"its inputs are {_listed(known)}" if known else "declare it under `inputs`"
            )
            raise BadExpression(f"the workflow has no input {name!r}", problem_code="unknown-port", hint=hint)
        return spec.type

    def _node_type(self, read: Read) -> PortType:
        level = self.level_of(read.name)
        if level is None and read.name == "value":
            raise _value_outside()
        if level is None:
            hyphened = (name for name in self.nodes if name.startswith(f"{read.name}-"))
            meant = next(hyphened, None) if read.kind == "node" else None
            hint = (
                f'a name with a hyphen is written nodes["{meant}"]'
                if meant
                else did_you_mean(
                    read.name, self.nodes, "inputs of the workflow are inputs.NAME; nodes are NODE.PORT"
                )
            )
            raise BadExpression(f"there is no node {read.name!r}", problem_code="unknown-node", hint=hint)
        if read.kind == "node":
            return PortType("map", ANY)
        ports = level.outputs(read.name)
        if ports is None:
            return ANY
        port = ports.get(read.port)
        if port is None:
            message = f"{read.name} has no output {read.port!r}"
            raise BadExpression(message, problem_code="unknown-port", hint=port_hint(read.port, ports))
        return port.type


def _value_outside() -> BadExpression:
    return BadExpression("`value` exists only in an edge's transform", hint="write inputs.NAME or NODE.PORT")


def _misnamed(broken: frozenset[str], outer: Scope | None) -> re.Pattern[str] | None:
    """Return a pattern that finds nodes with reserved names, of this level and those around it, in
    expressions.
    """
    names = sorted(broken & RESERVED) if broken else []
    if not names:
        return None if outer is None else outer.misnamed
    return re.compile(rf"(?<![\w.])(?:{'|'.join(names)})(?!\w)")


def port_hint(name: str, ports: Mapping[str, Port], what: str = "output") -> str:
    """Return a hint for a port that does not exist; `what` is `input` or `output`."""
    if not ports:
        return f"it has no {what}s"
    listed = _listed(ports)
    known = f"its only {what} is {listed}" if len(ports) == 1 else f"its {what}s are {listed}"
    return did_you_mean(name, ports, known)


def _listed(names: Collection[str]) -> str:
    shown = list(names)[:8]
    return ", ".join(shown) + (", …" if len(names) > 8 else "")


def port_types(
    workflow: Workflow, catalog: Catalog, resolve: Resolve | None = None, *,
    item: PortType | None = None, state: Mapping[str, PortType] | None = None, value: PortType | None = None,
) -> Callable[[Read], PortType]:  # fmt: skip
    """Return the types of what expressions at the top level of `workflow` read, its outputs included.

    The function raises BadExpression with the problem code for something that is not in scope; `item`
    and `index` exist if `item` is given, `state` and `iteration` if `state` is, `value` if it is.
    """
    children = Children(catalog, resolve, output_ports, None).begin(workflow)
    compiled = children.compilation.of(workflow)
    return Scope(workflow, catalog, children, compiled, item=item, state=state, value=value).types


def output_ports(workflow: Workflow, children: Children) -> Ports:
    """Return the output ports that a workflow has where it is a sub-workflow."""
    compiled = children.compilation.of(workflow)
    scope = Scope(workflow, children.catalog, children, compiled)
    ports: dict[str, Port] = {}
    for name, template in compiled.outputs.items():
        try:
            kind = template.type_in(scope.types)
        except BadExpression:
            kind = ANY
        ports[name] = Port(type=kind)
    return ports


def node_ports(
    node: Node, catalog: Catalog, resolve: Resolve | None = None, workflow: Workflow | None = None
) -> tuple[Mapping[str, Port] | None, Mapping[str, Port] | None]:
    """Input ports (None: any) and output ports as others see them (None: not known) of a node.

    `workflow` is what the node is in: a merge and a loop take their types from it.
    """
    workflow = workflow or Workflow(name="node")
    children = Children(catalog, resolve, output_ports, None).begin(workflow)
    scope = Scope(workflow, catalog, children, children.compilation.of(workflow))
    return scope.inputs_of(node), scope.outputs_of(node)
