"""The tiers of the artifacts of a store: what is moved, and what reading brings back.

The packs say themselves in which tier they are. The log is told of moves for those who follow it.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from symphony.pit.artifacts.bodies.bodies import Bodies, alone
from symphony.pit.artifacts.metadata.ledger import Ledger
from symphony.pit.artifacts.metadata.records import Moved
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Standing, Tier
from symphony.ports.values import Digest

RAISED_BYTES_MAX: Final = 64 << 20
"""So much of what was read comes back when reads are recorded; the rest does with the next upkeep."""
_PAGE: Final = 1_000
_RANK: Final = {Tier.HOT: 0, Tier.WARM: 1, Tier.COLD: 2}


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
        self._exclusively = exclusively

    def sizes(self) -> dict[Tier, int]:
        """Return the bytes that are stored in each tier."""
        found = dict.fromkeys(Tier, 0)
        if self._root.is_dir():
            packs = self._bodies.packs
            tiers, sizes = packs.tiers(), packs.files.sizes()
            for name, (number, _) in packs.ask(lambda index: index.packs()).items():
                found[tiers.get(number, Tier.HOT)] += sizes.get(name, 0)
        return found

    def move(
        self,
        found: Sequence[tuple[Standing, Tier, str]],
        *,
        tidy: bool = False,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Collected:
        """Move artifacts to tiers, none if another process does so.

        With `tidy`, packs are rewritten of which most has left. Once `out_of_time`, the rest is left.
        """
        from symphony.pit.artifacts.bodies.tiering import BodyTiers

        moving = BodyTiers(self._bodies, self._exclusively)
        with alone(self._root / "tiers.lock") as nobody:
            if not nobody:
                return Collected(0, 0)
            raised = [one.digest for one, tier, _ in found if _RANK[tier] < _RANK[one.tier]]
            if raised:
                moving.raise_up(in_time(raised, out_of_time))
            going = {one.digest: tier for one, tier, _ in found}
            for to, move in ((Tier.WARM, moving.cool), (Tier.COLD, moving.freeze)):
                some = [one for one, tier, _ in found if tier is to]
                if some:
                    then = ((one.digest, going.get(one.digest, one.tier)) for one in self._bodies.all())
                    hotter = (digest for digest, tier in then if _RANK[tier] < _RANK[to])
                    move(in_time((one.digest for one in sorted(some, key=similarity)), out_of_time), hotter)
            moved = self._told(found)
        if tidy:
            self._bodies.tidy(self._exclusively)
        return moved

    def raise_read(self, read: Iterable[Digest]) -> None:
        """Move what was read to the hot tier, as far as that is not too much."""
        going, left = list[tuple[Standing, Tier, str]](), RAISED_BYTES_MAX
        for digest in read:
            if (tier := self._bodies.tier(digest)) is Tier.HOT or (
                stored := self._bodies.stat(digest)
            ) is None:
                continue
            if stored.size <= left:
                going.append((Standing(digest=digest, size=stored.size, tier=tier), Tier.HOT, "it was used"))
                left -= stored.size
        if going:
            self.move(going)

    def _told(self, found: Sequence[tuple[Standing, Tier, str]]) -> Collected:
        """Record what is in its new tier now."""
        there = [(one, tier, why) for one, tier, why in found if self._bodies.tier(one.digest) is tier]
        now_s = self._bodies.now()
        for tier, why in dict.fromkeys((tier, why) for _, tier, why in there):
            digests = [one.digest for one, to, said in there if (to, said) == (tier, why)]
            for page in _pages(digests):
                self._ledger.append(Moved(tuple(page), tier.value, now_s, why), durable=False)
        return Collected(len(there), sum(one.size for one, _, _ in there))


def in_time(digests: Iterable[Digest], out_of_time: Callable[[], bool]) -> Iterator[Digest]:
    """Yield digests until the time is over."""
    return itertools.takewhile(lambda _: not out_of_time(), digests)


def similarity(one: Standing) -> tuple[str, str, float]:
    """Return a key by which artifacts sort so that similar ones are neighbours: names, then types."""
    return min((name.name for name in one.names), default=""), one.content_type, one.put_at


def _pages(found: list[Digest]) -> Iterator[list[Digest]]:
    for start in range(0, len(found), _PAGE):
        yield found[start : start + _PAGE]
