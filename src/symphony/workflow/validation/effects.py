"""Which nodes do something that counts without anybody reading their ports."""

from symphony.workflow.catalog import Catalog
from symphony.workflow.model import CommandNode, ControlNode, InstrumentNode, Node, OperatorNode
from symphony.workflow.validation.children import Children


def has_effects(node: Node, catalog: Catalog, children: Children) -> bool:
    """Does `node` change the world, ask a person, or keep a named artifact? True where it is not known."""
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
            return node.control == "approval" or any(has_effects(one, catalog, children) for one in inside)
    return children.get(node.workflow).effects
