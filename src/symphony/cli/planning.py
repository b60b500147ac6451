"""What `run --dry-run` shows: the inputs, and what would run after what. Nothing is run."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from symphony.cli import output, spelling
from symphony.cli.drawing import detail_of, kind_of

if TYPE_CHECKING:
    from symphony.ports.values import Value
    from symphony.workflow.model import Workflow

_LEVELS_MAX, _NODES_MAX, _VALUE_COLUMNS = 100, 50, 200


def plan_document(workflow: "Workflow", inputs: "Mapping[str, Value]") -> dict[str, spelling.JSON]:
    """The plan as `--json` prints it."""
    from symphony.workflow import graph

    levels: list[spelling.JSON] = [list(level) for level in graph.levels(workflow)]
    return {
        "workflow": workflow.name,
        "inputs": spelling.values(inputs),
        "levels": levels,
        "nodes": {name: {"kind": kind_of(n), "runs": detail_of(n)} for name, n in workflow.nodes.items()},
    }


def plan_text(workflow: "Workflow", inputs: "Mapping[str, Value]") -> str:
    """The plan for people."""
    from symphony.workflow import graph

    levels = graph.levels(workflow)
    size = f"{output.count(len(workflow.nodes), 'node')} in {output.count(len(levels), 'level')}"
    lines = [f"{output.shown(workflow.name)}: {size}; nothing was run"]
    for name, value in inputs.items():
        text = value if isinstance(value, str) else json.dumps(spelling.spelled(value), ensure_ascii=False)
        lines.append(f"  input {output.shown(name)} = {output.brief(text, _VALUE_COLUMNS)}")
    for number, level in enumerate(levels[:_LEVELS_MAX], start=1):
        lines.append(f"level {number}")
        lines += [
            f"  {name}: {output.brief(detail_of(workflow.nodes[name]), 100)}" for name in level[:_NODES_MAX]
        ]
        if len(level) > _NODES_MAX:
            lines.append(f"  … and {len(level) - _NODES_MAX:,} more")
    if len(levels) > _LEVELS_MAX:
        lines.append(f"… and {len(levels) - _LEVELS_MAX:,} more levels")
    return "\n".join(lines) + "\n"
