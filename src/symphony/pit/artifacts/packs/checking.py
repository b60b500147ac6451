"""Looks for faults in packs and in their index, and puts right what can be put right safely."""

import os
from collections.abc import Collection, Iterator
from pathlib import Path

from msgspec import Struct

from symphony.commons.filesystem import release_lock, sync_directory
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.packs.away import AwayReader
from symphony.pit.artifacts.packs.files import PackGone, PackLost, PackReader, write_at
from symphony.pit.artifacts.packs.frames import (
    ALIVE,
    DEAD,
    PACK_HEAD_BYTES,
    Gap,
    ItemKind,
    PackFrame,
    frames,
    pack_head,
    state_offset,
)
from symphony.pit.artifacts.packs.index import ABSENT, PackIndex, Row
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.scanning import ItemDamaged, raw_of


class PackFaults(Struct):
    """What is wrong with a pack: bytes that are no sound frame, unknown marks, items without a row."""

    name: str
    spans: list[tuple[int, int]]
    """From where to where; of the head of the pack as well."""
    marks: int = 0
    unindexed: int = 0

    @property
    def bytes(self) -> int:
        """How many are damaged, or were torn."""
        return self.marks + sum(end - start for start, end in self.spans)


def pack_faults(packs: Packs) -> Iterator[PackFaults]:
    """Yield the packs in which something is wrong. Reads every byte. Raises IoFailed."""
    for name in packs.files.sizes():
        try:
            found = _faults_of(packs, name, packs.reader(name))
        except PackLost:
            found = PackFaults(name, [(0, packs.files.sizes().get(name, 1))])
        except PackGone:
            continue
        if found.spans or found.marks or found.unindexed:
            yield found


def wrong_rows(packs: Packs) -> int:
    """How many rows of the index are damaged, or name a place where a chunk is not. Raises IoFailed."""
    wrong = packs.ask(lambda index: sum(not sound or _astray(packs, row) for row, sound in index.all()))
    return wrong or int(packs.distrusted)


def salvage(packs: Packs, row: Row, name: str) -> bytes:
    """Whatever is found at the place of a damaged item. Raises PackGone, IoFailed."""
    reader = packs.reader(name)
    with io_errors(f"read pack {name}"):
        frame = packs.files.frame(name, row.offset)
        if frame is not None and frame.encrypted:  # the folder quarantine must not hold what was encrypted
            return reader.read(frame.offset, frame.end - frame.offset)
        if frame is not None and row.number < len(frame.items):
            item = frame.items[row.number]
            try:
                return raw_of(reader, frame)[item.start : item.start + item.length]
            except ItemDamaged:
                return reader.read(frame.offset + frame.head, frame.stored)
        return reader.read(row.offset, row.stored)


def revive(packs: Packs, row: Row) -> None:
    """Set the mark of an item that is needed right. Raises IoFailed."""
    name = packs.name_of(row.pack)
    if name is None or packs.files.away.find(name) is not None:
        return
    with io_errors(f"repair pack {name}"):
        fd = packs.files.opened(name)
        try:
            write_at(fd, bytes([ALIVE]), state_offset(row.offset, row.number))
        finally:
            os.close(fd)


def set_apart(packs: Packs, faults: PackFaults, folder: Path) -> Path:
    """Copy the damaged bytes of a pack into a file in `folder`. Raises StorageFull, IoFailed, PackGone."""
    target, reader = folder / f"{faults.name}.damaged", packs.reader(faults.name)
    with io_errors(f"write {target}"), target.open("ab") as copy:
        for start, end in faults.spans:
            for at in range(start, end, _COPIED_BYTES):
                copy.write(reader.read(at, min(end - at, _COPIED_BYTES)))
        sync_directory(folder)
    return target


def give_up(packs: Packs, name: str, folder: Path) -> Path:
    """Forget a pack that is not where it should be outside. What said so goes into `folder`. Raises IoFailed.

    Bodies that had parts in it are damaged, and what is put from now on is stored again.
    """

    def drop(index: PackIndex) -> None:
        number = index.packs().get(name)
        with index.changes():
            if number is not None:
                index.drop_pack(number[0])

    with io_errors(f"forget pack {name}"):
        target = packs.files.away.set_apart(name, folder)
    packs.ask(drop)
    packs.files.forget(name)
    return target


def _faults_of(packs: Packs, name: str, reader: PackReader | AwayReader) -> PackFaults:
    with io_errors(f"read pack {name}"):
        size, found = reader.size(), PackFaults(name, [])
        locked, dead = packs.files.locked(name), packs.files.away.dead(name)
        if locked is not None:
            release_lock(locked.fd)
        if reader.read(0, PACK_HEAD_BYTES) not in (pack_head(name), pack_head(name, warm=True)):
            found.spans.append((0, PACK_HEAD_BYTES))
        for frame in frames(name, reader.read, min(PACK_HEAD_BYTES, size), size):
            if isinstance(frame, Gap):
                if frame.end < size or locked is not None:  # else somebody is writing there
                    found.spans.append((frame.start, frame.end))
            elif isinstance(frame, PackFrame):
                found.marks += sum(item.state not in (ALIVE, DEAD) for item in frame.items)
                if locked is not None:
                    found.unindexed += _unindexed(packs, frame, dead)
    return found


def _unindexed(packs: Packs, frame: PackFrame, dead: Collection[tuple[int, int]]) -> int:
    """How many items of a frame are alive that the index does not know."""
    alive = [
        item
        for place, item in enumerate(frame.items)
        if item.state == ALIVE and item.kind in _KINDS and (frame.offset, place) not in dead
    ]
    return packs.ask(lambda index: sum(index.find(one.digest, ItemKind(one.kind)) is None for one in alive))


def _astray(packs: Packs, row: Row) -> bool:
    """True for an unneeded chunk that is not at its place. What a body needs is looked at with the body."""
    if row.kind != ItemKind.CHUNK or row.refs or row.pack == ABSENT:
        return False
    name = packs.name_of(row.pack)
    try:
        frame = None if name is None else packs.files.frame(name, row.offset)
    except PackGone:
        return True
    return frame is None or row.number >= len(frame.items) or frame.items[row.number].digest != row.digest


_KINDS = frozenset(ItemKind)
_COPIED_BYTES = 1 << 20
