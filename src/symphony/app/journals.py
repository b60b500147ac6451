"""The journals of one session's runs: each in a file of its own, or many in a segment."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol, TypeVar

import msgspec

from symphony.commons.filesystem import private_directory
from symphony.commons.time import new_run_id
from symphony.commons.waiting import uninterrupted
from symphony.pit.tracker.store.journal import JournalFailed, JournalStore, RunMeta, SqliteStore, remove
from symphony.pit.tracker.store.locks import SegmentLock, segments_can_be_locked
from symphony.pit.tracker.store.names import base_of
from symphony.pit.tracker.store.runs import Runs
from symphony.pit.tracker.store.segments import segment_path
from symphony.pit.tracker.store.sharing import Segment

FIRST_NUMBERS, NUMBERS_MAX = 16, 1024
"""The count of numbers for names that are reserved at first. It doubles each time, up to a maximum."""
OWN_FILES: Final = 4
"""The number of first runs in a session with files of their own: so few are not worth a segment."""
Made = TypeVar("Made")


class Owned(Protocol):
    """The claim of this process on a run."""

    def release(self) -> None:
        """Release the run."""
        ...


class NewJournal(msgspec.Struct, frozen=True):
    """A journal that was just made. While `owned` is not released, this process owns the run.

    It is durable, unless there is `durable`: then it will be with the first commit, when that future is
    done, so that a run in a segment costs one commit less. The future raises JournalFailed.
    """

    meta: RunMeta
    """The run's metadata, with the name that it has got."""
    store: JournalStore
    owned: Owned
    durable: "asyncio.Future[None] | None" = None


class Journals:
    """Makes the journals of new runs, which this process owns."""

    def __init__(self, home: Path, runs: Callable[[], Runs], pid: int) -> None:
        self._home, self._runs, self._pid = home, runs, pid
        self._made = 0
        self.segment: Segment | None = None
        """The one that new runs go into."""
        self._numbers: dict[str, deque[int]] = {}  # reserved for runs in segments
        self._reserved = FIRST_NUMBERS
        self._full: list[Segment] = []
        self._opening = asyncio.Lock()

    async def create(
        self, meta: RunMeta, slug: str, reuse: Mapping[str, bytes] | None = None
    ) -> "NewJournal":
        """Return the journal of a new run; if it has no name yet, it gets one made of its workflow's `slug`.

        Raises JournalFailed, RunNameRefused.
        """
        self._made += 1
        if self._made <= OWN_FILES or reuse or meta.name is not None or not segments_can_be_locked():
            return await self._own_file(meta, base_of(slug), reuse or {})
        return await self._shared(await self._numbered(meta, base_of(slug)))

    async def _numbered(self, meta: RunMeta, base: str) -> RunMeta:
        """Return the run with one of the numbers that are reserved, so that it need not wait for a commit."""
        names, unused = self._runs().names, self._numbers.setdefault(base, deque())
        if not unused:
            async with self._opening:
                if not unused:
                    unused.extend(await self._numbers_of(base))
        if not unused:
            return meta  # names cannot be stored here
        named = msgspec.structs.replace(meta, name=f"{base}-{unused.popleft()}")
        names.add(named.run_id, named.name)
        return named

    async def _numbers_of(self, base: str) -> list[int]:
        private_directory(self._home)
        names, count = self._runs().names, self._reserved
        self._reserved = min(count * 2, NUMBERS_MAX)
        return await in_thread(
            lambda: names.reserve(base, count), lambda unused: names.give_back(base, unused)
        )

    async def close(self) -> None:
        """Let go of the segments and of numbers that were not used. No run of them goes on."""
        for base, unused in self._numbers.items():
            await asyncio.to_thread(self._runs().names.give_back, base, unused)
        self._numbers = {}
        segments = [*self._full, *([] if self.segment is None else [self.segment])]
        self.segment, self._full = None, []
        for segment in segments:
            await asyncio.to_thread(segment.close)

    async def _own_file(self, meta: RunMeta, base: str, reuse: Mapping[str, bytes]) -> "NewJournal":
        private_directory(self._home)
        runs = self._runs()
        path, lock = runs.journal_path(meta.run_id), runs.lock(meta.run_id)
        lock.acquire_file(self._pid)

        def make() -> tuple[RunMeta, SqliteStore]:
            name = meta.name
            if name is None:
                name = runs.names.next(base, meta.run_id)
            else:
                runs.names.choose(name, meta.run_id)
            named = msgspec.structs.replace(meta, name=name)
            try:
                return named, SqliteStore.create(path, named, reuse)
            except BaseException:
                runs.names.forget(meta.run_id)
                raise

        def undo(made: tuple[RunMeta, SqliteStore]) -> None:
            _forget(made[1], path)
            runs.names.forget(meta.run_id)

        try:
            named, store = await in_thread(make, undo)
        except BaseException:
            lock.release()
            raise
        return NewJournal(named, store, lock)

    async def _shared(self, meta: RunMeta) -> "NewJournal":
        segment = self.segment
        if segment is None or segment.full:
            async with self._opening:
                segment = self.segment
                if segment is None or segment.full:
                    segment = await self._next()
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(error: JournalFailed | None) -> None:
            if durable.cancelled():
                return
            if error is None:
                durable.set_result(None)
            else:
                durable.set_exception(error)
                durable.exception()  # perhaps nothing waits for it any more

        store = segment.add(meta, done)
        return NewJournal(meta, store, store, durable)

    async def _next(self) -> Segment:
        """Return a new segment; full ones go when nothing of theirs goes on."""
        if self.segment is not None:
            self._full.append(self.segment)
            self.segment = None
        for idle in [one for one in self._full if one.idle]:
            self._full.remove(idle)
            await asyncio.to_thread(idle.close)
        private_directory(self._home)
        runs, name = self._runs(), new_run_id()
        folder = runs.journal_path(name).parent
        lock = SegmentLock(runs.segment_lock(segment_path(folder, name)))
        loop = asyncio.get_running_loop()

        def post(told: Callable[[], None]) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(told)

        made = await in_thread(lambda: Segment.create(folder, name, lock, runs.lock, post), Segment.close)
        self.segment = made
        return made


async def in_thread(call: Callable[[], Made], undo: Callable[[Made], object]) -> Made:
    """Return what `call` makes in a thread. A caller who is cancelled meanwhile waits for it, and has
    it undone.
    """
    making = asyncio.get_running_loop().run_in_executor(None, call)
    try:
        return await uninterrupted(making)
    except asyncio.CancelledError:
        if not making.cancelled() and making.exception() is None:
            undo(making.result())
        raise


def _forget(store: JournalStore, path: Path) -> None:
    """Delete the journal of a run that nobody knows of yet."""
    store.close()
    remove(path)
