"""The schema versions that keys of workflow files came with, and the one a document needs. Pure.

A key that is new since the last release has a line in `SINCE`. Documents of every version may use
every key; the version that is written tells older programs whether they know all that is in it.
"""

from collections.abc import Mapping
from typing import Final

from symphony.workflow.documents.tree import Tree
from symphony.workflow.migrations import OLDEST

SINCE: Final[Mapping[str, Mapping[str, int]]] = {
    "workflow": {"operators": 2, "on_finish": 2},
    "node": {"fail_fast": 2, "label": 2},
    "on_finish": {"command": 2, "url": 2},
}
"""The version of each newer key, by table (as in `json_schema.TABLES`) and key. All others are in every
version.
"""


def version_needed(document: Mapping[str, Tree]) -> int:
    """Return the lowest schema version that has every key of `document`, which is spelled with `nodes`."""
    return max(_newest(document, SINCE["workflow"]), _of_nodes(document.get("nodes"), SINCE["node"]))


def _of_nodes(nodes: Tree, since: Mapping[str, int]) -> int:
    """Return the version that the nodes need, including those inside loops."""
    version = OLDEST
    if isinstance(nodes, dict):
        for node in nodes.values():
            if isinstance(node, dict):
                version = max(version, _newest(node, since), _of_nodes(node.get("body"), since))
    return version


def _newest(tree: Mapping[str, Tree], since: Mapping[str, int]) -> int:
    return max((since[key] for key in since if key in tree), default=OLDEST)
