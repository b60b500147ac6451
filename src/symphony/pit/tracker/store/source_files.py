"""The places of a run's nodes in the files that it was read from."""

from collections.abc import Mapping
from typing import NamedTuple

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.names import parts_of
from symphony.pit.tracker.store.documents import Recorded
from symphony.pit.tracker.store.journal import RunMeta
from symphony.ports.runs import NodePlace
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.model import ControlNode, Node, SubWorkflowNode, Workflow


class _Graph(NamedTuple):
    """The nodes of a workflow or of a loop's body, and where they stand in their file."""

    nodes: Mapping[str, Node]
    place: str
    file: str
    digest: str
    children: Recorded


class SourceFiles:
    """Finds nodes by their full names. Nothing is looked up before that.

    `read` are the files that this process has read, by path. Any other is read when it is asked about, and
    gives lines only while it is what it was at the start of the run: its digest tells.
    """

    def __init__(
        self,
        workflow: Workflow,
        meta: RunMeta,
        children: Recorded,
        read: Mapping[str, DocumentReading] | None = None,
    ) -> None:
        self._workflow, self._meta, self._children = workflow, meta, children
        self._read: dict[str, DocumentReading] = dict(read or {})

    def of_key(self, key: str) -> NodePlace | None:
        """Where a key of the run's own workflow stands; None if that came from no file. Blocking."""
        if self._meta.source is None:
            return None
        return self._placed(self._meta.source, self._meta.digest, key)

    def of_output(self, name: str) -> NodePlace | None:
        """Where an output of the run's own workflow stands; None if that came from no file. Blocking."""
        return self.of_key(f"outputs.{name}")

    def of(self, name: str) -> NodePlace | None:
        """Where the node of a step stands; None if the workflow came from no file. Blocking."""
        meta, parts = self._meta, parts_of(name)
        if meta.source is None or not parts:
            return None
        graph: _Graph | None = _Graph(self._workflow.nodes, "nodes", meta.source, meta.digest, self._children)
        for part in parts[:-1]:
            graph = None if graph is None else _inside(graph, part.node)
        if graph is None or parts[-1].node not in graph.nodes or not graph.file:
            return None
        return self._placed(graph.file, graph.digest, f"{graph.place}.{parts[-1].node}")

    def _placed(self, file: str, digest: str, place: str) -> NodePlace:
        line, column = self._position(file, digest, place) or (None, None)
        return NodePlace(file=file, place=place, line=line, column=column)

    def _position(self, file: str, digest: str, place: str) -> tuple[int, int] | None:
        found = self._read.get(file)
        if found is None and digest:
            from symphony.workflow.files import read

            try:
                now = read(file)
            except (SymphonyError, OSError):
                return None
            if now.digest == digest:
                found = self._read[file] = now.located_only()
        return None if found is None else found.locate(place)


def changed_files(meta: RunMeta) -> list[str]:
    """Which files of a run's workflow and its sub-workflows say something else than when it began. Blocking.

    A file that is gone or cannot be read has not changed, and nothing is known of runs whose files were
    not recorded.
    """
    recorded = [(meta.source, meta.digest), *((child.source, child.digest) for child in meta.children)]
    return [file for file, digest in recorded if file and digest and _digest(file) not in (digest, None)]


def _digest(file: str) -> str | None:
    from symphony.workflow.files import read

    try:
        return read(file).digest
    except (SymphonyError, OSError):
        return None


def _inside(graph: _Graph, name: str) -> _Graph | None:
    """The graph inside a node."""
    node = graph.nodes.get(name)
    if isinstance(node, ControlNode) and node.body is not None:
        return graph._replace(nodes=node.body, place=f"{graph.place}.{name}.body")
    index = graph.children.references.get(node.workflow) if isinstance(node, SubWorkflowNode) else None
    if index is None or not isinstance(node, SubWorkflowNode):
        return None
    document, below = graph.children.documents[index], graph.children(node.workflow)
    if below is None:
        return None
    children = graph.children.child(node.workflow)
    return _Graph(below.nodes, "nodes", document.source, document.digest, children)
