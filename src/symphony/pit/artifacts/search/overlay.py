"""What has been put since the index was committed: a small index in memory that lies over it."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.indexed import Indexed, commit, replace
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from tantivy import IndexWriter

OVERLAID_MAX: Final = 500
OVERLAID_BYTES_MAX: Final = 16 << 20
"""More is not looked at before a search answers."""
_HEAP_BYTES: Final = 16 << 20


class Overlay:
    """The artifacts that have changed, as they are now. `hidden` are those: what lies below has them wrong.

    `full`: more have changed than fit, and the oldest of them are left to what lies below.
    """

    def __init__(self) -> None:
        self.hidden: dict[Digest, int] = {}
        self.full = False
        self._indexed: Indexed | None = None
        self._writer: IndexWriter | None = None

    @property
    def indexed(self) -> Indexed | None:
        """The index, None if it has nothing."""
        return self._indexed if self.hidden else None

    def take(self, digests: Iterable[Digest], entries: Entries) -> None:
        """Look at artifacts again that have changed, the last ones last."""
        found = list(digests)
        if not found:
            return
        if self._indexed is None or self._writer is None:
            self._indexed = Indexed(None)
            self._writer = self._indexed.writer(_HEAP_BYTES)
        for digest in found:
            self.hidden.pop(digest, None)
        size, taken = sum(self.hidden.values()), dict[Digest, int]()
        for digest in reversed(found):
            if size > OVERLAID_BYTES_MAX or len(taken) >= OVERLAID_MAX:
                self.full = True
                break
            facts = entries.find(digest)
            entry = None if facts is None else entries.entry(facts)
            replace(self._writer, digest, entry)
            taken[digest] = 0 if entry is None else entry.bytes
            size += taken[digest]
        for digest in found[: len(found) - len(taken)]:
            replace(self._writer, digest, None)
        self.hidden |= dict(reversed(taken.items()))
        while len(self.hidden) > OVERLAID_MAX:
            oldest = next(iter(self.hidden))
            del self.hidden[oldest]
            replace(self._writer, oldest, None)
            self.full = True
        commit(self._writer, None)
        self._indexed.refresh()
