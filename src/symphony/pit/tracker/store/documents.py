"""The sub-workflows of a run, recorded at its start so that a resume does not depend on changed files."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from symphony.workflow.model import ControlNode, Node, SubWorkflowNode, Workflow

if TYPE_CHECKING:
    from symphony.workflow.files import Resolver


def recorded_form(workflow: Workflow) -> bytes:
    """The canonical JSON of a workflow, as a run's journal keeps it: without the edges that are derived."""
    from symphony.workflow.files import dumps  # listing runs never gets here

    return dumps(workflow, "json", derived=False)


def workflow_of(document: bytes) -> Workflow:
    """Return the workflow from its form in a journal. Raises WorkflowInvalid."""
    from symphony.workflow.files import loads  # listing runs never gets here

    return loads(document, "json")


class ChildDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One sub-workflow: its canonical JSON, the folder of its file, and whom its nodes refer to.

    `references` gives, for each `workflow:` in it, the place of that document in the run's list.
    """

    document: bytes
    base: str
    references: Mapping[str, int] = {}
    source: str = ""
    """The file, and what its bytes were then; empty in runs of earlier versions."""
    digest: str = ""


def record_children(
    workflow: Workflow, resolver: "Resolver", known: dict[int, Workflow] | None = None
) -> tuple[tuple[ChildDocument, ...], Mapping[str, int]]:
    """Every document below a valid workflow, each once, and the workflow's own references.

    `known` gets the workflow of each document, by its place.
    """
    found: list[ChildDocument | None] = []
    places: dict[Path, int] = {}

    def visit(one: Workflow, beside: "Resolver") -> dict[str, int]:
        references: dict[str, int] = {}
        for reference in _references(one.nodes):
            path, below = beside.locate(reference), beside(reference)
            assert path is not None  # validation has seen it
            assert below is not None
            if path not in places:
                places[path] = len(found)
                if known is not None:
                    known[len(found)] = below
                found.append(None)
                inner, reading = visit(below, beside.child(reference)), beside.reading(path)
                found[places[path]] = ChildDocument(
                    document=recorded_form(below),
                    base=str(path.parent),
                    references=inner,
                    source=str(path),
                    digest="" if reading is None else reading.digest,
                )
            references[reference] = places[path]
        return references

    references = visit(workflow, resolver)
    return tuple(one for one in found if one is not None), references


def _references(nodes: Mapping[str, Node]) -> Iterator[str]:
    for node in nodes.values():
        if isinstance(node, SubWorkflowNode):
            yield node.workflow
        elif isinstance(node, ControlNode) and node.body:
            yield from _references(node.body)


class Recorded:
    """Finds sub-workflows among the recorded ones, as a `Resolver` does among files."""

    def __init__(
        self,
        documents: Sequence[ChildDocument],
        references: Mapping[str, int],
        base: str,
        known: dict[int, Workflow] | None = None,
    ) -> None:
        self.documents, self.references, self.base = tuple(documents), references, Path(base)
        self._known = {} if known is None else known

    def __call__(self, reference: str, /) -> Workflow | None:
        """The workflow that `reference` names; the same object each time."""
        place = self.references.get(reference)
        if place is None:
            return None
        if place not in self._known:
            self._known[place] = workflow_of(self.documents[place].document)
        return self._known[place]

    def child(self, reference: str, /) -> "Recorded":
        """Return a finder for the references inside the workflow that `reference` names."""
        one = self.documents[self.references[reference]]
        return Recorded(self.documents, one.references, one.base, self._known)

    def all(self) -> Iterator[Workflow]:
        """Every recorded sub-workflow."""
        return (workflow for workflow, _ in self.placed())

    def placed(self) -> Iterator[tuple[Workflow, Path]]:
        """Every recorded sub-workflow, with the folder of its file."""
        for place, one in enumerate(self.documents):
            if place not in self._known:
                self._known[place] = workflow_of(one.document)
            yield self._known[place], Path(one.base)
