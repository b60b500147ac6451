"""A workflow's graph as JSON, for programs: every node, edge and level, however many there are. Pure."""

import json
from collections.abc import Iterable, Sequence

from symphony.app.spelling import detail_of
from symphony.cli.drawings.picture import edge_label, edge_line, kind_of
from symphony.workflow.model import Edge, Workflow


def draw_json(workflow: Workflow, levels: Sequence[Sequence[str]], edges: Iterable[Edge]) -> str:
    """One object. `detail` is what a node runs; `label` the branch or the condition of an edge."""
    document = {
        "name": workflow.name,
        "nodes": [
            {"id": name, "kind": kind_of(node), "detail": detail_of(node)}
            for name, node in workflow.nodes.items()
        ],
        "edges": [
            {"source": e.source, "target": e.target, "kind": edge_line(e), "label": edge_label(e) or None}
            for e in edges
        ],
        "levels": [list(level) for level in levels],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
