"""Deletion of bodies in two phases: into the trash, which is a matter of records, and out of the store.

Each change is made under the store's collection lock, and only to bodies of which nothing has changed since
they were judged. A put or link of a body at the same time comes before or after as a whole.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from symphony.pit.artifacts.base.failures import file_lock
from symphony.pit.artifacts.base.rules import missing
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.metadata.ledger import Ledger
from symphony.pit.artifacts.metadata.records import Gone, Pinned, Restored, Trashed
from symphony.pit.artifacts.store.unchanged import compared
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Standing, StandingPages
from symphony.ports.values import Digest

T = TypeVar("T")

logger = logging.getLogger(__name__)

_PAGE = 100
"""So many bodies change under one lock: others wait for a few milliseconds."""
_LOOKED_AT = 1_000


class Trash:
    """The trash of the store in `root`, whose directories are there. Thread-safe, several processes at once.

    Errors: StorageFull, IoFailed.
    """

    def __init__(self, root: Path, bodies: Bodies, ledger: Ledger) -> None:
        self._root, self._bodies, self._ledger = root, bodies, ledger

    def counts(self) -> tuple[Collected, Collected]:
        """Return how many bodies are recorded, with their bytes, and how many of them are in the trash."""
        if not self._root.is_dir():
            return Collected(0, 0), Collected(0, 0)
        there, trashed = self._ledger.ask(lambda index: index.counts())
        return Collected(*there), Collected(*trashed)

    @contextmanager
    def look(self, *, writes: bool = False) -> Iterator[StandingPages]:
        """Open a look at the facts about every body that is there, by the log alone.

        Writes nothing, or, if it `writes`, reads the log for what is to be changed next, too.
        """
        if writes:

            def known(digests: Collection[Digest]) -> Mapping[Digest, Standing]:
                return self._ledger.judged(lambda index: index.standings(digests, ranked=True))

            yield StandingPages(lambda: _facts(self._bodies, known), self.damaged())
            return
        looked = Bodies(self._root, look=True, outside=self._bodies.outside, keys=self._bodies.packs.keys)
        with closing(looked) as bodies, self._ledger.peek() as index:
            yield StandingPages(
                lambda: _facts(bodies, lambda digests: index.standings(digests, ranked=True)),
                index.position().damaged,
            )

    def trash(self, found: Iterable[tuple[Standing, str]], min_age_s: float) -> Collected:
        """Move bodies into the trash, each with the reason, unless they have changed or are young."""
        total, latest = Collected(0, 0), self._latest(min_age_s)
        for page in _pages(found):
            with self._alone():
                going = self._unchanged([one for one, _ in page], latest)
                now_s = self._latest(0.0)
                why = {one.digest: reason for one, reason in page}
                records = [Trashed(one.digest, now_s, why[one.digest]) for one in going]
                if records:
                    self._ledger.append(*records, durable=True)
            total = _plus(total, going)
        return total

    def sweep(self, found: Iterable[Standing], min_age_s: float) -> Collected:
        """Delete bodies of the trash, unless they have changed, are young, or are not in it."""
        total, latest = Collected(0, 0), self._latest(min_age_s)
        for page in _pages(one for one in found if one.trashed_at is not None):
            with self._alone():
                going = self._delete(self._unchanged(page, latest))
            total = _plus(total, going)
        self._forget_deleted()
        self._ledger.compact()
        return total

    def collect(self, min_age_s: float) -> Collected:
        """Delete the bodies that nobody needs and that are not young at once, past the trash."""
        if damaged := self.damaged():
            logger.warning("%s has %d damaged lines: nothing is deleted", self._root / "records.log", damaged)
            return Collected(0, 0)
        # What a writer that died has left is found only now, and counts as put now: look before the clock.
        with self.look(writes=True) as found:
            known = [one for page in found.pages() for one in page if not one.kept]
        total, latest = Collected(0, 0), self._latest(min_age_s)
        for page in _pages(one for one in known if one.put_at <= latest):
            with self._alone():
                going = self._delete(self._unchanged(page, latest))
            total = _plus(total, going)
        self._ledger.compact()
        return total

    def restore(self, digests: Iterable[Digest] | None) -> Collected:
        """Bring bodies back, or all; gives those that were in the trash."""
        wanted = None if digests is None else set(digests)
        with self._alone():
            trashed = [care.digest for care in self._ledger.ask(lambda index: index.trashed())]
            found = [
                Standing(digest=digest, size=stored.size)
                for digest in trashed
                if (wanted is None or digest in wanted) and (stored := self._bodies.stat(digest)) is not None
            ]
            if found:
                now_s = self._latest(0.0)
                self._ledger.append(*(Restored(one.digest, now_s) for one in found), durable=True)
        return _plus(Collected(0, 0), found)

    def pin(self, digest: Digest, *, pinned: bool) -> bool:
        """Pin a body, which brings it back, or let it go; whether that changed anything."""
        with self._alone():
            if self._bodies.stat(digest) is None:
                raise missing(digest)
            care = self._ledger.ask(lambda index: index.care_of(digest))
            if pinned == (care.pinned is not None) and not (pinned and care.trashed is not None):
                return False
            self._ledger.append(Pinned(digest, self._latest(0.0), pinned), durable=True)
        return True

    def damaged(self) -> int:
        """Return how many lines of the log cannot be read: what refers to bodies may be among them."""
        return self._ledger.judged(lambda index: index.position().damaged)

    # -- within

    def _alone(self) -> AbstractContextManager[None]:
        """Keep writers and other collections out."""
        return file_lock(self._root / "collect.lock", exclusive=True)

    def _latest(self, min_age_s: float) -> float:
        """Return the time so long ago, by the clock of the file system, as the ages of bodies are."""
        return self._bodies.now() - min_age_s

    def _unchanged(self, page: Sequence[Standing], latest: float) -> list[Standing]:
        """Return those that are still as they were, and not young. From here on nothing changes."""
        digests = [one.digest for one in page]
        now, damaged = self._ledger.judged(lambda index: (index.standings(digests), index.position().damaged))
        if damaged:
            return []
        return [
            one
            for one in page
            if (stored := self._bodies.stat(one.digest)) is not None
            and stored.changed_at == one.put_at
            and stored.changed_at <= latest
            and compared(now.get(one.digest) or Standing(digest=one.digest)) == compared(one)
        ]

    def _delete(self, going: Sequence[Standing]) -> list[Standing]:
        """Delete bodies; those that are gone. What lies in a place that does not answer may be left."""
        self._bodies.remove([one.digest for one in going])
        gone = [one for one in going if self._bodies.stat(one.digest) is None]
        if gone:
            self._ledger.append(*(Gone(one.digest) for one in gone), durable=False)
        return gone

    def _forget_deleted(self) -> None:
        """Record what a process that died meanwhile has deleted from the trash."""
        trashed = self._ledger.ask(lambda index: index.trashed())
        if all(self._bodies.stat(care.digest) is not None for care in trashed):
            return
        with self._alone():
            trashed = self._ledger.ask(lambda index: index.trashed())
            gone = [Gone(care.digest) for care in trashed if self._bodies.stat(care.digest) is None]
            if gone:
                self._ledger.append(*gone, durable=False)


def _facts(
    bodies: Bodies, known: Callable[[Collection[Digest]], Mapping[Digest, Standing]]
) -> Iterator[list[Standing]]:
    """Yield the facts about bodies that are there, page by page; `known` gives those that the log has."""
    there = bodies.all()
    while page := list(islice(there, _LOOKED_AT)):
        found = known([stored.digest for stored in page])
        yield [
            msgspec.structs.replace(
                found.get(stored.digest) or Standing(digest=stored.digest),
                put_at=stored.changed_at, size=stored.size, tier=stored.tier,
            )
            for stored in page
        ]  # fmt: skip


def _pages(found: Iterable[T]) -> Iterator[list[T]]:
    left = iter(found)
    while page := list(islice(left, _PAGE)):
        yield page


def _plus(total: Collected, more: Sequence[Standing]) -> Collected:
    return Collected(total.objects + len(more), total.bytes + sum(one.size for one in more))
