"""A workflow's graph as JSON, for programs: every node, edge and level, however many there are. Pure."""

import json

from symphony.app import spelling
from symphony.app.spelling import JSON, detail_of
from symphony.cli.drawings.picture import edge_label, edge_line, kind_of
from symphony.ports.insight import Overview
from symphony.workflow import graph
from symphony.workflow.model import Workflow
from symphony.workflow.nesting import Nested
from symphony.workflow.problems import ValidationReport


def draw_json(
    nested: Nested, *, depth: int, overview: Overview | None = None, report: ValidationReport | None = None
) -> str:
    """One object. `detail` is what a node runs; `label` the branch or the condition of an edge.

    A loop or a sub-workflow has its own `graph`, `depth` graphs deep; a node of a run its `status`. Where
    `report` has errors, `errors` and `warnings` hold what validation found.
    """
    statuses = {} if overview is None else {line.name: str(line.status) for line in overview.lines}

    def document(path: str, workflow: Workflow, left: int) -> dict[str, JSON]:
        nodes: list[JSON] = []
        for name, node in workflow.nodes.items():
            place = f"{path}.{name}" if path else name
            about: dict[str, JSON] = {"id": name, "kind": kind_of(node), "detail": detail_of(node)}
            about["for_each"] = node.for_each is not None
            if place in statuses:
                about["status"] = statuses[place]
            inside = nested.inside(place) if left > 0 else None
            if inside is not None:
                about["graph"] = document(place, inside, left - 1)
            nodes.append(about)
        edges: list[JSON] = [
            {"source": e.source, "target": e.target, "kind": edge_line(e), "label": edge_label(e) or None}
            for e in graph.all_edges(workflow)
        ]
        levels: list[JSON] = [[*level] for level in graph.levels(workflow)]
        return {"name": workflow.name, "nodes": nodes, "edges": edges, "levels": levels}

    drawn = document("", nested.workflow, depth)
    if report is not None and not report.ok:
        drawn |= spelling.report(report)
    return json.dumps(drawn, ensure_ascii=False, indent=2) + "\n"
