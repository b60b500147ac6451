"""Moves bodies between tiers: which of their parts go, and in which order they lie together."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from itertools import islice

from symphony.pit.artifacts.bodies.bodies import Bodies, body_key
from symphony.pit.artifacts.packs.files import PackGone
from symphony.pit.artifacts.packs.frames import ItemKind
from symphony.pit.artifacts.packs.grouping import Grouping, take_frames
from symphony.pit.artifacts.packs.index import PackIndex, Row
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.scanning import ItemAbsent, ItemDamaged
from symphony.pit.artifacts.packs.sending import send_cold
from symphony.ports.retention import Tier
from symphony.ports.values import Digest

_LOOKED_UP = 256

logger = logging.getLogger(__name__)


class DigestSet:
    """Digests of chunks, however many: they are in a file without a name if they do not fit into memory."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute("CREATE TABLE found (digest BLOB PRIMARY KEY) WITHOUT ROWID")

    def add(self, digests: Iterable[bytes]) -> None:
        """Take in digests, some of which may be there."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT OR IGNORE INTO found VALUES (?)", ((one,) for one in digests))
        self._db.execute("COMMIT")

    def take(self, digest: bytes) -> bool:
        """Add a digest; False if it was there."""
        return self._db.execute("INSERT OR IGNORE INTO found VALUES (?)", (digest,)).rowcount > 0

    def __contains__(self, digest: bytes) -> bool:
        query = "SELECT 1 FROM found WHERE digest = ?"
        return self._db.execute(query, (digest,)).fetchone() is not None

    def __len__(self) -> int:
        (count,) = self._db.execute("SELECT count(*) FROM found").fetchone()
        return int(count)

    def close(self) -> None:
        """Forget them all."""
        self._db.close()


class BodyTiers:
    """Moves bodies of a store; `exclusively` keeps others from putting and deleting for a moment each.

    A crash at any point loses nothing. Raises StorageFull, IoFailed, and what is wrong with the key.
    """

    def __init__(self, bodies: Bodies, exclusively: Callable[[], AbstractContextManager[None]]) -> None:
        self._packs, self._exclusively = bodies.packs, exclusively

    def cool(self, digests: Iterable[Digest], hotter: Iterable[Digest]) -> int:
        """Move bodies to the warm tier, those that are similar next to each other; how many items moved.

        A part that one of the bodies `hotter` has as well stays where it is.
        """
        grouping = Grouping(self._packs, self._exclusively, Tier.WARM)
        tiers = self._packs.tiers()
        with closing(_Shared(self._packs, hotter)) as shared:
            for row in self._rows(digests):
                for item in self._parts(row, shared):
                    if tiers.get(item.pack) is Tier.HOT:
                        grouping.add(item)
            grouping.end()
        return grouping.moved

    def freeze(self, digests: Iterable[Digest], hotter: Iterable[Digest]) -> int:
        """Move bodies to the cold tier: into packs of their own, which are sent; how many items moved.

        What is warm already stays compressed as it is, where all of its frame goes. Raises
        StorageUnreachable and StorageRefused too.
        """
        away = self._packs.files.away
        assert away.cold is not None
        away.check(away.cold)
        grouping = Grouping(self._packs, self._exclusively, Tier.COLD)
        tiers = self._packs.tiers()
        with closing(_Shared(self._packs, hotter)) as shared, closing(DigestSet()) as warm:
            for row in self._rows(digests):
                for item in self._parts(row, shared):
                    match tiers.get(item.pack):
                        case Tier.HOT:
                            grouping.add(item)
                        case Tier.WARM:
                            warm.add([item_key(item)])
                        case _:
                            pass
            for name, (number, _) in self._packs.ask(lambda index: index.packs()).items():
                if len(warm) and tiers.get(number) is Tier.WARM:
                    with suppress(PackGone):
                        take_frames(grouping, self._packs, name, lambda row: item_key(row) in warm)
            grouping.end()
        send_cold(self._packs, self._packs.begun())
        return grouping.moved

    def raise_up(self, digests: Iterable[Digest]) -> int:
        """Move bodies to the hot tier; how many items moved."""
        grouping = Grouping(self._packs, self._exclusively, Tier.HOT)
        for row in sorted(self._rows(digests), key=lambda row: row.place):
            for item in self._parts(row, None):
                if self._packs.tier(item) is not Tier.HOT:
                    grouping.add(item)
        grouping.end()
        return grouping.moved

    def _rows(self, digests: Iterable[Digest]) -> Iterator[Row]:
        for digest in digests:
            if (row := self._packs.find(body_key(digest))) is not None:
                yield row

    def _parts(self, row: Row, shared: "_Shared | None") -> Iterator[Row]:
        """The chunks of a body that go with it, and its list of them; or the body itself."""
        if row.kind == ItemKind.MANIFEST:
            try:
                for chunk in chunks_of(self._packs, row):
                    if shared is None or chunk.refs <= 1 or shared.goes(chunk.digest):
                        yield chunk
            except (ItemAbsent, ItemDamaged) as why:
                logger.warning("artifact %s is left where it is: %s", row.digest.hex(), why)
                return
        yield row


class _Shared:
    """Which of the chunks that several bodies have go: those that no hotter one has, each once."""

    def __init__(self, packs: Packs, hotter: Iterable[Digest]) -> None:
        self._packs, self._hotter = packs, hotter
        self._known: DigestSet | None = None

    def goes(self, digest: bytes) -> bool:
        """Return whether a chunk goes, for the first time that is asked."""
        if self._known is None:
            self._known = DigestSet()
            for one in self._hotter:
                self._known.add(self._shared_of(one))
        return self._known.take(digest)

    def close(self) -> None:
        if self._known is not None:
            self._known.close()

    def _shared_of(self, digest: Digest) -> Sequence[bytes]:
        row = self._packs.find(body_key(digest))
        if row is None or row.kind != ItemKind.MANIFEST:
            return ()
        try:
            return [chunk.digest for chunk in chunks_of(self._packs, row) if chunk.refs > 1]
        except (ItemAbsent, ItemDamaged):
            return ()  # nobody can read it


def item_key(row: Row) -> bytes:
    """What tells an item from all others."""
    return row.digest + bytes([row.kind])


def chunks_of(packs: Packs, row: Row) -> Iterator[Row]:
    """The chunks that a manifest lists, as far as they are anywhere. Raises ItemAbsent, ItemDamaged."""
    chunks, some = iter(packs.manifest(row)), list[bytes]()

    def places(index: PackIndex) -> Sequence[Row | None]:
        return index.find_all(some, ItemKind.CHUNK)

    while some := [digest for digest, _ in islice(chunks, _LOOKED_UP)]:
        yield from (found for found in packs.ask(places) if found is not None)
