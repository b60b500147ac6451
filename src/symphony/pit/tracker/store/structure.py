"""A workflow as the machine's plan: which node waits for which, and what a failure means. Pure."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from symphony.pit.tracker.core.plan import Join, Link, OnFailure, Plan, PlanNode, make_plan
from symphony.workflow.derived import other_sources, ports_read
from symphony.workflow.expressions import condition_reads
from symphony.workflow.graph import all_edges
from symphony.workflow.model import (
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    Edge,
    Node,
    SubWorkflowNode,
    Workflow,
)

APPROVED, REJECTED = "approved", "rejected"
"""The branches of an approval: whoever only waits for it goes on if it was approved."""

_ON_FAILURE = {
    "fail": OnFailure.FAIL,
    "skip": OnFailure.SKIP,
    "value": OnFailure.VALUE,
    "fallback": OnFailure.FALLBACK,
}


class SubWorkflows(Protocol):
    """Finds the workflows that nodes of kind `workflow` name."""

    def __call__(self, reference: str, /) -> Workflow | None: ...
    def child(self, reference: str, /) -> "SubWorkflows":
        """Finds what nodes inside the workflow name that `reference` names."""
        ...


def plan_of(workflow: Workflow, children: SubWorkflows | None = None) -> Plan:
    """The plan of a valid workflow, with the bodies of its loops and its sub-workflows.

    `children` finds the sub-workflows; without it there must be none. O(V + E) of all of them.
    """
    return _plan(workflow, children, {})


def body_of(name: str, loop: ControlNode) -> Workflow:
    """A loop's body as a workflow: its nodes see those outside, but wait only for each other."""
    return Workflow(name=name, nodes=loop.body or {})


def _plan(workflow: Workflow, children: SubWorkflows | None, known: dict[int, Plan]) -> Plan:
    index = {name: i for i, name in enumerate(workflow.nodes)}
    nodes = [_plan_node(name, node, index) for name, node in workflow.nodes.items()]
    below = {
        index[name]: plan
        for name, node in workflow.nodes.items()
        if (plan := _plan_below(name, node, children, known)) is not None
    }
    return make_plan(nodes, _links(workflow, nodes, index), below)


def _plan_below(name: str, node: Node, children: SubWorkflows | None, known: dict[int, Plan]) -> Plan | None:
    """The plan inside a node. A sub-workflow that several nodes run is planned once."""
    if isinstance(node, ControlNode) and node.control == "loop":
        return _plan(body_of(name, node), children, known)
    if not isinstance(node, SubWorkflowNode) or children is None:
        return None
    found = children(node.workflow)
    if found is None:
        return None
    if id(found) not in known:
        known[id(found)] = _plan(found, children.child(node.workflow), known)
    return known[id(found)]


def _links(workflow: Workflow, nodes: Sequence[PlanNode], index: Mapping[str, int]) -> list[tuple[Link, ...]]:
    links: list[dict[Link, None]] = [{} for _ in nodes]
    branches: set[tuple[int, int]] = set()
    for edge in all_edges(workflow):
        if edge.source not in index:
            continue  # a loop's body reads a node outside: the loop has waited for it
        source, target = index[edge.source], index[edge.target]
        branch = _branch(edge, workflow)
        if isinstance(edge, ConditionalEdge):
            links[source][Link(target, soft=True)] = None
            for read in condition_reads(edge.when):
                if read.kind in ("port", "node") and read.name in index:
                    links[index[read.name]][Link(target, soft=True)] = None
        elif branch is not None:
            branches.add((source, target))
            links[source][Link(target, branch=branch)] = None
        else:
            links[source][Link(target)] = None
    for source, target in branches:  # `after: [x.true]` says more than a plain edge
        links[source].pop(Link(target), None)
    for outgoing in links:  # a hard edge makes a soft one to the same node superfluous
        for link in list(outgoing):
            if link.soft and Link(link.target) in outgoing:
                del outgoing[link]
    for i, node in enumerate(nodes):
        if node.fallback is not None:
            links[i].pop(Link(node.fallback), None)
            links[i][Link(node.fallback, spare=True)] = None
    return [tuple(outgoing) for outgoing in links]


def _branch(edge: Edge, workflow: Workflow) -> str | None:
    """The branch on which an edge depends.

    An approval is like a branch for those that wait for it without looking at its ports: a
    rejection must not let through what it was asked about.
    """
    if not isinstance(edge, ControlEdge) or edge.branch is not None:
        return edge.branch if isinstance(edge, ControlEdge) else None
    source, target = workflow.nodes[edge.source], workflow.nodes[edge.target]
    if not isinstance(source, ControlNode) or source.control != "approval":
        return None
    if source.on_error.fallback == edge.target or edge.source in other_sources(target):
        return None
    reads = {name for value in target.inputs.values() for name, _ in ports_read(value, {})}
    return None if edge.source in reads else APPROVED


def _plan_node(name: str, node: Node, index: dict[str, int]) -> PlanNode:
    merge = isinstance(node, ControlNode) and node.control == "merge"
    return PlanNode(
        name=name,
        join=Join.FIRST if merge else Join.ANY if node.join == "any" else Join.ALL,
        attempts=node.retry.attempts if node.retry else 1,
        on_failure=_ON_FAILURE[node.on_error.action],
        fallback=index[node.on_error.fallback] if node.on_error.fallback else None,
        priority=node.priority,
        concurrency=node.concurrency,
        enabled=node.enabled,
        candidates=frozenset(index[after.partition(".")[0]] for after in node.after)
        if merge
        else frozenset(),
    )
