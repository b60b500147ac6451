"""Artifact stores of every kind, for the suites that all of them must pass."""

from pathlib import Path

from tests.support.encryption import keys
from tests.support.outside import OutsideArtifacts
from tests.support.storages import FakeStorage

from symphony.pit.artifacts import FileArtifacts, MemoryArtifacts

Store = FileArtifacts | MemoryArtifacts
KINDS = ("files", "encrypted", "memory", "outside")


def store_of(kind: str, root: Path) -> Store:
    """A store in `root`; see `KINDS`."""
    match kind:
        case "files":
            return FileArtifacts(root)
        case "encrypted":
            return FileArtifacts(root, keys=keys(root))
        case "outside":
            return OutsideArtifacts(root, FakeStorage())
    return MemoryArtifacts()
