"""Packs that lie outside of the home: whole, in a bucket or in another directory, and never changed again.

For each of them a file `NAME.away` beside the packs says where it is. It is written once the pack is there,
durably, and renamed to `NAME.gone` before the pack is deleted there. So a crash leaves neither a body that
cannot be found nor a pack that nobody will ever delete. Since such a pack never changes, `NAME.dead` holds
the marks of items that died later: the offset of the frame and the number in it, 8 and 4 bytes,
little-endian.

What is read from outside is kept in `away/` of the store, in blocks that have a checksum. A pack of our own
stays in its place as well, until both take more room than is allowed: then the oldest go.
"""

import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import sync_directory, write_atomic
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.ports.object_storage import (
    ObjectMissing,
    ObjectStorage,
    StorageRefused,
    StorageUnreachable,
)
from symphony.ports.retention import Tier

BLOCK_BYTES: Final = 1 << 20
EMPTIED: Final = "packs/emptied"
"""An empty file that a user makes in a place that has lost everything, to say so."""
CACHE_BYTES: Final = 1 << 30
_AWAY: Final = ".away"
_TRIED: Final = ".tried"
_GONE: Final = ".gone"
_KEPT_SHARE: Final = 0.9
_SUM_BYTES: Final = 4
_PLACE: Final = struct.Struct("<QI")

logger = logging.getLogger(__name__)


class PackGone(Exception):
    """There is no such pack, or not any more."""


class PackLost(PackGone):
    """A pack should be outside, and is not there."""


class OutsidePlaces(NamedTuple):
    """What is known of places outside: how addresses are opened, where full packs go (None: they stay), how
    many bytes may be kept here of what is there, and where packs of the cold tier go (None: there is none).
    """

    opened: Callable[[str], ObjectStorage] | None = None
    address: str | None = None
    cache_bytes: int = CACHE_BYTES
    cold: str | None = None


class AwayPack(msgspec.Struct, frozen=True):
    """Where a pack is: under the name `object` at `address`; `size` in bytes; `tier` of what is in it."""

    address: str
    object: str
    size: int
    tier: Tier = Tier.HOT


class AwayPacks:
    """The packs of `folder` that are outside. Thread-safe, several processes at once.

    Errors: PackGone, PackLost; StorageUnreachable, StorageRefused; OSError for files of the home.
    """

    def __init__(self, folder: Path, outside: OutsidePlaces, keys: StoreKeys) -> None:
        self._folder, self._outside, self.keys = folder, outside, keys
        self._cache = folder.parent / "away"
        self._known: dict[str, AwayPack] = {}
        self._opened: dict[str, ObjectStorage] = {}
        self._sound = set[str]()

    @property
    def address(self) -> str | None:
        """Where full packs go; None if they stay."""
        return self._outside.address

    @property
    def cold(self) -> str | None:
        """Where packs of the cold tier go."""
        return self._outside.cold

    def check(self, address: str) -> None:
        """Raise what is wrong with a place, also that it has nothing of what was sent there.

        Then a disk is not mounted, or another one is: no pack must be taken for lost, and none be sent.
        """
        storage = self._at(address)
        storage.check()
        sent = {one.object for name in self.names() if (one := self.find(name)) and one.address == address}
        if not sent or any(one.name in sent for one in storage.list("packs")) or storage.size(EMPTIED) == 0:
            return
        raise StorageRefused(
            f"{address} has nothing of what was sent there",
            details={"address": address},
            hint="is the disk mounted, and the address right? If all of it is lost for good, make an empty "
            f"file {EMPTIED} there: then `symphony artifacts fsck --repair` forgets it",
        )

    def marker(self, name: str) -> Path:
        """The file that says where a pack is."""
        return self._folder / f"{name}{_AWAY}"

    def find(self, name: str) -> AwayPack | None:
        """Where a pack is, if it is outside. Raises IoFailed if its file cannot be read."""
        if (known := self._known.get(name)) is not None:
            return known
        try:
            said = self.marker(name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            found = self._known[name] = msgspec.json.decode(said, type=AwayPack)
        except msgspec.MsgspecError:
            raise IoFailed(
                f"{self.marker(name)} is damaged: it should say where pack {name} is",
                details={"path": str(self.marker(name))},
                hint="look for the pack in the bucket, and bring this file back from a backup",
            ) from None
        return found

    def names(self) -> list[str]:
        """The packs that are outside."""
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            return [one.name[: -len(_AWAY)] for one in entries if one.name.endswith(_AWAY)]
        return []

    def sizes(self, *, cold: bool = True) -> dict[str, int]:
        """The packs that are outside, with their bytes. Raises IoFailed as `find` does."""
        found = ((name, self.find(name)) for name in self.names())
        return {
            name: one.size for name, one in found if one is not None and (cold or one.tier is not Tier.COLD)
        }

    def forget(self, name: str | None = None) -> None:
        """Look at the files again."""
        if name is None:
            self._known.clear()
        else:
            self._known.pop(name, None)

    def reader(self, name: str) -> "AwayReader | None":
        """Reads a pack that is outside; None if it is not."""
        found = self.find(name)
        return None if found is None else AwayReader(self, name, found)

    def send(self, name: str, path: Path, size: int, *, tier: Tier, address: str) -> AwayPack:
        """Store a pack, which the caller has locked, at an address that was checked."""
        # Each try has a name of its own: a copy of this home has packs of the same names, and other bytes.
        found = AwayPack(address, f"packs/{name}-{os.urandom(4).hex()}.pack", size, tier)
        tried = self._try(name, found)
        with path.open("rb") as stream:
            self._at(address).put(found.object, stream)
        if tier is Tier.COLD:  # nothing is kept here
            self.require_same(found, path)
        write_atomic(self.marker(name), msgspec.json.encode(found), mode=0o600)
        tried.unlink(missing_ok=True)
        return found

    def _try(self, name: str, found: AwayPack) -> Path:
        """Note that a pack is about to be stored: if its writer dies, somebody deletes what it has stored."""
        file = self._folder / f"{name}-{os.urandom(4).hex()}{_TRIED}"
        write_atomic(file, msgspec.json.encode(found), mode=0o600)
        return file

    def require_same(self, found: AwayPack, path: Path) -> None:
        """Read a pack that was sent, and compare it with what is here. Raises StorageRefused."""
        with path.open("rb") as stream:
            for start in range(0, found.size, BLOCK_BYTES):
                here = stream.read(min(BLOCK_BYTES, found.size - start))
                if self._at(found.address).read(found.object, start, len(here)) != here:
                    raise StorageRefused(
                        f"{found.address} gives back something else than what was stored in {found.object}",
                        details={"address": found.address, "name": found.object},
                        hint="look whether the place is sound; what was sent is still here",
                    )

    def mark_dead(self, name: str, places: Iterable[tuple[int, int]]) -> None:
        """Note items that are not needed. Best effort, as marks in packs are."""
        with suppress(OSError), self._dead(name).open("ab", buffering=0) as file:
            file.write(b"".join(_PLACE.pack(*place) for place in places))

    def dead(self, name: str) -> set[tuple[int, int]]:
        """The items of a pack that died after it was sent."""
        try:
            said = self._dead(name).read_bytes()
        except FileNotFoundError:
            return set()
        whole = len(said) // _PLACE.size * _PLACE.size
        return set(_PLACE.iter_unpack(said[:whole]))

    def retire(self, name: str) -> None:
        """Forget a pack for good. `clear` deletes it where it is."""
        self.forget(name)
        with suppress(FileNotFoundError):
            self.marker(name).replace(self._folder / f"{name}{_GONE}")
            sync_directory(self._folder)
        self._dead(name).unlink(missing_ok=True)
        self.drop(name)

    def set_apart(self, name: str, folder: Path) -> Path:
        """Move the file that says where a pack is into `folder`. Raises OSError."""
        target = folder / self.marker(name).name
        self.marker(name).replace(target)
        sync_directory(folder)
        self.forget(name)
        self.drop(name)
        return target

    def drop(self, name: str) -> bool:
        """Delete the blocks of a pack that are kept here; False if there are none."""
        found = list(self._cache.glob(f"{name}-*"))
        for path in found:
            path.unlink(missing_ok=True)
        return bool(found)

    def clear(self, idle: Callable[[str], AbstractContextManager[bool]] | None = None) -> None:
        """Delete, where they are, packs that were forgotten. What cannot be reached is tried later.

        With `idle`, which keeps others from sending a pack, or tells that somebody does, also those whose
        writers died before they said so.
        """
        tried = [] if idle is None else [(path, idle) for path in self._folder.glob(f"*{_TRIED}")]
        for path, kept in (*((path, _freely) for path in self._folder.glob(f"*{_GONE}")), *tried):
            name = path.name[: -len(path.suffix)].partition("-")[0]
            try:
                with kept(name) as nobody:
                    found = msgspec.json.decode(path.read_bytes(), type=AwayPack)
                    self.forget(name)
                    if not nobody:
                        continue
                    if (there := self.find(name)) is None or there.object != found.object:
                        self._delete(found)
                    path.unlink(missing_ok=True)
            except (FileNotFoundError, msgspec.MsgspecError):
                continue
            except (StorageUnreachable, StorageRefused) as error:
                logger.warning("packs that are not needed stay for now: %s", error)
                return

    def block(self, name: str, pack: AwayPack, number: int) -> bytes:
        """A block of a pack, from the cache if it is there and whole."""
        path = self._cache / f"{name}-{number}"
        with suppress(OSError):
            kept = path.read_bytes()
            if zlib.crc32(kept[_SUM_BYTES:]).to_bytes(_SUM_BYTES, "little") == kept[:_SUM_BYTES]:
                os.utime(path)
                return kept[_SUM_BYTES:]
        start = number * BLOCK_BYTES
        try:
            body = self._at(pack.address).read(pack.object, start, min(BLOCK_BYTES, pack.size - start))
        except ObjectMissing as why:
            self.forget(name)
            if self.find(name) is None:  # it was rewritten, or somebody deleted what was in it
                raise PackGone(name) from None
            self.check(pack.address)
            raise PackLost(why.message) from None
        self._keep(path, body)
        return body

    def evict(self) -> None:
        """Delete the oldest of what is outside, too, until the rest is not too much."""
        found = sorted(self._kept())
        total = sum(size for _, size, _ in found)
        if total <= self._outside.cache_bytes:
            return
        for _, size, path in found:
            if total <= self._outside.cache_bytes * _KEPT_SHARE:
                return
            path.unlink(missing_ok=True)
            total -= size

    # -- within

    def _delete(self, found: AwayPack) -> None:
        if found.address not in self._sound:
            self.check(found.address)  # once: what is deleted where it is not stays where it is
            self._sound.add(found.address)
        self._at(found.address).delete(found.object)

    def _dead(self, name: str) -> Path:
        return self._folder / f"{name}.dead"

    def _at(self, address: str) -> ObjectStorage:
        if address not in self._opened:
            if self._outside.opened is None:
                raise StorageRefused(f"packs are at {address}, and no settings were read", hint="give a home")
            self._opened[address] = self._outside.opened(address)
        return self._opened[address]

    def _keep(self, path: Path, body: bytes) -> None:
        """Put a block into the cache. Best effort."""
        if len(body) > self._outside.cache_bytes:
            return
        try:
            self._cache.mkdir(mode=0o700, exist_ok=True)
            written = path.with_name(f".{path.name}-{os.urandom(4).hex()}")
            written.write_bytes(zlib.crc32(body).to_bytes(_SUM_BYTES, "little") + body)
            written.replace(path)
            self.evict()
        except OSError:
            logger.debug("a block of a pack is not kept", exc_info=True)

    def _kept(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was last used that could go, its bytes, and where it is."""
        for folder, suffix in ((self._cache, ""), (self._folder, ".pack")):
            with suppress(FileNotFoundError), os.scandir(folder) as entries:
                for entry in entries:
                    if not entry.name.endswith(suffix):
                        continue
                    if suffix and not self.marker(entry.name.removesuffix(suffix)).exists():
                        continue
                    with suppress(FileNotFoundError):
                        status = entry.stat(follow_symlinks=False)
                        yield status.st_mtime, status.st_size, Path(entry.path)


class AwayReader:
    """One pack that is outside. Thread-safe. Its errors are those of `AwayPacks`."""

    def __init__(self, packs: AwayPacks, name: str, pack: AwayPack) -> None:
        self._packs, self._name, self._pack, self.keys = packs, name, pack, packs.keys
        self._last = (-1, b"")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes from `offset` on, fewer only at the end."""
        found = b""
        end = min(offset + length, self._pack.size)
        while offset + len(found) < end:
            at = offset + len(found)
            part = self._block(at // BLOCK_BYTES)[at % BLOCK_BYTES :][: end - at]
            if not part:
                break
            found = found + part if found else part
        return found

    def size(self) -> int:
        return self._pack.size

    def _block(self, number: int) -> bytes:
        last, body = self._last
        if last != number:
            body = self._packs.block(self._name, self._pack, number)
            self._last = number, body
        return body


@contextmanager
def _freely(_name: str) -> Iterator[bool]:
    """Nobody sends what was forgotten."""
    yield True


class Sent(NamedTuple):
    """How many packs were sent, and how many bytes."""

    packs: int
    bytes: int
