"""The readable parts of a workflow file, and their places in the file. Values only."""

from collections.abc import Mapping

import msgspec

from symphony.workflow.documents import Position, Positions, Tree
from symphony.workflow.model import Workflow
from symphony.workflow.problems import Problem


class DocumentReading(msgspec.Struct, frozen=True):
    """The result of reading a document.

    `workflow` holds all that is sound, and is None if nothing is. `problems` are those of
    structure, in document order. `broken` names nodes that are there but could not be read.
    `tree` is the document itself, `body` the bytes that it was read from.
    """

    workflow: Workflow | None
    problems: tuple[Problem, ...]
    broken: frozenset[str] = frozenset()
    positions: Positions | None = None
    aliases: Mapping[str, str] = msgspec.field(default_factory=dict)
    tree: Tree = None
    body: bytes = b""

    @property
    def digest(self) -> str:
        """A digest that tells whether a file has the same content as this one."""
        from hashlib import sha256  # plain validation never gets here

        return sha256(self.body).hexdigest()

    def located_only(self) -> "DocumentReading":
        """Return what is needed to locate places, without the rest."""
        return DocumentReading(None, (), positions=self.positions, aliases=self.aliases)

    def locate(self, place: str) -> Position | None:
        """Line and column of a place, or of the nearest thing around it; None if nothing is known."""
        if self.positions is None:
            return None
        return self.positions.of(self._as_written(place))

    def _as_written(self, place: str) -> str:
        """Return where a place of the model is in the document. Nodes may be written as steps."""
        if not self.aliases:
            return place
        cut = len(place)
        while cut > 0:
            written = self.aliases.get(place[:cut])
            if written is not None:
                rest = place[cut:]
                return written + (f".needs{rest[6:]}" if written[0] == "s" and rest[:6] == ".after" else rest)
            cut = max(place.rfind(".", 0, cut), place.rfind("[", 0, cut))
        return place

    def located(self, problem: Problem) -> Problem:
        """Return the problem with its line and column, if they are known."""
        if problem.line is not None:
            return problem
        found = self.locate(problem.place)
        return problem if found is None else msgspec.structs.replace(problem, line=found[0], column=found[1])
