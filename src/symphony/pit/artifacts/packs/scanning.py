"""Reads packs from end to end: what the index is made of."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from symphony.pit.artifacts.encryption.core.payloads import PayloadTampered
from symphony.pit.artifacts.packs.away import AwayReader, PackLost
from symphony.pit.artifacts.packs.codecs import PayloadDamaged, decoded
from symphony.pit.artifacts.packs.files import PackReader
from symphony.pit.artifacts.packs.frames import (
    DEAD,
    ENCRYPTED,
    PACK_HEAD_BYTES,
    Item,
    ItemKind,
    PackFrame,
    frames,
)
from symphony.pit.artifacts.packs.index import Row
from symphony.pit.artifacts.packs.manifests import Manifest, ManifestDamaged


class ItemAbsent(Exception):
    """The packs do not have this item."""


class ItemDamaged(Exception):
    """An item is not what was stored."""


class ItemTampered(ItemDamaged):
    """An item is whole, and yet not what was encrypted: somebody changed it, and made it look right."""


class ItemFar(Exception):
    """An item is outside of the home, and was not asked for there."""


@contextmanager
def lost_is_damaged() -> Iterator[None]:
    """A pack that is not where it should be as damage."""
    try:
        yield
    except PackLost as why:
        raise ItemDamaged(str(why)) from why


Manifests: TypeAlias = dict[bytes, Manifest]


class Scanned(NamedTuple):
    """What was found in a pack: `end` is where its last sound frame ends."""

    end: int
    rows: list[Row]
    manifests: Manifests


def scan(
    name: str,
    number: int,
    reader: PackReader | AwayReader,
    start: int,
    touched: float,
    dead: Collection[tuple[int, int]] = (),
) -> Scanned:
    """Everything in a pack from `start` on that is alive and sound, but for items that are known to be dead.

    Those are given by the offset of their frame and their number in it. Raises OSError.
    """
    size = reader.size()
    start = max(start, min(PACK_HEAD_BYTES, size))
    found = Scanned(start, [], {})
    for frame in frames(name, reader.read, start, size):
        if not isinstance(frame, PackFrame):
            continue
        found = found._replace(end=frame.end)
        for place, item in enumerate(frame.items):
            if item.state == DEAD or (frame.offset, place) in dead:
                continue
            if item.kind == ItemKind.MANIFEST:
                try:
                    found.manifests[item.digest] = Manifest.decoded(item_of(reader, frame, item), item.size)
                except (ItemDamaged, ManifestDamaged):
                    continue
            found.rows.append(row_of(frame, item, place, number, touched))
    return found


def row_of(frame: PackFrame, item: Item, place: int, pack: int, touched: float) -> Row:
    """Where an item is, for the index."""
    stored = (frame.end - frame.offset) * (item.length + 1) // (frame.raw + len(frame.items))
    return Row(item.digest, item.kind, pack, frame.offset, place, stored, item.size, 0, touched)


def raw_of(reader: PackReader | AwayReader, frame: PackFrame, known: bytes = b"") -> bytes:
    """The raw payload of a frame, of which the first bytes may be known.

    Raises ItemDamaged, ItemTampered, OSError, and what is wrong with the key.
    """
    payload = known[frame.head : frame.head + frame.stored]
    if len(payload) < frame.stored:
        payload += reader.read(frame.offset + frame.head + len(payload), frame.stored - len(payload))
    if not frame.intact(payload):
        raise ItemDamaged("its bytes have changed")
    try:
        if frame.encrypted:
            payload = reader.keys.decrypt(payload, frame.bound)
        return decoded(frame.codec & ~ENCRYPTED, payload, frame.raw)
    except PayloadTampered as error:
        raise ItemTampered(f"somebody has tampered with it: {error}") from error
    except PayloadDamaged as error:
        raise ItemDamaged(str(error)) from error


def item_of(reader: PackReader | AwayReader, frame: PackFrame, item: Item) -> bytes:
    """One item of a frame. Raises ItemDamaged, OSError."""
    return raw_of(reader, frame)[item.start : item.start + item.length]
