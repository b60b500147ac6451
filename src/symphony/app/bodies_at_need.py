"""The artifact store as runs see it: opened for the first body, because most short runs have none."""

from collections.abc import Callable
from pathlib import Path

from symphony.pit.artifacts.base.failures import require_room
from symphony.ports.artifacts import ArtifactStore, Provenance
from symphony.ports.values import ArtifactRef, Digest


class BodiesAtNeed:
    """`symphony.pit.tracker.nodes.resources.RunBodies` over a store that may not be open yet. Thread-safe."""

    def __init__(
        self, store: Callable[[], ArtifactStore], opened: Callable[[], bool], folder: Path | None
    ) -> None:
        """`store` opens the store the first time that it is called; `opened` tells whether it was.

        `folder`: where it keeps its files, if it does.
        """
        self._store, self._opened, self._folder = store, opened, folder

    def put(
        self,
        body: bytes,
        *,
        content_type: str,
        name: str | None = None,
        encoding: str = "bytes",
        durable: bool = True,
    ) -> ArtifactRef:
        """Store a body."""
        return self._store().put(
            body, content_type=content_type, name=name, encoding=encoding, durable=durable
        )

    def get(self, digest: Digest) -> bytes:
        """Return a body."""
        return self._store().get(digest)

    def size(self, digest: Digest) -> int | None:
        """Return the bytes of a body, or None if it is not there."""
        return self._store().size(digest)

    def holds(self, ref: ArtifactRef) -> bool:
        """True if the body is there."""
        return self._store().holds(ref)

    def link(self, ref: ArtifactRef, provenance: Provenance, *, durable: bool = True) -> None:
        """Record that a run refers to a body."""
        self._store().link(ref, provenance, durable=durable)

    def require_room(self) -> None:
        """Raise StorageFull if there is no room for any further body."""
        if self._opened():
            self._store().require_room()
        elif self._folder is not None:
            require_room(self._folder)

    def settle(self) -> None:
        """Return once all that was put and linked before is durable: at once if nothing was."""
        if self._opened():
            self._store().settle()
