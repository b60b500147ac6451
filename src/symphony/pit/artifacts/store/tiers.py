"""The tiers of the artifacts of a store: what is moved, and what reading brings back.

The packs say themselves in which tier they are. The log is told of moves for those who follow it.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.bodies.bodies import Bodies, alone
from symphony.pit.artifacts.bodies.tiering import BodyTiers
from symphony.pit.artifacts.metadata.ledger import Ledger
from symphony.pit.artifacts.metadata.records import Moved
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Standing, Tier
from symphony.ports.values import Digest

RAISED_BYTES_MAX: Final = 64 << 20
"""So much of what was read comes back when a store is closed; the rest does with the next upkeep."""
_RAISED_MANY: Final = 1_000
_PAGE: Final = 1_000

logger = logging.getLogger(__name__)


class StoreTiers:
    """Thread-safe, several processes at once. Errors: StorageFull, IoFailed, those of the key."""

    def __init__(
        self,
        root: Path,
        bodies: Bodies,
        ledger: Ledger,
        exclusively: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._root, self._bodies, self._ledger = root, bodies, ledger
        self._moving = BodyTiers(bodies, exclusively)
        self._read, self._mutex = set[Digest](), threading.Lock()

    def sizes(self) -> dict[Tier, int]:
        """Return the bytes that are stored in each tier."""
        found = dict.fromkeys(Tier, 0)
        if self._root.is_dir():
            packs = self._bodies.packs
            tiers, sizes = packs.tiers(), packs.files.sizes()
            for name, (number, _) in packs.ask(lambda index: index.packs()).items():
                found[tiers.get(number, Tier.HOT)] += sizes.get(name, 0)
        return found

    def move(self, found: Sequence[tuple[Standing, Tier, str]], all_of: Iterable[Standing]) -> Collected:
        """Move artifacts to tiers; `all_of` the store stays where it is. Nothing if another process does."""
        with alone(self._root / "tiers.lock") as nobody:
            if not nobody:
                return Collected(0, 0)
            cooled = [one for one, tier, _ in found if tier is Tier.WARM]
            raised = [one.digest for one, tier, _ in found if tier is Tier.HOT]
            if cooled:
                going = {one.digest for one in cooled}
                cooled.sort(key=similarity)
                self._moving.cool(
                    (one.digest for one in cooled),
                    lambda: (
                        one.digest for one in all_of if one.tier is Tier.HOT and one.digest not in going
                    ),
                )
            if raised:
                self._moving.raise_up(raised)
            return self._told(found)

    def note(self, digests: Iterable[Digest]) -> None:
        """Remember what was read and is not hot, as far as that is not too much."""
        with self._mutex:
            for digest in digests:
                if len(self._read) < _RAISED_MANY and self._bodies.tier(digest) is not Tier.HOT:
                    self._read.add(digest)

    def raise_read(self) -> None:
        """Move what was read to the hot tier."""
        with self._mutex:
            read, self._read = self._read, set()
        going, left = list[tuple[Standing, Tier, str]](), RAISED_BYTES_MAX
        for digest in sorted(read):
            stored = self._bodies.stat(digest)
            if stored is not None and stored.size <= left:
                going.append((Standing(digest=digest, size=stored.size), Tier.HOT, "it was used"))
                left -= stored.size
        try:
            if going:
                self.move(going, ())
        except SymphonyError as error:  # that it was read is recorded
            logger.debug("what was read stays in its tier for now: %s", error)

    def _told(self, found: Sequence[tuple[Standing, Tier, str]]) -> Collected:
        """Record what is in its new tier now."""
        there = [(one, tier, why) for one, tier, why in found if self._bodies.tier(one.digest) is tier]
        now_s = self._bodies.now()
        for tier, why in dict.fromkeys((tier, why) for _, tier, why in there):
            digests = [one.digest for one, to, said in there if (to, said) == (tier, why)]
            for page in _pages(digests):
                self._ledger.append(Moved(tuple(page), tier.value, now_s, why), durable=False)
        return Collected(len(there), sum(one.size for one, _, _ in there))


def similarity(one: Standing) -> tuple[str, str, float]:
    """Return a key by which artifacts sort so that similar ones are neighbours: names, then types."""
    return min((name.name for name in one.names), default=""), one.content_type, one.put_at


def _pages(found: list[Digest]) -> Iterator[list[Digest]]:
    for start in range(0, len(found), _PAGE):
        yield found[start : start + _PAGE]
