"""Tells in one line what earlier processes of a resumed run have done."""

import re
from typing import Final

from symphony.cli.console import output
from symphony.ports.runs import RunEvent

_ENDS: Final = frozenset({
    "node.finished", "node.cached", "node.skipped", "node.cancelled", "node.failed", "node.decided",
})  # fmt: skip
_INNER: Final = re.compile(r"[\[#.]")


class EarlierEvents:
    """Takes the events before a process went on with the run; knows what had finished, and who is asked."""

    def __init__(self) -> None:
        self._finished: set[str] = set()
        self._asking: dict[str, RunEvent] = {}

    def add(self, event: RunEvent) -> None:
        """One more of them."""
        name = event.node
        if name is None:
            return
        self._asking.pop(name, None)
        self._finished.discard(name)
        if event.type == "node.waiting" and "asks" in event.data:
            self._asking[name] = event
        elif event.type in _ENDS and event.data.get("final") is not False and not _INNER.search(name):
            self._finished.add(name)

    def text(self, nodes: int) -> str:
        """Return the line, of a workflow with so many nodes."""
        return f"run resumed: {len(self._finished):,} of {output.count(nodes, 'node')} had finished"

    def asking(self) -> list[RunEvent]:
        """Return what people are asked still."""
        return [*self._asking.values()]
