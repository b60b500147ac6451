"""Builds a workflow in Python, step by step."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog, Port
from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import RESERVED, Fields
from symphony.workflow.model import (
    NAME,
    ControlEdge,
    ControlKind,
    DataEdge,
    Edge,
    InstrumentNode,
    Node,
    OperatorNode,
    Workflow,
)
from symphony.workflow.problems import (
    Code,
    Findings,
    ValidationReport,
    WorkflowInvalid,
    child,
    did_you_mean,
    shown,
)
from symphony.workflow.schema import read_tree
from symphony.workflow.types import PortType


class _Dataclass(Protocol):
    __dataclass_fields__: "Mapping[str, dataclasses.Field[object]]"


Config: TypeAlias = Mapping[str, Value] | msgspec.Struct | _Dataclass | None
"""Settings of a node: a map, a msgspec Struct or a dataclass."""

_NAME_CHARS_MAX = 100


class BuilderMisused(SymphonyError):
    """A call to the builder makes no sense. The message says which."""

    code = "builder-misused"


class WorkflowBuilder:
    """A workflow under construction. Every method changes the builder and returns it.

    A node is called after its operator or model, made a legal name (`gpt-4`, `text.join` →
    `text-join`), unless `name` is given. `connect` takes either the node's name or that of the
    only node of an operator or model. Options of nodes are those of the workflow file
    (`inputs`, `for_each`, `when`, `after`, `retry`, `timeout`, `on_error`, …), as plain Python
    values: `$` has no meaning in keys, bytes are bytes.

        workflow = (
            WorkflowBuilder("data-processing")
            .version("1.0.0")
            .input("text", "string")
            .add_operator("text.split", inputs={"text": "${{ inputs.text }}"}, name="split")
            .add_operator("text.join", inputs={"separator": "-"}, name="join")
            .connect("split", "join", DataEdge(output="result", input="parts"))
            .output("joined", "${{ join.result }}")
            .build()
        )

    Nothing is checked before `build`, except that two nodes cannot have one name.
    """

    def __init__(self, name: str, *, catalog: Catalog | None = None) -> None:
        """`catalog` holds the ports of operators and models; the default is what ships with Symphony."""
        self._document: dict[str, Tree] = {"name": name}
        self._inputs: dict[str, Tree] = {}
        self._outputs: dict[str, Tree] = {}
        self._nodes: dict[str, Tree] = {}
        self._called: dict[str, list[str]] = {}
        self._edges: list[tuple[str, str, Edge]] = []
        self._catalog = catalog

    def version(self, version: str) -> "WorkflowBuilder":
        """The workflow's semantic version, such as `1.0.0`."""
        self._document["version"] = version
        return self

    def description(self, text: str) -> "WorkflowBuilder":
        """Set the description: what the workflow is for."""
        self._document["description"] = text
        return self

    def tags(self, *tags: str) -> "WorkflowBuilder":
        """Words to find the workflow by."""
        self._document["tags"] = list(tags)
        return self

    def env(self, *names: str) -> "WorkflowBuilder":
        """Environment variables that expressions may read as `env.NAME`."""
        self._document["env"] = list(names)
        return self

    def operators(self, *files: str) -> "WorkflowBuilder":
        """Python files whose operators the workflow may use, beside the file that it will be."""
        self._document["operators"] = list(files)
        return self

    def budget(self, **limits: float) -> "WorkflowBuilder":
        """Limit what the models of a run may use: `money`, `tokens`, `calls`."""
        self._document["budget"] = dict(limits)
        return self

    def on_finish(self, *, command: str | None = None, url: str | None = None) -> "WorkflowBuilder":
        """Set what is notified of the end of each run: a shell command, or a URL."""
        told = {"command": command, "url": url}
        self._document["on_finish"] = {key: one for key, one in told.items() if one is not None}
        return self

    def metadata(self, **values: Value) -> "WorkflowBuilder":
        """Whatever other tools want to keep with the workflow."""
        self._document["metadata"] = dict(values)
        return self

    def input(
        self,
        name: str,
        type: str | PortType | Sequence[str] = "any",
        **options: Value,
    ) -> "WorkflowBuilder":
        """One input. `type` is a type's name or a list of choices.

        Options: `default`, `min`, `max`, `description`. Without a default it must be given.
        """
        if name in self._inputs:
            raise BuilderMisused(f"there is an input {name!r} already", hint="add it once")
        kind: dict[str, Tree] = {"type": str(type)}
        if isinstance(type, PortType) and type.kind == "enum" and not type.optional:
            kind = {"enum": list(type.choices)}
        elif not isinstance(type, str | PortType):
            kind = {"enum": list(type)}
        self._inputs[name] = {**kind, **options}
        return self

    def output(self, name: str, value: Value) -> "WorkflowBuilder":
        """One output, usually an expression such as `${{ node.result }}`."""
        if name in self._outputs:
            raise BuilderMisused(f"there is an output {name!r} already", hint="add it once")
        self._outputs[name] = value
        return self

    def add_instrument(
        self, model: str, config: Config = None, *, name: str | None = None, **options: object
    ) -> "WorkflowBuilder":
        """A node that runs a model, `MODEL` or `MODEL@VERSION`."""
        return self._add("instrument", model, config, name, options)

    def add_operator(
        self, operator: str, config: Config = None, *, name: str | None = None, **options: object
    ) -> "WorkflowBuilder":
        """A node that runs an operator, `NAME` or `NAME@VERSION`."""
        return self._add("operator", operator, config, name, options)

    def add_control(
        self, kind: ControlKind, *, name: str | None = None, **options: object
    ) -> "WorkflowBuilder":
        """A control node. `for` and `while` are written `for_` and `while_` in Python."""
        plain = {{"for_": "for", "while_": "while"}.get(key, key): value for key, value in options.items()}
        return self._add("control", kind, None, name, plain)

    def add_command(self, command: str, *, name: str, **options: object) -> "WorkflowBuilder":
        """A node that runs a shell command; its inputs arrive as environment variables."""
        return self._add("command", command, None, name, options)

    def add_workflow(
        self, reference: str, *, name: str | None = None, **options: object
    ) -> "WorkflowBuilder":
        """A node that runs another workflow file."""
        return self._add("workflow", reference, None, name, options)

    def connect(self, source: str, target: str, edge: Edge | None = None) -> "WorkflowBuilder":
        """Add an edge from one node to another. Without `edge`, `target` simply begins after `source`.

        A `DataEdge` without `output` means the node's only output. Without `input` it means the only input
        that must be given. If that is ambiguous, `build` asks for it.
        """
        self._edges.append((source, target, ControlEdge() if edge is None else edge))
        return self

    def build(self) -> Workflow:
        """Return the workflow, its structure checked. `validate` also checks whether it makes sense.

        Raises WorkflowInvalid with every problem.
        """
        fields = Fields(literal=True)
        document = {**self._document, "nodes": self._nodes}
        if self._inputs:
            document["inputs"] = self._inputs
        if self._outputs:
            document["outputs"] = self._outputs
        workflow = read_tree(
            document, fields, connected=[self._named(target) for _, target, _ in self._edges]
        )
        nodes = {} if workflow is None else workflow.nodes
        edges = tuple(self._edge(i, nodes, fields.findings) for i in range(len(self._edges)))
        if fields.findings.found or workflow is None:
            raise WorkflowInvalid(ValidationReport(errors=tuple(fields.findings.found)))
        return msgspec.structs.replace(workflow, edges=edges)

    def _add(
        self, kind: str, what: str, config: Config, name: str | None, options: Mapping[str, object]
    ) -> "WorkflowBuilder":
        called = name if name is not None else _legal(what)
        if called in self._nodes:
            raise BuilderMisused(f"there is a node {called!r} already", hint="give name= to tell them apart")
        # Callers pass on None for what they were not given themselves.
        node: dict[str, Tree] = {
            kind: what,
            **{key: value for key, value in options.items() if value is not None},
        }
        if config is not None:
            node["config"] = _settings(config)
        self._nodes[called] = node
        self._called.setdefault(what, []).append(called)
        return self

    def _named(self, end: str) -> str:
        """Return the node that one end of an edge means."""
        called = self._called.get(end, [])
        return called[0] if end not in self._nodes and len(called) == 1 else end

    def _edge(self, number: int, nodes: Mapping[str, Node], findings: Findings) -> Edge:
        source, target, edge = self._edges[number]
        place = child("edges", number)
        ends = {"source": self._named(source), "target": self._named(target)}
        for key, end in zip(("from", "to"), ends.values(), strict=True):
            if end not in self._nodes:
                several = len(self._called.get(end, ())) > 1
                message = (
                    f"{shown(end)} is the name of several nodes' operator"
                    if several
                    else f"there is no node {shown(end)}"
                )
                hint = (
                    "use the node's own name" if several else did_you_mean(end, self._nodes, "add it first")
                )
                findings.add("unknown-node", child(place, key), message, hint)
        if not isinstance(edge, DataEdge):
            return msgspec.structs.replace(edge, **ends)
        output = edge.output or self._only_output(nodes.get(ends["source"]))
        entry = edge.input or self._only_input(nodes.get(ends["target"]))
        if output is None and ends["source"] in nodes:
            hint = "name it: DataEdge(output=…)"
            findings.add("missing-input", child(place, "from"), f"{source} has no single output", hint)
        if entry is None and ends["target"] in nodes and not self._unknown(ends["target"], nodes, findings):
            hint = "name it: DataEdge(input=…)"
            findings.add("missing-input", child(place, "to"), f"{target} has no single input to fill", hint)
        return msgspec.structs.replace(edge, **ends, output=output or "", input=entry or "")

    def _unknown(self, name: str, nodes: Mapping[str, Node], findings: Findings) -> bool:
        """True if the node's operator or model is unknown, and so its inputs. This is reported, with a
        suggestion.
        """
        node = nodes[name]
        if not isinstance(node, OperatorNode | InstrumentNode) or self._ports(node)[0] is not None:
            return False
        kind, what, known = (
            ("operator", node.operator, self._known().operators)
            if isinstance(node, OperatorNode)
            else ("model", node.instrument, self._known().models)
        )
        message = f"unknown {kind} {what}: which of its inputs an edge fills must be named"
        meant = did_you_mean(what.partition("@")[0], known, "")
        hint = f"{meant} If it is your own, write DataEdge(input=…)" if meant else "write DataEdge(input=…)"
        code: Code = "unknown-operator" if kind == "operator" else "unknown-model"
        findings.add(code, child("nodes", name), message, hint)
        return True

    def _only_output(self, node: Node | None) -> str | None:
        """Return the output that is meant where none is named. Unknown operators have `result`."""
        if isinstance(node, OperatorNode | InstrumentNode):
            _, outputs = self._ports(node)
            if outputs is None:
                return "result"
            return next(iter(outputs)) if len(outputs) == 1 else None
        return None

    def _only_input(self, node: Node | None) -> str | None:
        """Return the input that is meant where none is named: the only one, or the only one not given."""
        if not isinstance(node, OperatorNode | InstrumentNode):
            return None
        inputs, _ = self._ports(node)
        open_ = [name for name in inputs or {} if name not in node.inputs]
        needed = [name for name in open_ if (inputs or {})[name].default is msgspec.UNSET]
        for names in (open_, needed):
            if len(names) == 1:
                return names[0]
        return None

    def _ports(
        self, node: OperatorNode | InstrumentNode
    ) -> tuple[Mapping[str, Port] | None, Mapping[str, Port] | None]:
        if isinstance(node, OperatorNode):
            operator = self._known().operators.get(node.operator.partition("@")[0])
            return (None, None) if operator is None else (operator.inputs, operator.outputs)
        model = self._known().models.get(node.instrument.partition("@")[0])
        return (None, None) if model is None else (model.inputs, model.outputs)

    def _known(self) -> Catalog:
        if self._catalog is None:
            from symphony.workflow.builtin import builtin_catalog

            self._catalog = builtin_catalog()
        return self._catalog


def _legal(what: str) -> str:
    """Return a legal name for a node that runs `what`."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", what.partition("@")[0]).strip("-")[: _NAME_CHARS_MAX - 1] or "node"
    if not NAME.fullmatch(name):
        name = f"_{name}"
    return f"{name}_" if name in RESERVED else name


def _settings(config: "Mapping[str, Value] | msgspec.Struct | _Dataclass") -> dict[str, Tree]:
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, msgspec.Struct) or dataclasses.is_dataclass(config):
        found = msgspec.to_builtins(config, builtin_types=(bytes,))
        if isinstance(found, dict):
            return found
    raise BuilderMisused(
        f"{type(config).__name__} is not a configuration", hint="give a dict, a msgspec Struct or a dataclass"
    )
