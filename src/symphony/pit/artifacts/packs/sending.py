"""Sends packs outside, whole: to a bucket or another directory. A crash at any point loses nothing.

A pack that is sent gets no more entries. It is durable outside before `NAME.away` says so, and until then it
is found here. A pack that somebody appends to is left for the next time.
"""

from collections.abc import Iterable

from symphony.commons.filesystem import release_lock
from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.packs.away import Sent
from symphony.pit.artifacts.packs.files import Appended
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES
from symphony.pit.artifacts.packs.index import PackIndex
from symphony.pit.artifacts.packs.packs import Packs
from symphony.ports.retention import Tier


def send(packs: Packs, *, least_bytes: int = 0) -> Sent:
    """Send the packs of at least so many bytes; delete outside what is not needed, and old copies here.

    The settings must say where to.

    Raises StorageUnreachable, StorageRefused, StorageFull, IoFailed.
    """
    sent, waiting, address = Sent(0, 0), unsent(packs, least_bytes), packs.files.away.address
    assert address is not None
    if waiting:
        packs.files.away.check(address)
    for name in waiting:
        pack = packs.files.locked(name)
        if pack is None:
            continue
        try:
            if packs.files.away.find(name) is not None:  # somebody else has just sent it
                continue
            size = _send(packs, pack, packs.files.tier(name), address)
            sent = Sent(sent.packs + 1, sent.bytes + size)
        finally:
            release_lock(pack.fd)
    with io_errors(f"clear {packs.files.folder}"):
        packs.files.away.clear(packs.files.idle)
        packs.files.away.evict()
    return sent


def send_cold(packs: Packs, names: Iterable[str]) -> Sent:
    """Send packs of the warm tier to where cold ones go, and delete them here once they are there.

    Raises StorageUnreachable, StorageRefused, StorageFull, IoFailed.
    """
    sent, address = Sent(0, 0), packs.files.away.cold
    assert address is not None
    for name in names:
        if (pack := packs.files.locked(name)) is None:
            continue
        try:
            size = _send(packs, pack, Tier.COLD, address)
            packs.files.drop_copy(name)
            sent = Sent(sent.packs + 1, sent.bytes + size)
        finally:
            release_lock(pack.fd)
    with io_errors(f"clear {packs.files.folder}"):
        packs.files.away.clear(packs.files.idle)
    return sent


def _send(packs: Packs, pack: Appended, tier: Tier, address: str) -> int:
    """Send a locked pack; its bytes."""
    name, number, size = pack.name, packs.caught_up(pack), pack.size
    with io_errors(f"send pack {name}"):
        packs.files.away.send(name, packs.files.path(name), size, tier=tier, address=address)

    def whole(index: PackIndex) -> None:
        with index.changes():
            index.scanned(number, size)  # whatever was torn at its end: nothing more will come

    packs.ask(whole)
    return size


def unsent(packs: Packs, least_bytes: int = 0) -> dict[str, int]:
    """Return the packs that are not outside, with their bytes. Empty ones stay."""
    away, least = set(packs.files.away.names()), max(least_bytes, PACK_HEAD_BYTES + 1)
    return {name: size for name, size in packs.files.sizes().items() if name not in away and size >= least}
