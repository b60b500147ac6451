"""How nodes fail on account of the engine, not of what their operators raise. Pure."""

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.work import Work
from symphony.ports.artifacts import StorageFull


class NotStored(Exception):
    """A node has done its work, and there is no room for what it gave: no failure of the node."""

    def __init__(self, why: StorageFull) -> None:
        super().__init__(str(why))
        self.why = why


def too_late(work: Work) -> SymphonyError:
    """An attempt, a delay or a graph inside the node took longer than its `timeout`."""
    late = f"it took longer than {work.node.timeout}"
    return SymphonyError(late, code="timeout", hint="raise timeout, or retry")
