"""Makes what a store has encrypted, or plain, as its keys say; and moves old files into packs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from symphony.pit.artifacts.base.failures import file_lock
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.packs.converting import ConvertedPacks, convert, stored_bytes

_PAGE = 100


def convert_store(root: Path, keys: StoreKeys, outside: OutsidePlaces | None = None) -> ConvertedPacks:
    """Rewrite what is stored so that all of it is encrypted, or nothing, as `keys` says.

    Files of earlier versions become packs. Raises what is wrong with the key, StorageFull, IoFailed.
    """

    def alone() -> AbstractContextManager[None]:
        return file_lock(root / "collect.lock", exclusive=True)

    if not root.is_dir():
        return ConvertedPacks(0, 0)
    with closing(Bodies(root, outside=outside, keys=keys)) as bodies:
        bodies.prepare()
        adopt_old(bodies, alone)
        return convert(bodies.packs, alone)


def plain_and_encrypted(root: Path, keys: StoreKeys, outside: OutsidePlaces | None = None) -> tuple[int, int]:
    """Return how many bytes of contents lie on the disk plain, and how many encrypted. Needs no key."""
    with closing(Bodies(root, look=True, outside=outside, keys=keys)) as bodies:
        old = sum(stored.size for stored in bodies.old.all())
        found = [stored_bytes(bodies.packs, name) for name in bodies.packs.files.sizes()]
        return old + sum(plain for plain, _ in found), sum(encrypted for _, encrypted in found)


def adopt_old(bodies: Bodies, alone: Callable[[], AbstractContextManager[None]]) -> None:
    """Move bodies out of files of an earlier version into packs, keeping others out with `alone`."""
    old = [stored.digest for stored in bodies.old.all()]
    for start in range(0, len(old), _PAGE):
        with alone():
            bodies.adopt(old[start : start + _PAGE])
