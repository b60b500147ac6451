"""Rewrites packs so that all in them is encrypted, or nothing, and tells how much is."""

from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import NamedTuple

from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.packs.files import PackGone
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES, heads
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.repacking import rewrite


class ConvertedPacks(NamedTuple):
    """How many packs were rewritten, and how many could not be: in use, or with damaged artifacts."""

    packs: int
    left: int


def convert(packs: Packs, exclusively: Callable[[], AbstractContextManager[None]]) -> ConvertedPacks:
    """Rewrite packs so that all in them is encrypted, or nothing, as the store does now.

    A kill at any moment loses nothing, and the next call goes on. Raises StorageFull, IoFailed, and what is
    wrong with the key.
    """
    sizes, done, left = packs.files.sizes(), 0, 0
    for name in sorted(sizes, key=lambda one: sizes[one]):  # those first that others would be moved into
        packs.release()
        if differs(packs, name):
            with exclusively():
                rewritten = rewrite(packs, name)
            done, left = done + rewritten, left + (not rewritten)
    return ConvertedPacks(done, left)


def differs(packs: Packs, name: str) -> bool:
    """Return whether something in a pack is encrypted and should not be, or the other way round."""
    plain, encrypted = stored_bytes(packs, name)
    return bool(plain if packs.keys.encrypts else encrypted)


def stored_bytes(packs: Packs, name: str) -> tuple[int, int]:
    """Return how many bytes of a pack are plain and how many encrypted. Reads no payload. Raises IoFailed."""
    found = [0, 0]
    with suppress(PackGone), io_errors(f"read pack {name}"):
        reader = packs.reader(name)
        for frame in heads(name, reader.read, PACK_HEAD_BYTES, reader.size()):
            found[frame.encrypted] += frame.end - frame.offset
    return found[0], found[1]
