"""Tells which nodes matter even if nothing reads their ports."""

from collections.abc import Callable

from symphony.workflow.catalog import Catalog
from symphony.workflow.model import CommandNode, ControlNode, InstrumentNode, Node, OperatorNode


def has_effects(node: Node, catalog: Catalog, child_has: Callable[[str], bool]) -> bool:
    """True if `node` changes the world, asks a person or keeps a named artifact, or if that is not known.

    `child_has` answers it for a sub-workflow by its reference.
    """
    if node.artifact is not None:
        return True
    match node:
        case OperatorNode():
            known = catalog.operators.get(node.operator.partition("@")[0])
            return known is None or known.effect == "write"
        case InstrumentNode():
            return False
        case CommandNode():
            return True
        case ControlNode():
            inside = (node.body or {}).values()
            return node.control == "approval" or any(has_effects(one, catalog, child_has) for one in inside)
    return child_has(node.workflow)
