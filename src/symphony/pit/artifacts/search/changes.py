"""What has changed in a store since a place in its log."""

import zlib
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from symphony.pit.artifacts.base.failures import file_lock
from symphony.pit.artifacts.metadata.records import (
    Counting,
    Linked,
    Marked,
    Moved,
    Opened,
    Pinned,
    Record,
    RecordLog,
    Tagged,
    Unlinked,
    Untagged,
    Used,
)
from symphony.ports.values import Digest

_CHECKED: Final = 256
LINES_MAX: Final = 2_000
_LATEST_BYTES: Final = 1 << 20


class LogPlace(msgspec.Struct, frozen=True, array_like=True):
    """A place in a log: behind the line that ends at `offset`. `check` tells what is before it."""

    log: str = ""
    offset: int = 0
    check: int = 0


class StoreChanges(NamedTuple):
    """Bodies of which something has changed, the last ones last, up to `place`.

    `read`: bodies that were read, which takes them out of the trash. `unlinked`: runs whose references are
    gone. `tags`: tags that have moved. `inputs`: values of which something was made.
    """

    digests: dict[Digest, None]
    read: dict[Digest, None]
    unlinked: list[str]
    tags: list[str]
    inputs: set[str]
    place: LogPlace

    @property
    def empty(self) -> bool:
        """True if nothing has changed."""
        return not (self.digests or self.read or self.unlinked or self.tags)  # inputs come with digests


class ChangeLog:
    """Reads the log of the store in `root`. Not thread-safe. Errors: IoFailed."""

    def __init__(self, root: Path) -> None:
        self._root, self._log = root, RecordLog(root / "records.log")

    def present(self) -> tuple[int, int, int] | None:
        """Return what differs whenever the log has changed; None if there is no log."""
        return self._log.present()

    def since(self, place: LogPlace, lines: int = LINES_MAX) -> StoreChanges | None:
        """Return the changes after `place`, or those in so many lines; None if this log has no such place.

        The log is another one after the store has rewritten it, and shorter after a power cut.
        """
        if not self._root.is_dir():
            return StoreChanges({}, {}, [], [], set(), place)
        with file_lock(self._root / "records.lock", exclusive=False), closing(self._log):
            if not self._attached(place):
                return None
            return self._read(place.offset, lines)

    def latest(self) -> StoreChanges:
        """Return the newest changes, whatever was read before."""
        with file_lock(self._root / "records.lock", exclusive=False), closing(self._log):
            if not self._log.attach(write=False):
                return StoreChanges({}, {}, [], [], set(), LogPlace())
            end = (self._log.present() or (0, 0, 0))[2]
            start = max(end - _LATEST_BYTES, 0)
            if start:
                found = self._log.before(end, _LATEST_BYTES)
                start += found.find(b"\n") + 1
            return self._read(start, None)

    def end(self) -> LogPlace:
        """Return the place behind the last line."""
        with file_lock(self._root / "records.lock", exclusive=False), closing(self._log):
            if not self._log.attach(write=False):
                return LogPlace()
            end = (self._log.present() or (0, 0, 0))[2]
            last = self._log.before(end, 1 << 20)
            return self._place(end - len(last) + last.rfind(b"\n") + 1)

    def _attached(self, place: LogPlace) -> bool:
        if not self._log.attach(write=False):
            return place == LogPlace()
        if place == LogPlace():
            return True
        size = (self._log.present() or (0, 0, 0))[2]
        return place.log == self._log.id and place.offset <= size and place == self._place(place.offset)

    def _place(self, offset: int) -> LogPlace:
        return LogPlace(self._log.id, offset, zlib.crc32(self._log.before(offset, _CHECKED)))

    def _read(self, offset: int, lines: int | None) -> StoreChanges:
        found = StoreChanges({}, {}, [], [], set(), LogPlace())
        if not self._log.id:
            return found
        for read in islice(self._log.read(offset), lines):
            if not read.whole:
                break  # it was torn when its writer died, and whoever writes next cuts it off
            offset = read.end
            if read.record is not None:
                _take(read.record, found)
        return found._replace(place=self._place(offset))


def _take(record: Record, found: StoreChanges) -> None:
    match record:
        case Opened() | Marked() | Counting() | Pinned() | Moved():
            pass
        case Used(digests=digests):
            found.read.update(dict.fromkeys(digests))
        case Unlinked(run_id):
            found.unlinked.append(run_id)
        case Untagged(tag=tag):
            found.tags.append(tag)
        case Tagged(tag=tag):
            found.tags.append(tag)  # another body may have had it
            found.digests.pop(record.digest, None)
            found.digests[record.digest] = None
        case _:
            if isinstance(record, Linked):
                found.inputs.update(record.provenance.inputs.values())
            found.digests.pop(record.digest, None)
            found.digests[record.digest] = None
