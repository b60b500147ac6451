"""Builds a workflow in Python, step by step."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.fields import Fields
from symphony.workflow.files import WorkflowInvalid
from symphony.workflow.model import ControlEdge, DataEdge, Edge, Workflow
from symphony.workflow.problems import Problem, ValidationReport
from symphony.workflow.schema import read_tree

Config = Mapping[str, Value] | msgspec.Struct | object
"""A map, a msgspec Struct or a dataclass."""


class BuilderMisused(SymphonyError):
    """A call to the builder that makes no sense; the message says which."""

    code = "builder-misused"


class WorkflowBuilder:
    """A workflow under construction; every method returns the builder itself.

    A node is called after its model or operator, made a legal name, unless `name` is given;
    `connect` takes those names or the original ones. Node options (`inputs`, `for_each`,
    `retry`, …) are those of the workflow file.
    """

    def __init__(self, name: str) -> None:
        self._document: dict[str, Tree] = {"symphony": 1, "name": name, "inputs": {}, "outputs": {}}
        self._nodes: dict[str, dict[str, Tree]] = {}
        self._aliases: dict[str, str] = {}
        self._edges: list[Edge] = []

    def version(self, version: str) -> "WorkflowBuilder":
        """The workflow's semantic version."""
        self._document["version"] = version
        return self

    def description(self, text: str) -> "WorkflowBuilder":
        """What the workflow is for."""
        self._document["description"] = text
        return self

    def input(self, name: str, type: str = "any", **options: Tree) -> "WorkflowBuilder":
        """One input; options: `default`, `min`, `max`, `description`."""
        inputs = self._document["inputs"]
        assert isinstance(inputs, dict)
        inputs[name] = {"type": type, **options}
        return self

    def output(self, name: str, value: Tree) -> "WorkflowBuilder":
        """One output, usually an expression such as `${{ node.result }}`."""
        outputs = self._document["outputs"]
        assert isinstance(outputs, dict)
        outputs[name] = value
        return self

    def add_instrument(self, model: str, config: Config = None, *, name: str | None = None, **options: Tree) -> "WorkflowBuilder":
        """A node that runs a model."""
        return self._add("instrument", model, config, name, options)

    def add_operator(self, operator: str, config: Config = None, *, name: str | None = None, **options: Tree) -> "WorkflowBuilder":
        """A node that runs an operator."""
        return self._add("operator", operator, config, name, options)

    def add_control(
        self, kind: Literal["branch", "merge", "delay", "approval", "loop"], *, name: str | None = None, **options: Tree
    ) -> "WorkflowBuilder":
        """A control node; options named like Python words take a trailing underscore (`for_`)."""
        return self._add("control", kind, None, name, {key.rstrip("_"): value for key, value in options.items()})

    def add_command(self, command: str, *, name: str, **options: Tree) -> "WorkflowBuilder":
        """A node that runs a shell command."""
        return self._add("command", command, None, name, options)

    def add_workflow(self, reference: str, *, name: str | None = None, **options: Tree) -> "WorkflowBuilder":
        """A node that runs another workflow file."""
        return self._add("workflow", reference, None, name, options)

    def connect(self, source: str, target: str, edge: Edge | None = None) -> "WorkflowBuilder":
        """An edge between two nodes; without one given, `target` simply begins after `source`.

        A `DataEdge` without ports takes `result` and the input `value`.
        """
        edge = edge or ControlEdge()
        ends = {"source": self._aliases.get(source, source), "target": self._aliases.get(target, target)}
        if isinstance(edge, DataEdge):
            ports = {"output": edge.output or "result", "input": edge.input or "value"}
            self._edges.append(msgspec.structs.replace(edge, **ends, **ports))
        else:
            self._edges.append(msgspec.structs.replace(edge, **ends))
        return self

    def build(self) -> Workflow:
        """The workflow. Raises WorkflowInvalid with every structural problem."""
        fields = Fields()
        workflow = read_tree({**self._document, "nodes": self._nodes}, fields)
        for edge in self._edges:
            for end in (edge.source, edge.target):
                if end not in self._nodes:
                    known = ", ".join(self._nodes)
                    fields.problems.append(
                        Problem(code="unknown-node", place="edges", message=f"there is no node {end!r}", hint=f"nodes: {known}")
                    )
        if fields.problems or workflow is None:
            raise WorkflowInvalid(ValidationReport(errors=tuple(fields.problems)))
        return msgspec.structs.replace(workflow, edges=tuple(self._edges))

    def _add(self, kind: str, what: str, config: Config, name: str | None, options: Mapping[str, Tree]) -> "WorkflowBuilder":
        legal = name or re.sub(r"[^A-Za-z0-9_-]+", "-", what.partition("@")[0]).strip("-") or "node"
        if not (legal[0].isalpha() or legal[0] == "_"):
            legal = f"_{legal}"
        if legal in self._nodes:
            raise BuilderMisused(f"there is a node {legal!r} already", hint="give name= to tell them apart")
        node: dict[str, Tree] = {kind: what, **options}
        if settings := _settings(config):
            node["config"] = settings
        self._nodes[legal] = node
        self._aliases.setdefault(what, legal)
        return self


def _settings(config: Config) -> dict[str, Tree]:
    if config is None:
        return {}
    if isinstance(config, Mapping):
        return dict(config)
    if isinstance(config, msgspec.Struct):
        return msgspec.structs.asdict(config)
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        return dataclasses.asdict(config)
    raise BuilderMisused(f"{type(config).__name__} is no configuration", hint="give a dict, a msgspec Struct or a dataclass")


