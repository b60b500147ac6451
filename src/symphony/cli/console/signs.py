"""The sign and the colour of each status of a node, the same in every view."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from symphony.ports.runs import NodeStatus


class Sign(NamedTuple):
    """The sign of a status: `plain` where there is no Unicode."""

    unicode: str
    plain: str
    colour: str

    def on(self, *, unicode: bool) -> str:
        """Return the character for a page with Unicode or without."""
        return self.unicode if unicode else self.plain


SIGNS: Final[Mapping[NodeStatus, Sign]] = {
    NodeStatus.SUCCEEDED: Sign("✓", "+", "green"),
    NodeStatus.CACHED: Sign("≡", "=", "cyan"),
    NodeStatus.RUNNING: Sign("●", "*", "blue"),
    NodeStatus.WAITING: Sign("?", "?", "yellow"),
    NodeStatus.PENDING: Sign("○", ".", "dim"),
    NodeStatus.FAILED: Sign("✗", "!", "red"),
    NodeStatus.SKIPPED: Sign("-", "-", "dim"),
    NodeStatus.CANCELLED: Sign("×", "x", "yellow"),
}
"""In the order in which counts are shown."""


def counted(statuses: Mapping[NodeStatus, int], *, unicode: bool) -> str:
    """`553 ✓ 1 ✗`, or `553 succeeded, 1 failed` without Unicode: only what there is."""
    found = [(statuses[status], status) for status in SIGNS if statuses.get(status)]
    if unicode:
        return " ".join(f"{number:,} {SIGNS[status].unicode}" for number, status in found)
    return ", ".join(f"{number:,} {status}" for number, status in found)
