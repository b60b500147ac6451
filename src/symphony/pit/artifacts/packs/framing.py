"""Makes frames of items: compressed together, and encrypted if the store is."""

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from symphony.pit.artifacts.base.failures import io_errors
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.packs.codecs import encoded
from symphony.pit.artifacts.packs.files import PackFiles, PackGone
from symphony.pit.artifacts.packs.frames import (
    ENCRYPTED,
    PACK_HEAD_BYTES,
    Item,
    ItemKind,
    PackFrame,
    bound_to,
    heads,
)
from symphony.pit.artifacts.packs.manifests import Manifest


class PendingFrame(NamedTuple):
    """A frame that has no place yet; `manifest` if its one item is that."""

    codec: int
    raw: int
    payload: bytes
    items: tuple[Item, ...]
    manifest: Manifest | None = None


class FrameMaker:
    """Makes frames for the packs in `folder`. Thread-safe.

    Raises EncryptionKeyMissing, EncryptionKeyWrong, EncryptionKeyLost, IoFailed.
    """

    def __init__(self, folder: Path, outside: OutsidePlaces, keys: StoreKeys) -> None:
        self._folder, self._outside, self._keys = folder, outside, keys

    def make_ready(self) -> None:
        """Open or make the key now if frames are to be encrypted, so that nobody is asked for it later."""
        if self._keys.encrypts:
            self._keys.make_ready(self._refuse_if_encrypted)

    def framed(self, kind: ItemKind, bodies: Sequence[tuple[bytes, bytes]]) -> PendingFrame:
        """A frame of several items, each given as its digest and its bytes."""
        return self.framed_items(
            [(Item(digest, kind, 0, len(body), len(body)), body) for digest, body in bodies]
        )

    def framed_items(self, parts: Sequence[tuple[Item, bytes]], *, warm: bool = False) -> PendingFrame:
        """A frame of several items, wherever they were before; `warm`: for that tier."""
        items, start = [], 0
        for item, _ in parts:
            items.append(Item(item.digest, item.kind, start, item.length, item.size))
            start += item.length
        raw = parts[0][1] if len(parts) == 1 else b"".join(part for _, part in parts)
        return self._pending(raw, tuple(items), warm=warm)

    def framed_manifest(self, digest: bytes, manifest: Manifest) -> PendingFrame:
        """A frame of the list of a body's chunks."""
        raw = manifest.encoded()
        item = Item(digest, ItemKind.MANIFEST, 0, len(raw), manifest.size)
        return self._pending(raw, (item,), manifest)

    def framed_again(self, frame: PackFrame, payload: bytes) -> PendingFrame:
        """A whole frame from another pack, compressed as it was. Raises PayloadTampered."""
        codec = frame.codec
        if frame.encrypted != self._keys.encrypts:
            payload = self._keys.decrypt(payload, frame.bound) if frame.encrypted else payload
            codec, payload = self._sealed(codec & ~ENCRYPTED, payload, frame.raw, frame.items)
        return PendingFrame(codec, frame.raw, payload, frame.items)

    def _pending(
        self,
        raw: bytes,
        items: tuple[Item, ...],
        manifest: Manifest | None = None,
        *,
        warm: bool = False,
    ) -> PendingFrame:
        codec, payload = self._sealed(*encoded(raw, warm=warm), len(raw), items)
        return PendingFrame(codec, len(raw), payload, items, manifest)

    def _sealed(self, codec: int, payload: bytes, raw: int, items: tuple[Item, ...]) -> tuple[int, bytes]:
        """The codec and the payload, encrypted if the store is."""
        if self._keys.encrypts:
            codec |= ENCRYPTED
            payload = self._keys.encrypt(payload, bound_to(codec, raw, items), self._refuse_if_encrypted)
        return codec, payload

    def _refuse_if_encrypted(self) -> None:
        """Raise EncryptionKeyLost if anything is encrypted, with a key that is gone."""
        files = PackFiles(self._folder, self._outside, self._keys)  # the caller has a lock: takes no other
        for name in files.sizes():
            with suppress(PackGone), io_errors(f"read pack {name}"):
                reader = files.reader(name)
                found = heads(name, reader.read, PACK_HEAD_BYTES, reader.size())
                if files.away.find(name) is not None:
                    found = islice(found, 1)  # the others would have to be fetched
                if any(one.encrypted for one in found):
                    raise self._keys.lost("it is not there")
