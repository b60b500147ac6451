"""Prepares the graphs of a run: the workflow's own, the bodies of loops, the sub-workflows."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import msgspec

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.nodes.work import LoopWork, MergeWork, OperatorWork, Work, candidates
from symphony.pit.tracker.nodes.works import works_of
from symphony.pit.tracker.store.documents import Recorded
from symphony.sdk import Operator
from symphony.workflow.catalog import Catalog
from symphony.workflow.compiled import Compilation, Compiled
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.model import SubWorkflowNode, Workflow
from symphony.workflow.types import ANY

OperatorsOf: TypeAlias = Callable[[Workflow, Path], Mapping[str, Operator]]
"""Returns the operators that a workflow in a folder may use, by name."""


class WorkGraph(msgspec.Struct, frozen=True, kw_only=True):
    """One graph: the work of each node of its plan, and the graphs inside them by node number."""

    workflow: Workflow
    plan: Plan
    works: Sequence[Work]
    outputs: Mapping[str, ValueTemplate]
    below: Mapping[int, "WorkGraph"] = msgspec.field(default_factory=dict)

    def inputs_read(self, node: int) -> set[str]:
        """Return the inputs of the workflow that a node, or a loop's body, reads."""
        found = {r.name for t in self.works[node].templates() for r in t.reads if r.kind == "input"}
        inner = self.below.get(node)
        if inner is not None and isinstance(self.works[node], LoopWork):
            for i in range(len(inner.works)):
                found |= inner.inputs_read(i)
        return found

    def reads(self, node: str, ports: Collection[str]) -> bool:
        """True if one of the ports of a node here is read by another, or is an output."""
        if any(isinstance(work, MergeWork) and node in candidates(work) for work in self.works):
            return True
        templates = (*self.outputs.values(), *(t for work in self.works for t in work.templates()))
        return reads_port(templates, node, ports)

    def holds_values(self) -> bool:
        """True if a list or map without expressions is somewhere in it."""
        mine = (*self.outputs.values(), *(t for work in self.works for t in work.templates()))
        return any(map(_holds, mine)) or any(graph.holds_values() for graph in self.below.values())

    def ready(self) -> None:
        """Compile every expression that validation has not compiled. Raises BadExpression."""
        for template in (*self.outputs.values(), *(t for work in self.works for t in work.templates())):
            template.ready()
        for graph in self.below.values():
            graph.ready()

    def runs(self, operator: str) -> bool:
        """True if any node, here or inside, runs this operator."""
        mine = any(isinstance(work, OperatorWork) and work.runs == operator for work in self.works)
        return mine or any(graph.runs(operator) for graph in self.below.values())


def reads_port(templates: Iterable[ValueTemplate], node: str, ports: Collection[str]) -> bool:
    """True if one of the templates reads one of the ports of a node."""
    return any(
        r.name == node and (r.kind == "node" or (r.kind == "port" and r.port in ports))
        for template in templates
        for r in template.reads
    )


def _holds(template: ValueTemplate) -> bool:
    if template.constant:
        return isinstance(template.value, list | dict)
    inside = template.inside
    return any(map(_holds, inside.values() if isinstance(inside, Mapping) else inside or ()))


def graph_of(
    workflow: Workflow,
    plan: Plan,
    catalog: Catalog,
    operators: OperatorsOf,
    children: Recorded,
    compilation: Compilation,
) -> WorkGraph:
    """Return the graph of a valid workflow and of all inside it.

    `plan` is the workflow's, made with the same `children`; `compilation` holds what is already compiled.
    """
    made = _Making(catalog, operators, compilation)
    return made.graph(made.compiled(workflow), plan, children, None, operators(workflow, children.base))


class _Making:
    def __init__(self, catalog: Catalog, operators: OperatorsOf, compilation: Compilation) -> None:
        self._catalog, self._operators = catalog, operators
        self.compiled = compilation.of
        self._known: dict[int, WorkGraph] = {}

    def graph(
        self, compiled: Compiled, plan: Plan, children: Recorded, base: Path | None,
        operators: Mapping[str, Operator],
    ) -> WorkGraph:  # fmt: skip
        works = list(works_of(compiled, self._catalog, operators, base))
        below: dict[int, WorkGraph] = {}
        for i, inner in plan.below.items():
            work, more = works[i], compiled.nodes[i].more
            if more is not None and more.loop is not None:
                below[i] = self.graph(more.loop.body, inner, children, base, operators)
            elif isinstance(work.node, SubWorkflowNode):
                below[i] = self._child(work.node.workflow, inner, children)
                ports = dict.fromkeys(below[i].outputs, ANY)
                works[i] = msgspec.structs.replace(work, output_types=ports)
        return WorkGraph(
            workflow=compiled.workflow, plan=plan, works=tuple(works), outputs=compiled.outputs, below=below
        )

    def _child(self, reference: str, plan: Plan, children: Recorded) -> WorkGraph:
        """Return the graph of a sub-workflow. One that several nodes run is prepared once, by its plan."""
        if id(plan) not in self._known:
            found, inside = children(reference), children.child(reference)
            assert found is not None  # its plan was made from it
            operators = self._operators(found, inside.base)
            self._known[id(plan)] = self.graph(self.compiled(found), plan, inside, inside.base, operators)
        return self._known[id(plan)]
