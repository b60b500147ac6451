"""The steps of a killed run that may have had effects, as far as its journal tells."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.names import folded, together
from symphony.pit.tracker.store.documents import workflow_of
from symphony.pit.tracker.store.journal import RunMeta

if TYPE_CHECKING:
    from symphony.workflow.catalog import OperatorInfo
    from symphony.workflow.model import Node, Workflow


def in_doubt(meta: RunMeta, steps: Sequence[str]) -> list[str]:
    """Return those of the `steps`, which were at work, that a resume will not repeat unasked.

    What operators say of themselves is read from the text of their files. One that is not found there is
    taken for one with effects. Raises WorkflowInvalid.
    """
    from symphony.workflow.nesting import Nested  # seldom needed

    workflow = workflow_of(meta.workflow)
    nested = Nested(workflow, meta.recorded())
    operators = _operators(meta, workflow)
    return together([step for step in steps if not _repeatable(nested.node(folded(step)), operators)])


def _repeatable(node: "Node | None", operators: "Mapping[str, OperatorInfo]") -> bool:
    from symphony.workflow.model import CommandNode, OperatorNode

    if node is None or not isinstance(node, CommandNode | OperatorNode):
        return True
    if node.idempotent is not None:
        return node.idempotent
    if isinstance(node, CommandNode):
        return False
    known = operators.get(node.operator.partition("@")[0])
    return known is not None and (known.effect != "write" or known.idempotent)


def _operators(meta: RunMeta, workflow: "Workflow") -> "Mapping[str, OperatorInfo]":
    """Return the operators that ship with Symphony, and those that the files of a run define now."""
    from symphony.sdk.reading.files import read_beside, read_file
    from symphony.workflow.builtin import builtin_catalog

    found = dict(builtin_catalog().operators)
    for file in meta.operators:
        with suppress(SymphonyError):
            found |= read_file(Path(file)).infos
    below = [(one.base, workflow_of(one.document)) for one in meta.children]
    for base, one in [(meta.base, workflow), *below]:
        if one.operators:
            found |= read_beside(Path(base), one.operators).operators
    return found
