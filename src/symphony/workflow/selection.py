"""The part of a workflow that some of its nodes need. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from symphony.workflow.compiled import Compiled
from symphony.workflow.graph import Graph, NodeUnknown
from symphony.workflow.model import Workflow
from symphony.workflow.problems import did_you_mean

_LISTED_MAX = 8


@dataclass(frozen=True, slots=True)
class Selection:
    """The part of a workflow that the chosen nodes need; `outputs` names the outputs that it lacks."""

    workflow: Workflow
    outputs: tuple[str, ...]


def selected(workflow: Workflow, names: Sequence[str]) -> Selection:
    """Return these nodes with all that they wait for, and the fallbacks of all of these.

    Outputs that read other nodes are left out. The workflow must be valid. Raises NodeUnknown.
    """
    graph = Graph.of(workflow)
    kept: set[int] = set()
    waiting = [_number(graph, name) for name in names]
    while waiting:
        at = waiting.pop()
        if at in kept:
            continue
        kept.add(at)
        waiting += graph.before[at]
        spare = workflow.nodes[graph.names[at]].on_error.fallback
        if spare is not None:
            waiting.append(graph.index[spare])
    if len(kept) == len(graph.names):
        return Selection(workflow, ())
    there = {graph.names[at] for at in kept}
    lacking = tuple(_lacking(workflow, there))
    part = msgspec.structs.replace(
        workflow,
        nodes={name: node for name, node in workflow.nodes.items() if name in there},
        edges=tuple(edge for edge in workflow.edges if edge.source in there and edge.target in there),
        outputs={name: value for name, value in workflow.outputs.items() if name not in lacking},
    )
    return Selection(part, lacking)


def _lacking(workflow: Workflow, there: Collection[str]) -> list[str]:
    """Return the outputs that read a node outside the selection."""
    compiled = Compiled(workflow)
    return [
        name
        for name, template in compiled.outputs.items()
        if any(source not in there for source, _ in compiled.ports(template))
    ]


def _number(graph: Graph, name: str) -> int:
    found = graph.index.get(name)
    if found is not None:
        return found
    outer = name.partition("[")[0].partition("#")[0].partition(".")[0]
    if outer != name and outer in graph.index:
        hint = f"name the whole node: {outer}"
    else:
        listed = ", ".join(graph.names[:_LISTED_MAX]) + (", …" if len(graph.names) > _LISTED_MAX else "")
        hint = did_you_mean(name, graph.names, f"its nodes are {listed}")
    raise NodeUnknown(f"the workflow has no node {name[:100]!r}", hint=hint)
