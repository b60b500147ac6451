"""What the journal says of slots that wait for grants: for what, why, and when. Pure."""

from typing import TypeAlias

from symphony.pit.tracker.core.records import GrantedRecord, QueuedRecord
from symphony.ports.insight import queued_for

Span: TypeAlias = tuple[float, float]
"""From when until when, in epoch seconds."""


class Queues:
    """The queued slots of a run, and the times for which slots were queued."""

    def __init__(self) -> None:
        self.last: dict[int, QueuedRecord] = {}  # by slot, the record that it is queued by
        self.spans: dict[int, list[Span]] = {}  # by slot, the times that are over

    def note(self, record: QueuedRecord | GrantedRecord) -> None:
        """The slot begins to wait, or may go on."""
        if isinstance(record, QueuedRecord):
            self.last[record.slot] = record
        else:
            self.leave(record.slot, record.at)

    def leave(self, slot: int, at: float) -> None:
        """The slot waits no longer, if it did."""
        if self.last and (begun := self.last.pop(slot, None)) is not None:
            self.spans.setdefault(slot, []).append((begun.at, max(begun.at, at)))

    def lose(self, at: float) -> None:
        """The process has ended: whatever was queued then is queued again by the next one."""
        for slot in list(self.last):
            self.leave(slot, at)

    def told(self, slot: int) -> str | None:
        """Return for what a queued slot waits and why, in words; None before a process queued it again."""
        record = self.last.get(slot)
        if record is None:
            return None
        before = f", {record.before} before it" if record.before else ""
        return f"{queued_for(record.kind, record.resource)}{record.reason}{before}"
