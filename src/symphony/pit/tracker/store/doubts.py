"""Which steps of a run whose process was killed may have had effects, as far as its journal tells."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from symphony.pit.tracker.core.names import folded, together
from symphony.pit.tracker.store.documents import workflow_of
from symphony.pit.tracker.store.journal import RunMeta

if TYPE_CHECKING:
    from symphony.workflow.model import Node


def in_doubt(meta: RunMeta, steps: Sequence[str]) -> list[str]:
    """Return those of the `steps`, which were at work, that a resume will not repeat unasked.

    An operator that does not ship with Symphony is taken for one with effects, as it is unless it says
    otherwise: its code may be gone. Raises WorkflowInvalid.
    """
    from symphony.workflow.nesting import Nested  # seldom needed

    nested = Nested(workflow_of(meta.workflow), meta.recorded())
    return together([step for step in steps if not _repeatable(nested.node(folded(step)))])


def _repeatable(node: "Node | None") -> bool:
    from symphony.workflow.builtin import builtin_catalog
    from symphony.workflow.model import CommandNode, OperatorNode

    if node is None or not isinstance(node, CommandNode | OperatorNode):
        return True
    if node.idempotent is not None:
        return node.idempotent
    if isinstance(node, CommandNode):
        return False
    known = builtin_catalog().operators.get(node.operator.partition("@")[0])
    return known is not None and (known.effect != "write" or known.idempotent)
