"""Keeps the index in a folder up to date with its store. One process at a time does; readers go on."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from symphony.commons.errors import IoFailed
from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.search.changes import ChangeLog, LogPlace, StoreChanges
from symphony.pit.artifacts.search.core.words import term
from symphony.pit.artifacts.search.entries import Entries
from symphony.pit.artifacts.search.files import IndexFiles, SearchIndexBroken
from symphony.pit.artifacts.search.indexed import Indexed, commit, forget, replace
from symphony.pit.artifacts.search.schema import IndexMark, key_of
from symphony.ports.artifacts import ArtifactRecord, ArtifactStore
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from tantivy import IndexWriter

logger = logging.getLogger(__name__)

HEAP_BYTES: Final = 64 << 20
BATCH: Final = 2_000
BATCH_BYTES: Final = 32 << 20
_ROUNDS_MAX: Final = 100


class IndexBuilder:
    """Builds the index of one store. `progress` is told how many artifacts were looked at.

    It may be killed at any moment: what was committed is whole and says up to where it has read.
    """

    def __init__(
        self,
        store: ArtifactStore,
        entries: Entries,
        changes: ChangeLog,
        files: IndexFiles,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._store, self._entries, self._changes, self._files = store, entries, changes, files
        self._progress, self._done = progress, 0

    def catch_up(self, *, wait: bool = False) -> int | None:
        """Read all that the store has got; return how many artifacts the index has now.

        None if another process is at it, unless told to `wait`. Raises StorageFull, IoFailed.
        """
        with self._files.writing(wait=wait) as held:
            return self._catch_up() if held else None

    def rebuild(self) -> int:
        """Build the index from nothing; return how many artifacts it has. Waits for others who write."""
        with self._files.writing(wait=True):
            self._files.discard()
            return self._catch_up()

    def _catch_up(self) -> int:
        try:
            return self._read_on()
        except SearchIndexBroken as error:
            self._files.require_room()  # what cannot be written is not broken, and is better than none
            logger.warning("the index %s was unusable (%s): it is built again", self._files.index, error)
        self._files.discard()
        try:
            return self._read_on()
        except SearchIndexBroken as error:
            self._files.require_room()
            raise IoFailed(f"cannot build the index {self._files.index}: {error}") from error

    def _read_on(self) -> int:
        indexed = self._opened()
        mark = indexed.mark()
        if mark is not None and self._entries.refuses(mark.made_by):
            self._files.discard()  # what is only replaced stays in the files for a while
            indexed = self._opened()
        writer = indexed.writer(HEAP_BYTES)
        for _ in range(_ROUNDS_MAX):  # others may put faster than we read: the next one goes on
            if self._round(indexed, writer):
                break
        writer.wait_merging_threads()
        self._files.remember()
        return indexed.count()

    def _opened(self) -> Indexed:
        if self._files.state() is not None:
            self._files.check()
        self._files.make()
        indexed = Indexed(self._files.index)
        if self._files.state() is not None:
            self._files.remember()
        return indexed

    def _round(self, indexed: Indexed, writer: "IndexWriter") -> bool:
        """Take in what is new, or look at everything; True if there was nothing left."""
        mark = indexed.mark()
        changes = None
        if mark is not None and not mark.scanning and mark.made_by == self._entries.made_by:
            changes = self._changes.since(mark.place)
        if mark is None or changes is None:
            self._scan(indexed, writer)
            return False
        if changes.empty and changes.place == mark.place:
            return True
        if changes.empty and changes.place.offset - mark.place.offset < 1 << 16:
            return True  # lines that change nothing are not worth a commit
        self._apply(indexed, writer, changes)
        return False

    def _apply(self, indexed: Indexed, writer: "IndexWriter", changes: StoreChanges) -> None:
        used = self._store.sources_of(changes.inputs)
        for digest in touched(changes, [indexed], indexed.has, used):
            facts = self._entries.find(digest)
            replace(writer, digest, None if facts is None else self._entries.entry(facts))
            self._told()
        self._commit(indexed, writer, changes.place, scanning=False)

    def _scan(self, indexed: Indexed, writer: "IndexWriter") -> None:
        """Compare all that is stored with what is indexed; take in what differs."""
        place = self._changes.end()
        self._commit(indexed, writer, place, scanning=True)
        known, size, waiting = _Prints(indexed.prints()), 0, 0
        for record in self._records():
            facts = self._entries.facts(record)
            if known.seen(key_of(record.digest), self._entries.print_of(facts)):
                continue
            entry = self._entries.entry(facts)
            replace(writer, record.digest, entry)
            self._told()
            size, waiting = size + (0 if entry is None else entry.bytes), waiting + 1
            if waiting >= BATCH or size >= BATCH_BYTES:
                self._commit(indexed, writer, place, scanning=True)
                size = waiting = 0
        forget(writer, known.unseen())
        self._commit(indexed, writer, place, scanning=False)

    def _records(self) -> Iterator[ArtifactRecord]:
        for record in self._store.records(limit=INTEGER_MAX):
            if self._entries.shown(record):
                yield record

    def _commit(self, indexed: Indexed, writer: "IndexWriter", place: LogPlace, *, scanning: bool) -> None:
        with self._files.committing():
            commit(writer, IndexMark(place=place, made_by=self._entries.made_by, scanning=scanning))
        indexed.refresh()

    def _told(self) -> None:
        self._done += 1
        self._progress(self._done)


class _Prints:
    """The prints of all documents by key, in 17 bytes each."""

    def __init__(self, known: Iterable[tuple[int, int]]) -> None:
        import numpy as np

        pairs = sorted(known)
        self._keys: np.ndarray = np.array([key for key, _ in pairs], dtype=np.uint64)
        self._prints: np.ndarray = np.array([told for _, told in pairs], dtype=np.uint64)
        self._seen: np.ndarray = np.zeros(len(pairs), dtype=bool)

    def seen(self, key: int, told: int) -> bool:
        """Note that there is such an artifact; True if its document is up to date."""
        import numpy as np

        at = int(np.searchsorted(self._keys, np.uint64(key)))
        if at >= len(self._keys) or int(self._keys[at]) != key:
            return False
        self._seen[at] = True
        return int(self._prints[at]) == told

    def unseen(self) -> list[int]:
        """Return the keys of documents whose artifacts are gone."""
        return [int(key) for key in self._keys[~self._seen]]


def touched(
    changes: StoreChanges,
    indexes: Sequence[Indexed],
    known: Callable[[Digest], bool],
    used: Collection[Digest],
) -> list[Digest]:
    """Return the artifacts whose documents may have changed, the last ones last.

    `known` tells whether an artifact has a document now, `used` of which something was made.
    """
    found = dict.fromkeys(sorted(used))
    for run in changes.unlinked:
        for indexed in indexes:
            found |= dict.fromkeys(indexed.having("run", term(run)))
    for tag in changes.tags:
        for indexed in indexes:
            found |= dict.fromkeys(indexed.having("tag", term(tag)))
    for digest in changes.read:
        if not known(digest):
            found[digest] = None
    return list({**{one: None for one in found if one not in changes.digests}, **changes.digests})
