"""A store whose packs lie outside of the home as soon as anything is asked of it."""

from pathlib import Path
from typing import BinaryIO

from symphony.pit.artifacts import Collected, FileArtifacts
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.ports.artifacts import ArtifactRanges
from symphony.ports.object_storage import ObjectStorage
from symphony.ports.values import ArtifactRef, Digest


class OutsideArtifacts(FileArtifacts):
    """Sends all packs before each read and collection, and keeps nothing of them here."""

    def __init__(self, root: Path, storage: ObjectStorage, *, cache_bytes: int = 0) -> None:
        super().__init__(root, OutsidePlaces(lambda address: storage, storage.address, cache_bytes))
        self.storage = storage

    def get(self, digest: Digest) -> bytes:
        self.send()
        return super().get(digest)

    def open(self, digest: Digest) -> BinaryIO:
        self.send()
        return super().open(digest)

    def peek(self, digest: Digest, length: int) -> bytes:
        self.send()
        return super().peek(digest, length)

    def ranges(self, digest: Digest) -> ArtifactRanges:
        self.send()
        return super().ranges(digest)

    def holds(self, ref: ArtifactRef) -> bool:
        self.send()
        return super().holds(ref)

    def collect(self, min_age_s: float = 3600.0) -> Collected:
        self.send()
        return super().collect(min_age_s)


def packs_here(root: Path) -> list[str]:
    """The packs that lie in the home."""
    return sorted(path.stem for path in (root / "packs").glob("*.pack"))
