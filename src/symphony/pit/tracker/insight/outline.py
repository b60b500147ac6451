"""Finds the node of the workflow that a step of a run is, and what it waited for. Pure."""

from typing import assert_never

from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.insight.history import Step
from symphony.ports.metrics import Kind
from symphony.ports.runs import NodeStatus
from symphony.workflow.graph import Graph, dependencies
from symphony.workflow.model import (
    CommandNode,
    ControlNode,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.nesting import Nested, SubWorkflows


class Outline:
    """A workflow with the bodies of its loops and, as far as `resolve` gives them, its sub-workflows."""

    def __init__(self, workflow: Workflow, resolve: SubWorkflows | None = None) -> None:
        self.workflow = workflow
        self.nested = Nested(workflow, resolve)
        self._graphs: dict[str, Graph] = {}
        self._before: dict[str, tuple[str, ...]] = {}

    def node(self, step: str) -> Node | None:
        """The node behind a step's full name; None where it is not known."""
        return self.nested.node(folded(step))

    def before(self, step: str) -> tuple[str, ...]:
        """Full names of the steps in the same graph that it waited for."""
        prefix, dot, _ = step.rpartition(".")
        names = self._names_before(folded(step))
        return tuple(f"{prefix}{dot}{name}" for name in names) if dot else names

    def _names_before(self, path: str) -> tuple[str, ...]:
        found = self._before.get(path)
        if found is None:
            head, _, last = path.rpartition(".")
            around = self.nested.inside(head)
            known = around is not None and last in around.nodes
            found = dependencies(self._graph(head, around), last) if around is not None and known else ()
            self._before[path] = found
        return found

    def _graph(self, head: str, around: Workflow) -> Graph:
        if head not in self._graphs:
            self._graphs[head] = Graph.of(around)
        return self._graphs[head]


def settled(step: Step, node: Node | None) -> NodeStatus:
    """Return the status that the step counts as: a handled failure counts as what `on_error` makes of it."""
    if step.status is not NodeStatus.FAILED or node is None:
        return step.status
    handled = {"skip": NodeStatus.SKIPPED, "value": NodeStatus.SUCCEEDED, "fallback": NodeStatus.SUCCEEDED}
    return handled.get(node.on_error.action, NodeStatus.FAILED)


def kind_of(node: Node | None) -> tuple[Kind, str]:
    """Return the node's kind and what it runs: an operator's name, a model's id, a control's kind."""
    match node:
        case None:
            return "unknown", ""
        case OperatorNode():
            return "operator", node.operator.partition("@")[0]
        case InstrumentNode():
            return "instrument", node.instrument.partition("@")[0]
        case CommandNode():
            return "command", "command"
        case ControlNode():
            return "control", node.control
        case SubWorkflowNode():
            return "workflow", node.workflow
        case _:
            assert_never(node)
