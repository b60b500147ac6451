"""The graphs inside the nodes of a workflow: bodies of loops, and sub-workflows."""

from typing import Protocol

from symphony.commons.errors import SymphonyError
from symphony.workflow.model import ControlNode, Node, SubWorkflowNode, Workflow


class SubWorkflows(Protocol):
    """Finds the workflows that nodes of kind `workflow` name."""

    def __call__(self, reference: str, /) -> Workflow | None: ...
    def child(self, reference: str, /) -> "SubWorkflows":
        """Return the finder for names used inside the workflow that `reference` names."""
        ...


class Nested:
    """A workflow with the bodies of its loops and, as far as `resolve` gives them, its sub-workflows.

    A path names a node by the nodes around it: `loop.parse` is the node `parse` in the body of `loop`.
    """

    def __init__(self, workflow: Workflow, resolve: SubWorkflows | None = None) -> None:
        self.workflow = workflow
        self._resolvers: dict[str, SubWorkflows | None] = {"": resolve}
        self._inside: dict[str, Workflow | None] = {"": workflow}

    def node(self, path: str) -> Node | None:
        """Return the node at `path`; None where it is not known."""
        head, _, last = path.rpartition(".")
        around = self.inside(head)
        return None if around is None else around.nodes.get(last)

    def inside(self, path: str) -> Workflow | None:
        """Return the graph inside the node at `path`, or the whole workflow if `path` is empty.

        None for a node without a graph, and for one whose file cannot be read or contains itself.
        """
        if path not in self._inside:
            self._inside[path] = self._opened(path, self.node(path))
        return self._inside[path]

    def _opened(self, path: str, node: Node | None) -> Workflow | None:
        resolve = self._resolvers.get(path.rpartition(".")[0])
        if isinstance(node, ControlNode) and node.body is not None:
            self._resolvers[path] = resolve
            return Workflow(name=path, nodes=node.body)
        if isinstance(node, SubWorkflowNode) and resolve is not None:
            try:
                found = resolve(node.workflow)
                self._resolvers[path] = None if found is None else resolve.child(node.workflow)
            except SymphonyError:
                return None
            return found
        return None
