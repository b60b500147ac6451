"""The graphs of a run made ready: the workflow's own, the bodies of loops, the sub-workflows."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.nodes.work import Work, type_of_read, works_of
from symphony.pit.tracker.store.documents import Recorded
from symphony.pit.tracker.store.structure import body_of
from symphony.sdk import Operator
from symphony.workflow.catalog import Catalog
from symphony.workflow.expressions import Compiler, Template
from symphony.workflow.model import ControlNode, SubWorkflowNode, Workflow
from symphony.workflow.types import ANY


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One graph: the work of each node of its plan, and the graphs inside them by node number."""

    workflow: Workflow
    plan: Plan
    works: Sequence[Work]
    outputs: Mapping[str, Template]
    below: Mapping[int, "Graph"] = field(default_factory=dict)

    def inputs_read(self, node: int) -> set[str]:
        """The inputs of the workflow that a node, or a loop's body, reads."""
        found = {r.name for t in self.works[node].templates() for r in t.reads if r.kind == "input"}
        inner = self.below.get(node)
        if inner is not None and self.works[node].loop is not None:
            for i in range(len(inner.works)):
                found |= inner.inputs_read(i)
        return found

    def runs(self, operator: str) -> bool:
        """Does any node, here or inside, run this operator?"""
        mine = any(work.operator is not None and work.operator.info.name == operator for work in self.works)
        return mine or any(graph.runs(operator) for graph in self.below.values())


def graph_of(
    workflow: Workflow,
    plan: Plan,
    catalog: Catalog,
    operators: Mapping[str, Operator],
    children: Recorded | None = None,
) -> Graph:
    """The graph of a valid workflow and all inside it. Raises BadExpression.

    `plan` is the workflow's, made with the same `children`.
    """
    return _Making(catalog, operators).graph(workflow, plan, children, None)


class _Making:
    def __init__(self, catalog: Catalog, operators: Mapping[str, Operator]) -> None:
        self._catalog, self._operators = catalog, operators
        self._compiler = Compiler(type_of_read, value=False)
        self._known: dict[int, Graph] = {}

    def graph(self, workflow: Workflow, plan: Plan, children: Recorded | None, base: Path | None) -> Graph:
        works = list(works_of(workflow, self._catalog, self._operators, base))
        below: dict[int, Graph] = {}
        for i, inner in plan.below.items():
            work = works[i]
            if isinstance(work.node, ControlNode):
                below[i] = self.graph(body_of(work.name, work.node), inner, children, base)
            elif isinstance(work.node, SubWorkflowNode) and children is not None:
                below[i] = self._child(work.node.workflow, inner, children)
                ports = dict.fromkeys(below[i].outputs, ANY)
                works[i] = dataclasses.replace(work, output_types=ports)
        outputs = {name: self._compiler.template(value) for name, value in workflow.outputs.items()}
        return Graph(workflow=workflow, plan=plan, works=tuple(works), outputs=outputs, below=below)

    def _child(self, reference: str, plan: Plan, children: Recorded) -> Graph:
        """A sub-workflow that several nodes run is made ready once: its plan tells."""
        if id(plan) not in self._known:
            found, inside = children(reference), children.child(reference)
            assert found is not None  # its plan came from there
            self._known[id(plan)] = self.graph(found, plan, inside, inside.base)
        return self._known[id(plan)]
