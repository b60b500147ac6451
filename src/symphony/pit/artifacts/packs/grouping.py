"""Stores items again so that similar ones are compressed together, or alone again. A crash loses nothing.

Items are read and compressed while others use the store; the slow part needs no lock. Each batch is then
appended, synced and indexed while nobody adds or forgets: what has left its place by then is left alone. Old
places are marked as dead after that, and `repacking` takes the packs away that they were in.
"""

import hashlib
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, suppress

from symphony.commons.filesystem import release_lock
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.packs.files import PackGone
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES, Item, ItemKind, PackFrame, heads
from symphony.pit.artifacts.packs.framing import PendingFrame
from symphony.pit.artifacts.packs.index import PackIndex, Row
from symphony.pit.artifacts.packs.manifests import Manifest, ManifestDamaged
from symphony.pit.artifacts.packs.packs import ENTRY_BYTES, FRAME_BYTES, TOGETHER_BYTES, Packs
from symphony.pit.artifacts.packs.scanning import ItemAbsent, ItemDamaged
from symphony.ports.retention import Tier

WARM_BYTES = 2 << 20
"""Items of the warm tier are compressed together up to so many bytes: any of them costs that to read."""
_MANIFESTS_BYTES = 256 << 10
_BATCH_BYTES = 2 << 20

logger = logging.getLogger(__name__)


class Grouping:
    """Takes items in the order in which they should lie together; `end` stores the last ones.

    `exclusively` keeps others from adding and forgetting meanwhile. Raises StorageFull, IoFailed.
    """

    def __init__(
        self, packs: Packs, exclusively: Callable[[], AbstractContextManager[None]], tier: Tier
    ) -> None:
        self._packs, self._exclusively, self._tier = packs, exclusively, tier
        self._warm = tier is not Tier.HOT
        self._reading = packs.reading()
        self._groups: dict[int, list[tuple[Row, Item, bytes]]] = {kind: [] for kind in ItemKind}
        self._raw = dict.fromkeys(ItemKind, 0)
        self._frames, self._places, self._size = list[PendingFrame](), list[Row](), 0
        self.moved = 0
        """How many items are in their new places."""

    def add(self, row: Row) -> None:
        """Move the item at a place. What is damaged stays where it is."""
        kind = ItemKind(row.kind)
        try:
            body = self._sound(row, kind)
        except (ItemAbsent, ItemDamaged) as why:
            logger.warning("an item of %s is left where it is: %s", row.digest.hex(), why)
            return
        size = len(body) + ENTRY_BYTES
        if self._groups[kind] and self._raw[kind] + size > self._most(kind):
            self._close(kind)
        self._groups[kind].append((row, Item(row.digest, kind, 0, len(body), row.size), body))
        self._raw[kind] += size

    def add_frame(self, frame: PendingFrame, rows: Sequence[Row]) -> None:
        """Move all items of a frame, compressed as they are."""
        self._frames.append(frame)
        self._places += rows
        self._size += len(frame.payload)
        if self._size > _BATCH_BYTES:
            self._flush()

    def end(self) -> None:
        """Store all that waits."""
        for kind in ItemKind:
            self._close(kind)
        self._flush()

    def _sound(self, row: Row, kind: ItemKind) -> bytes:
        body = self._reading.item(row.digest, kind)
        if kind != ItemKind.MANIFEST and hashlib.sha256(body).digest() != row.digest:
            raise ItemDamaged("its bytes have changed")
        if kind == ItemKind.MANIFEST:
            try:
                Manifest.decoded(body, row.size)
            except ManifestDamaged as why:
                raise ItemDamaged(str(why)) from why
        return body

    def _most(self, kind: ItemKind) -> int:
        """The bytes of one frame."""
        if kind == ItemKind.MANIFEST:
            return _MANIFESTS_BYTES if self._warm else 0
        if self._warm:
            return WARM_BYTES
        return FRAME_BYTES if kind == ItemKind.CHUNK else TOGETHER_BYTES

    def _close(self, kind: ItemKind) -> None:
        group, self._groups[kind] = self._groups[kind], []
        self._raw[kind] = 0
        if not group:
            return
        frame = self._packs.framing.framed_items([(item, body) for _, item, body in group], warm=self._warm)
        self.add_frame(frame, [row for row, _, _ in group])

    def _flush(self) -> None:
        frames, places = self._frames, self._places
        self._frames, self._places, self._size = [], [], 0
        if frames:
            with self._exclusively():
                self.moved += self._packs.move(frames, places, self._tier, mark=True)


def take_frames(grouping: Grouping, packs: Packs, name: str, goes: Callable[[Row], bool]) -> None:
    """Move those items of a pack that go; a frame of which all do stays compressed as it is.

    Raises PackGone, StorageFull, IoFailed.
    """
    number, _ = packs.ask(lambda index: index.packs()).get(name, (0, 0))
    with io_errors(f"read pack {name}"):
        reader = packs.reader(name)
        for frame in heads(name, reader.read, PACK_HEAD_BYTES, reader.size()):
            rows = [row for row in needed(packs, frame, number) if goes(row)]
            payload = b""
            if rows and len(rows) == len(frame.items):
                payload = reader.read(frame.offset + frame.head, frame.stored)
            if payload and frame.intact(payload):
                grouping.add_frame(packs.framing.framed_again(frame, payload), rows)
            else:
                for row in rows:
                    grouping.add(row)


def regroup(packs: Packs, name: str, exclusively: Callable[[], AbstractContextManager[None]]) -> None:
    """Move all that is needed of a pack to other packs, which are warm, unless it is hot or in use.

    So compressing for long holds up nobody. Raises StorageFull, IoFailed.
    """
    number, _ = packs.ask(lambda index: index.packs()).get(name, (0, 0))
    if packs.files.is_only_away(name) and not packs.ask(lambda index: index.holds(number)):
        return  # no need to ask for it
    locked = packs.files.locked(name)  # so that nothing is moved back into it
    if locked is None:
        return
    try:
        with suppress(PackGone):
            if packs.files.tier(name) is not Tier.HOT:
                grouping = Grouping(packs, exclusively, Tier.WARM)
                take_frames(grouping, packs, name, lambda _: True)
                grouping.end()
    finally:
        release_lock(locked.fd)


def needed(packs: Packs, frame: PackFrame, number: int) -> list[Row]:
    """The items of a frame of the pack `number` that are found there, and not in another place."""

    def found(index: PackIndex) -> list[Row]:
        rows = list[Row]()
        for place, item in enumerate(frame.items):
            row = index.find(item.digest, ItemKind(item.kind)) if item.kind in _KINDS else None
            if row is not None and (row.pack, row.offset, row.number) == (number, frame.offset, place):
                rows.append(row)
        return rows

    return packs.ask(found)


_KINDS = frozenset(ItemKind)
