"""Brings packs back into the home that lie in a bucket or another directory."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import NamedTuple

from symphony.pit.artifacts.base.failures import file_lock, io_errors
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.repacking import rewrite


class Fetched(NamedTuple):
    """How many packs came back and their bytes; `left`: those in use, or with damaged artifacts."""

    packs: int
    bytes: int
    left: int


def fetch_store(root: Path, keys: StoreKeys, outside: OutsidePlaces) -> Fetched:
    """Move all that lies outside into the home, and delete it there. A kill at any moment loses nothing.

    Raises StorageUnreachable, StorageRefused, StorageFull, IoFailed.
    """

    def alone() -> AbstractContextManager[None]:
        return file_lock(root / "collect.lock", exclusive=True)

    if not root.is_dir():
        return Fetched(0, 0, 0)
    with closing(Bodies(root, outside=outside, keys=keys)) as bodies:
        bodies.prepare()
        return _fetch(bodies.packs, alone)


def _fetch(packs: Packs, exclusively: Callable[[], AbstractContextManager[None]]) -> Fetched:
    done = Fetched(0, 0, 0)
    for name, size in packs.files.away.sizes().items():
        packs.release()
        with exclusively():
            if rewrite(packs, name):
                done = Fetched(done.packs + 1, done.bytes + size, done.left)
            else:
                done = done._replace(left=done.left + 1)
    with io_errors(f"clear {packs.files.folder}"):
        packs.files.away.clear()
    return done
