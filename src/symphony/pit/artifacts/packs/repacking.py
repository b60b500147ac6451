"""Rewrites packs of which most is not needed any more. A crash at any point loses nothing.

What is needed goes to another pack and is durable there before the index says so, and the index is durable
before the old pack is deleted. A reader that has it open goes on; one that looks for it finds the new place.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from symphony.commons.filesystem import release_lock
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.encryption.errors import EncryptionKeyMissing, EncryptionKeyWrong
from symphony.pit.artifacts.packs.away import AwayReader
from symphony.pit.artifacts.packs.files import PackLost, PackReader
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES, ItemKind, Lost, PackFrame, frames
from symphony.pit.artifacts.packs.framing import PendingFrame
from symphony.pit.artifacts.packs.grouping import needed, regroup
from symphony.pit.artifacts.packs.index import PackIndex, Row
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.scanning import ItemDamaged, raw_of
from symphony.ports.object_storage import StorageRefused, StorageUnreachable
from symphony.ports.retention import Tier

LIVE_SHARE_MIN = 0.5
SMALL_BYTES = 8 << 20
SMALL_MANY = 16
_BATCH_BYTES = 16 << 20

logger = logging.getLogger(__name__)


def repack(
    packs: Packs,
    exclusively: Callable[[], AbstractContextManager[None]],
    *,
    live_share_min: float = LIVE_SHARE_MIN,
) -> int:
    """Rewrite packs of which less than a share is needed; by how many bytes all packs are shorter.

    `exclusively` keeps others from adding and forgetting meanwhile; it is entered for one pack at a time.
    Packs that others append to are left alone. Raises StorageFull, IoFailed.
    """
    packs.release()
    live, before = packs.ask(lambda index: index.live_bytes()), packs.files.sizes()
    small = _small(packs, before)
    for name, (number, _) in packs.ask(lambda index: index.packs()).items():
        needed, there = live.get(number, 0), before.get(name, 0) - PACK_HEAD_BYTES
        if there > 0 and (needed < there * live_share_min or name in small):
            try:
                regroup(packs, name, exclusively)
                with exclusively():
                    rewrite(packs, name)
            except (StorageUnreachable, StorageRefused) as error:
                logger.warning("packs outside are not rewritten for now: %s", error)
                break
            except (EncryptionKeyMissing, EncryptionKeyWrong) as error:
                logger.warning("packs are not rewritten for now: %s", error)
                break
    return sum(before.values()) - sum(packs.files.sizes().values())


def _small(packs: Packs, sizes: Mapping[str, int]) -> set[str]:
    """The packs outside that should become one, since each process sends what it has, however little."""
    found = {name for name in packs.files.away.names() if sizes.get(name, SMALL_BYTES) < SMALL_BYTES}
    return found if len(found) >= SMALL_MANY else set()


def rewrite(packs: Packs, name: str, *, lossy: bool = False) -> bool:
    """Move what is needed out of one pack and delete it; False if it is in use, or that loses something.

    With `lossy`, chunks that are damaged are given up.
    """
    locked = packs.files.locked(name)
    if locked is None:
        return False
    try:
        number = packs.caught_up(locked)
        with io_errors(f"rewrite pack {name}"):
            try:
                if not packs.files.is_only_away(name) or packs.ask(lambda index: index.holds(number)):
                    _move(packs, name, number, packs.reader(name), lossy=lossy)
            except ItemDamaged as why:
                logger.warning("pack %s cannot be rewritten: an artifact in it is damaged: %s", name, why)
                return False
            except PackLost as why:
                logger.warning("pack %s cannot be rewritten: %s", name, why)
                return False

            def forget(index: PackIndex) -> None:
                with index.changes(durable=True):
                    index.forget_pack(number)

            packs.ask(forget)
            packs.files.unlink(name)
    finally:
        release_lock(locked.fd)
    return True


def _give_up(packs: Packs, rows: list[Row], *, lossy: bool) -> None:
    """Forget chunks whose frame is damaged. Raises ItemDamaged unless nothing else is lost."""
    if not rows:
        return
    if not lossy or any(row.kind != ItemKind.CHUNK for row in rows):
        raise ItemDamaged("its bytes have changed")

    def forget(index: PackIndex) -> None:
        with index.changes():
            for row in rows:
                index.remove(row.digest, row.kind)

    packs.ask(forget)


def _move(packs: Packs, name: str, number: int, reader: PackReader | AwayReader, *, lossy: bool) -> None:
    tier = Tier.HOT if packs.files.tier(name) is Tier.HOT else Tier.WARM
    batch, places, size = list[PendingFrame](), list[Row](), 0
    for frame in frames(name, reader.read, PACK_HEAD_BYTES, reader.size()):
        if isinstance(frame, Lost):
            _give_up(packs, needed(packs, frame.frame, number), lossy=lossy)
        rows = needed(packs, frame, number) if isinstance(frame, PackFrame) else []
        if not rows or not isinstance(frame, PackFrame):
            continue
        batch.append(_kept(packs, reader, frame, rows, warm=tier is Tier.WARM))
        places += rows
        size += len(batch[-1].payload)
        if size > _BATCH_BYTES:
            packs.move(batch, places, tier)
            batch, places, size = [], [], 0
    if batch:
        packs.move(batch, places, tier)


def _kept(
    packs: Packs, reader: PackReader | AwayReader, frame: PackFrame, rows: list[Row], *, warm: bool
) -> PendingFrame:
    """A frame of those items of another one that are needed. Raises ItemDamaged, OSError."""
    raw = raw_of(reader, frame)
    if len(rows) == len(frame.items):
        return packs.framing.framed_again(frame, reader.read(frame.offset + frame.head, frame.stored))
    items = [frame.items[row.number] for row in rows]
    parts = [(item, raw[item.start : item.start + item.length]) for item in items]
    return packs.framing.framed_items(parts, warm=warm)
