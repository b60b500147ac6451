"""Checks the structure of workflows made in code for what reading a file would have refused.

Only unusual nodes are written out and read again; plain ones take a quick look.
"""

from collections.abc import Mapping
from operator import attrgetter

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.workflow.fields import RESERVED, Fields
from symphony.workflow.model import NAME, NODES_MAX, CommandNode, ControlNode, Node, Workflow
from symphony.workflow.problems import Problem, child
from symphony.workflow.schema import read_tree
from symphony.workflow.schema_usual import all_legal
from symphony.workflow.spelling import write_node, write_tree

_SIMPLE = frozenset({bool, int, str, type(None)})
_OPTIONS = (
    "timeout", "retry", "concurrency", "fail_fast", "label", "artifact", "position", "for_each", "config",
    "metadata",
)  # fmt: skip
_options_of = attrgetter(*_OPTIONS, "on_error")
_NO_OPTIONS = _options_of(CommandNode(command=""))
_NOT_WRITTEN = (SymphonyError, TypeError, ValueError, AttributeError, RecursionError)
_PLAIN_DATA = "use null, booleans, numbers, texts, bytes, lists, and maps with texts as keys"


def check_structure(workflow: Workflow) -> tuple[tuple[Problem, ...], frozenset[str]]:
    """Return the problems that no file could have, and the names of the nodes that have them."""
    if len(workflow.nodes) > NODES_MAX:
        return (), frozenset()
    fields = Fields()
    chosen = _chosen(workflow.nodes)
    for name in [name for name, node in chosen.items() if not _can_be_written(node, name, fields)]:
        del chosen[name]
        fields.broken.add(name)
    if workflow.nodes and not chosen:  # a workflow without nodes would be reported, too
        chosen = {"node": ControlNode(control="merge", after=("node",))}
    some = msgspec.structs.replace(workflow, nodes=chosen, edges=())
    try:
        read_tree(write_tree(some), fields, connected={edge.target for edge in workflow.edges})
    except _NOT_WRITTEN as error:
        message = (
            error.message if isinstance(error, SymphonyError) else "it holds something that is not a value"
        )
        fields.findings.add("type-mismatch", "", message, _PLAIN_DATA)
    return tuple(fields.findings.found), frozenset(fields.broken)


def _chosen(nodes: Mapping[str, Node]) -> dict[str, Node]:
    """Return the nodes to check closely: those with odd names, options or nested values."""
    good = set[str]()
    if all_legal(nodes):
        return {name: node for name, node in nodes.items() if not _is_plain(node, good)}
    return {
        name: node
        for name, node in nodes.items()
        if not NAME.fullmatch(name) or name in RESERVED or not _is_plain(node, good)
    }


def _is_plain(node: Node, good: set[str]) -> bool:
    """True if a node needs no close check. `good` has the names of inputs that are known to be valid."""
    if type(node) is ControlNode or _options_of(node) != _NO_OPTIONS:
        return False
    for key, value in node.inputs.items():
        if key not in good:
            if not NAME.fullmatch(key):
                return False
            good.add(key)
        if not (_SIMPLE.issuperset(map(type, value)) if type(value) is list else type(value) in _SIMPLE):
            return False
    return True


def _can_be_written(node: Node, name: str, fields: Fields) -> bool:
    try:
        write_node(node)
    except _NOT_WRITTEN as error:
        message = (
            error.message if isinstance(error, SymphonyError) else "it holds something that is not a value"
        )
        fields.findings.add("type-mismatch", child("nodes", name), message, _PLAIN_DATA)
        return False
    return True
