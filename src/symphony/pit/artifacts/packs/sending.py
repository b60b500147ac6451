"""Sends packs outside, whole: to a bucket or another directory. A crash at any point loses nothing.

A pack that is sent gets no more entries. It is durable outside before `NAME.away` says so, and until then it
is found here. A pack that somebody appends to is left for the next time.
"""

from symphony.commons.filesystem import release_lock
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.packs.away import Sent
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES
from symphony.pit.artifacts.packs.index import PackIndex
from symphony.pit.artifacts.packs.packs import Packs


def send(packs: Packs, *, least_bytes: int = 0) -> Sent:
    """Send the packs of at least so many bytes; delete outside what is not needed, and old copies here.

    Raises StorageUnreachable, StorageRefused, StorageFull, IoFailed.
    """
    sent = Sent(0, 0)
    for name in unsent(packs, least_bytes):
        pack = packs.files.locked(name)
        if pack is None:
            continue
        try:
            if packs.files.away.find(name) is not None:  # somebody else has just sent it
                continue
            number, size = packs.caught_up(pack), pack.size
            with io_errors(f"send pack {name}"):
                tier = packs.files.tier(name)
                packs.files.away.send(name, packs.files.path(name), size, tier=tier)

            def whole(index: PackIndex, number: int = number, size: int = size) -> None:
                with index.changes():
                    index.scanned(number, size)  # whatever was torn at its end: nothing more will come

            packs.ask(whole)
            sent = Sent(sent.packs + 1, sent.bytes + size)
        finally:
            release_lock(pack.fd)
    with io_errors(f"clear {packs.files.folder}"):
        packs.files.away.clear()
        packs.files.away.evict()
    return sent


def unsent(packs: Packs, least_bytes: int = 0) -> dict[str, int]:
    """Return the packs that are not outside, with their bytes. Empty ones stay."""
    away, least = set(packs.files.away.names()), max(least_bytes, PACK_HEAD_BYTES + 1)
    return {name: size for name, size in packs.files.sizes().items() if name not in away and size >= least}
