"""A workflow as the machine's plan: which node waits for which, and what a failure means. Pure."""

from symphony.pit.tracker.core.plan import Join, Link, OnFailure, Plan, PlanNode, make_plan
from symphony.workflow.expressions import condition_reads
from symphony.workflow.graph import all_edges
from symphony.workflow.model import ConditionalEdge, ControlEdge, ControlNode, Node, Workflow

_ON_FAILURE = {
    "fail": OnFailure.FAIL,
    "skip": OnFailure.SKIP,
    "value": OnFailure.VALUE,
    "fallback": OnFailure.FALLBACK,
}


def plan_of(workflow: Workflow) -> Plan:
    """The plan of a valid workflow. O(V + E)."""
    index = {name: i for i, name in enumerate(workflow.nodes)}
    nodes = [_plan_node(name, node, index) for name, node in workflow.nodes.items()]
    links: list[dict[Link, None]] = [{} for _ in nodes]
    branches: set[tuple[int, int]] = set()
    for edge in all_edges(workflow):
        source, target = index[edge.source], index[edge.target]
        if isinstance(edge, ConditionalEdge):
            links[source][Link(target, soft=True)] = None
            for read in condition_reads(edge.when):
                if read.kind in ("port", "node") and read.name in index:
                    links[index[read.name]][Link(target, soft=True)] = None
        elif isinstance(edge, ControlEdge) and edge.branch is not None:
            branches.add((source, target))
            links[source][Link(target, branch=edge.branch)] = None
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
    return make_plan(nodes, [tuple(outgoing) for outgoing in links])


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
    )
