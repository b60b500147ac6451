"""What a pack file looks like: a head, then frames of one or more items that are compressed together. Pure.

A frame describes itself, so that the index of all packs can be made of the packs alone:

    magic 4 | codec 1 | reserved 1 | items 2 | stored bytes 4 | raw bytes 4 | CRC-32 of the payload 4 |
    CRC-32 of this head and of the table 4
    for each item: state 1 | kind 1 | SHA-256 32 | raw bytes 4 | bytes of the body 8
    the payload: the items one after the other, compressed, and encrypted if the codec says so

Numbers are little-endian. The checksums begin with the name of the pack, so that a pack inside a body is not
mistaken for a part of the pack that the body is in. Only the states, which are outside of the checksum, are
ever changed in place: an item is alive or dead.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"\xd5SyF"
PACK_MAGIC = b"symphony pack 1\n"
WARM_MAGIC = b"symphony warm 1\n"
"""Of packs of the warm tier. Versions that do not know it read such a pack, and append nothing to it."""
ALIVE, DEAD = 0x00, 0xFF
ENCRYPTED = 0x80
"""Added to the codec of a payload that is encrypted, after it was compressed."""
FRAME_ITEMS_MAX = 0xFFFF
RAW_BYTES_MAX = 0xFFFFFFFF

_HEAD = struct.Struct("<4sBBHIIII")
_ITEM = struct.Struct("<BB32sIQ")
_UNSUMMED = struct.Struct("<4sBBHIII")
_BOUND = struct.Struct("<BHI")
_SEARCHED_BYTES = 1 << 20
_READ_BYTES = 4 << 20

ReadAt = Callable[[int, int], bytes]
"""The bytes of a pack from an offset on, as many as are asked for or there are."""


class ItemKind(IntEnum):
    """A whole body; the list of a body's chunks; a chunk."""

    BODY = 0
    MANIFEST = 1
    CHUNK = 2


class Item(NamedTuple):
    """One thing in a frame: `start` and `length` are its place in the raw payload.

    `size`: the bytes of the body; for a manifest those of the body that it lists.
    """

    digest: bytes
    kind: int
    start: int
    length: int
    size: int
    state: int = ALIVE


class PackFrame(NamedTuple):
    """A frame found at `offset`; its payload has not been looked at."""

    offset: int
    codec: int
    stored: int
    raw: int
    payload_sum: int
    items: tuple[Item, ...]

    @property
    def head(self) -> int:
        """The bytes before the payload."""
        return head_bytes(len(self.items))

    @property
    def end(self) -> int:
        """Where the next frame may begin."""
        return self.offset + self.head + self.stored

    @property
    def encrypted(self) -> bool:
        """Whether its payload is."""
        return bool(self.codec & ENCRYPTED)

    @property
    def bound(self) -> bytes:
        """What its payload is bound to, if that is encrypted."""
        return bound_to(self.codec, self.raw, self.items)

    def intact(self, payload: bytes) -> bool:
        """Return whether `payload` is what was written."""
        return len(payload) == self.stored and zlib.crc32(payload) == self.payload_sum


class Gap(NamedTuple):
    """Bytes that are no sound frame: torn when a writer died, or damaged."""

    start: int
    end: int


class Lost(NamedTuple):
    """A frame whose payload is not what was written. Its bytes are part of a gap."""

    frame: PackFrame


def pack_head(name: str, *, warm: bool = False) -> bytes:
    """Return the first bytes of the pack `name`, 16 hexadecimal digits."""
    body = (WARM_MAGIC if warm else PACK_MAGIC) + bytes.fromhex(name)
    return body + struct.pack("<I", zlib.crc32(body))


PACK_HEAD_BYTES = len(PACK_MAGIC) + 8 + 4


def head_bytes(items: int) -> int:
    """Return the bytes before the payload of a frame with so many items."""
    return _HEAD.size + items * _ITEM.size


def state_offset(frame: int, number: int) -> int:
    """Return where the state of an item is, of the frame at `frame`."""
    return frame + _HEAD.size + number * _ITEM.size


def frame_head(pack: str, codec: int, raw: int, payload: bytes, items: Sequence[Item]) -> bytes:
    """Return all of a frame but its payload."""
    table = b"".join(_ITEM.pack(ALIVE, one.kind, one.digest, one.length, one.size) for one in items)
    head = (MAGIC, codec, 0, len(items), len(payload), raw, zlib.crc32(payload))
    return _HEAD.pack(*head, _sum(pack, _UNSUMMED.pack(*head), table)) + table


def bound_to(codec: int, raw: int, items: Sequence[Item]) -> bytes:
    """Return what an encrypted payload is bound to: that its items are these, and nothing else of it changes.

    Not its place, so that it can be moved to another pack as it is.
    """
    table = b"".join(_ITEM.pack(ALIVE, one.kind, one.digest, one.length, one.size) for one in items)
    return _BOUND.pack(codec, len(items), raw) + table


def frame_at(pack: str, offset: int, found: bytes) -> PackFrame | None:
    """Return the frame that begins with `found`, which has its whole head, or None if that is damaged."""
    if len(found) < _HEAD.size:
        return None
    magic, codec, reserved, count, stored, raw, payload_sum, told = _HEAD.unpack_from(found)
    table = found[_HEAD.size : head_bytes(count)]
    if magic != MAGIC or reserved or not count or len(table) != count * _ITEM.size:
        return None
    if _sum(pack, found[: _UNSUMMED.size], table) != told:
        return None
    items, start = [], 0
    for state, kind, digest, length, size in _ITEM.iter_unpack(table):
        items.append(Item(digest, kind, start, length, size, state))
        start += length
    return PackFrame(offset, codec, stored, raw, payload_sum, tuple(items))


def frames(pack: str, read: ReadAt, start: int, end: int) -> Iterator[PackFrame | Lost | Gap]:
    """Yield the frames between two offsets, and the gaps between them.

    A frame that was torn seems to reach into the one that was written after it. So the next frame is looked
    for inside of one that is not sound.
    """
    at, gap = start, None
    while at < end:
        found = read_frame(pack, read, at)
        if found is not None and found.end <= end and payload_sound(read, found):
            if gap is not None:
                yield Gap(gap, at)
                gap = None
            yield found
            at = found.end
            continue
        if found is not None:
            yield Lost(found)
        gap = at if gap is None else gap
        at = _next_magic(read, at + 1, end)
    if gap is not None:
        yield Gap(gap, end)


def heads(pack: str, read: ReadAt, start: int, end: int) -> Iterator[PackFrame]:
    """Yield the frames between two offsets that have sound heads. No payload is read."""
    at = start
    while at < end:
        found = read_frame(pack, read, at)
        if found is None:
            at = _next_magic(read, at + 1, end)
        else:
            yield found
            at = found.end


def payload_sound(read: ReadAt, frame: PackFrame) -> bool:
    """Compare a payload with its checksum, in little memory."""
    at, found = frame.offset + frame.head, 0
    while at < frame.end:
        piece = read(at, min(_READ_BYTES, frame.end - at))
        if not piece:
            return False
        found = zlib.crc32(piece, found)
        at += len(piece)
    return found == frame.payload_sum


def read_frame(pack: str, read: ReadAt, offset: int) -> PackFrame | None:
    """Return the frame at `offset`, or None if there is none or its head is damaged."""
    found = read(offset, head_bytes(1))
    if len(found) == head_bytes(1) and found.startswith(MAGIC):
        count = _HEAD.unpack_from(found)[3]
        if count > 1:
            found += read(offset + len(found), head_bytes(count) - len(found))
    return frame_at(pack, offset, found)


def _next_magic(read: ReadAt, start: int, end: int) -> int:
    """Return where the next frame may begin, or `end`."""
    while start < end:
        searched = read(start, _SEARCHED_BYTES)
        if (at := searched.find(MAGIC)) >= 0:
            return min(start + at, end)
        if len(searched) < len(MAGIC):
            return end
        start += len(searched) - len(MAGIC) + 1
    return end


def _sum(pack: str, head: bytes, table: bytes) -> int:
    found = zlib.crc32(head, zlib.crc32(pack.encode()))
    for at in range(0, len(table), _ITEM.size):
        found = zlib.crc32(table[at + 1 : at + _ITEM.size], found)
    return found
