"""Makes the machine's plan of a workflow: which node waits for which, and what a failure means. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from symphony.pit.tracker.core.plan import Join, OnFailure, Plan, PlanLink, PlanNode, make_plan
from symphony.ports.values import Value
from symphony.workflow.model import (
    FAIL,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    Node,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.nesting import SubWorkflows

APPROVED, REJECTED = "approved", "rejected"
"""The branches of an approval. A node that only waits for the approval begins if it was approved."""

_ON_FAILURE = {
    "fail": OnFailure.FAIL,
    "skip": OnFailure.SKIP,
    "value": OnFailure.VALUE,
    "fallback": OnFailure.FALLBACK,
}


def answered(*, approved: bool, by: str | None, comment: str | None) -> tuple[dict[str, Value], str]:
    """Return the outputs of an approval after a person's decision, and the branch that it takes."""
    return {"approved": approved, "by": by, "comment": comment}, APPROVED if approved else REJECTED


class PlannedLevel(Protocol):
    """The nodes of a workflow or of a loop's body, and the numbers of the nodes that each reads."""

    @property
    def workflow(self) -> Workflow:
        """Return the workflow that holds the nodes."""
        ...

    @property
    def index(self) -> Mapping[str, int]:
        """Return the numbers of the nodes by name."""
        ...

    def sources(self, number: int) -> Collection[int]:
        """Return the numbers of the nodes that the inputs of a node read."""
        ...

    def others(self, number: int) -> Sequence[str]:
        """Return the names of the nodes that a node reads outside of its inputs."""
        ...

    def edge_reads(self, at: int) -> Sequence[str]:
        """Return the names of the nodes that the condition or transform of explicit edge `at` reads."""
        ...

    def body(self, number: int) -> "PlannedLevel | None":
        """Return the body of a loop node; None for other nodes."""
        ...


def plan_of(
    workflow: Workflow, children: SubWorkflows | None, level_of: Callable[[Workflow], PlannedLevel]
) -> Plan:
    """Return the plan of a valid workflow, with the bodies of its loops and its sub-workflows.

    `children` finds the sub-workflows; if it is None, there must be none. `level_of` returns the planned
    level of a workflow. O(V + E) of all of them.
    """
    return _Planning(level_of).plan_of(workflow, children)


class _Planning:
    def __init__(self, level_of: Callable[[Workflow], PlannedLevel]) -> None:
        self._level_of = level_of
        self._known: dict[int, Plan] = {}

    def plan_of(self, workflow: Workflow, children: SubWorkflows | None) -> Plan:
        return self._plan(self._level_of(workflow), children)

    def _plan(self, level: PlannedLevel, children: SubWorkflows | None) -> Plan:
        index = level.index
        nodes = [_plan_node(name, node, index) for name, node in level.workflow.nodes.items()]
        below = {
            number: plan
            for number, node in enumerate(level.workflow.nodes.values())
            if isinstance(node, ControlNode | SubWorkflowNode)
            and (plan := self._below(number, node, level, children)) is not None
        }
        return make_plan(nodes, _links(level, nodes), below)

    def _below(
        self, number: int, node: Node, level: PlannedLevel, children: SubWorkflows | None
    ) -> Plan | None:
        """Return the plan inside a node, or None. A sub-workflow that several nodes run is planned once."""
        body = level.body(number)
        if body is not None:
            return self._plan(body, children)
        if not isinstance(node, SubWorkflowNode) or children is None:
            return None
        found = children(node.workflow)
        if found is None:
            return None
        if id(found) not in self._known:
            self._known[id(found)] = self.plan_of(found, children.child(node.workflow))
        return self._known[id(found)]


def _links(level: PlannedLevel, nodes: Sequence[PlanNode]) -> list[tuple[PlanLink, ...]]:
    """Return the links of each node: first those of explicit edges, then the implied ones."""
    links: list[dict[PlanLink, None]] = [{} for _ in nodes]
    hard = [PlanLink(target) for target in range(len(nodes))]
    branches = _explicit(level, links, hard)
    workflow = level.workflow
    for target, node in enumerate(workflow.nodes.values()):
        link = hard[target]
        for source in level.sources(target):
            links[source][link] = None
        if node.after:
            for text in dict.fromkeys(node.after):
                name, _, branch = text.partition(".")
                branches |= _control(level, links, name, target, branch or None)
        for name in level.others(target):
            if name in level.index:
                links[level.index[name]][link] = None
    for at, edge in enumerate(workflow.edges):
        if not isinstance(edge, ConditionalEdge):  # a transform may read more than the edge carries
            for name in level.edge_reads(at):
                if name != edge.source:
                    branches |= _control(level, links, name, level.index[edge.target], None)
    for source, target in branches:  # `after: [x.true]` says more than a plain edge
        links[source].pop(hard[target], None)
    if workflow.edges:
        _without_soft(links, hard)
    for i, planned in enumerate(nodes):
        if planned.fallback is not None:
            links[i].pop(hard[planned.fallback], None)
            links[i][PlanLink(planned.fallback, spare=True)] = None
    return [tuple(outgoing) for outgoing in links]


def _explicit(
    level: PlannedLevel, links: Sequence[dict[PlanLink, None]], hard: Sequence[PlanLink]
) -> set[tuple[int, int]]:
    """Add the links of the explicit edges. Return (source, target) of those that depend on a branch."""
    branches: set[tuple[int, int]] = set()
    index = level.index
    for at, edge in enumerate(level.workflow.edges):
        if edge.source not in index:
            continue
        source, target = index[edge.source], index[edge.target]
        if isinstance(edge, ConditionalEdge):
            links[source][PlanLink(target, soft=True)] = None
            for name in level.edge_reads(at):
                if name in index:
                    links[index[name]][PlanLink(target, soft=True)] = None
        elif isinstance(edge, ControlEdge):
            branches |= _control(level, links, edge.source, target, edge.branch)
        else:
            links[source][hard[target]] = None
    return branches


def _control(
    level: PlannedLevel, links: Sequence[dict[PlanLink, None]], name: str, target: int, branch: str | None
) -> set[tuple[int, int]]:
    """Add the link of a control edge. Return its (source, target) if it depends on a branch.

    For a node that waits for an approval without reading its ports, the approval acts as a branch: after a
    rejection, what it was asked about must not run.
    """
    source = level.index.get(name)
    if source is None:
        return set()
    if branch is None and _asks(level, name, target):
        branch = APPROVED
    links[source][PlanLink(target, branch=branch)] = None
    return set() if branch is None else {(source, target)}


def _asks(level: PlannedLevel, name: str, target: int) -> bool:
    """True if `name` is an approval whose ports the node `target` does not read."""
    node = level.workflow.nodes[name]
    if not isinstance(node, ControlNode) or node.control != "approval":
        return False
    if name in level.others(target) or level.index[name] in level.sources(target):
        return False
    spare = node.on_error.fallback
    return spare is None or level.index.get(spare) != target


def _without_soft(links: Sequence[dict[PlanLink, None]], hard: Sequence[PlanLink]) -> None:
    """Remove soft edges to a node to which there is also a hard edge."""
    for outgoing in links:
        for link in list(outgoing):
            if link.soft and hard[link.target] in outgoing:
                del outgoing[link]


def _plan_node(name: str, node: Node, index: Mapping[str, int]) -> PlanNode:
    if node.on_error is FAIL and node.join == "all" and not node.after:  # most nodes
        attempts = node.retry.attempts if node.retry else 1
        return PlanNode(
            name,
            attempts=attempts,
            priority=node.priority,
            concurrency=node.concurrency,
            fail_fast=node.fail_fast,
            enabled=node.enabled,
        )
    merge = isinstance(node, ControlNode) and node.control == "merge"
    return PlanNode(
        name=name,
        join=Join.FIRST if merge else Join.ANY if node.join == "any" else Join.ALL,
        attempts=node.retry.attempts if node.retry else 1,
        on_failure=_ON_FAILURE[node.on_error.action],
        fallback=index[node.on_error.fallback] if node.on_error.fallback else None,
        priority=node.priority,
        concurrency=node.concurrency,
        fail_fast=node.fail_fast,
        enabled=node.enabled,
        candidates=frozenset(index[after.partition(".")[0]] for after in node.after)
        if merge
        else frozenset(),
    )
