"""Nodes of a run as they are typed: `parse`, `parse[3]`, `rounds#2.step`."""

import re
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.ports.runs import NodeStatus, RunResult

_UNENDED: Final = (NodeStatus.PENDING, NodeStatus.RUNNING, NodeStatus.WAITING)


def require_node(result: RunResult, name: str) -> None:
    """Raises SymphonyError `unknown-node` if the run has no node `name`.

    A node that has not ended may yet have elements and rounds that it does not have now.
    """
    known = result.nodes
    root = re.split(r"[\[#.]", name, maxsplit=1)[0]
    if name in known or (root in known and known[root].status in _UNENDED):
        return
    from symphony.workflow.problems import did_you_mean

    hint = did_you_mean(name, known, "symphony runs show lists them")
    raise SymphonyError(f"the run has no node {name[:200]!r}", code="unknown-node", hint=hint)
