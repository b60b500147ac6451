"""A database that may forget its newest rows but never stops anybody: the ground of the cache.

Writes go through a bounded queue to one thread, which commits them in batches. Nothing that
goes wrong with the file reaches a reader or writer: it is logged, and the file made again.
"""

import logging
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

import msgspec

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import private_directory
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    Former,
    check_structure,
    close_with,
    connect,
    database_errors,
    set_aside,
    transaction,
)
from symphony.pit.artifacts.base.failures import file_lock

T = TypeVar("T")
Argument = str | int | float | bytes | None

QUEUE_BYTES_MAX = 64 << 20
_GATHER_S = 0.25
"""Seconds in which statements gather before a commit, which writes whole pages however little they hold."""
_GATHER_BYTES = 1 << 20
"""Unless there are so many."""

logger = logging.getLogger(__name__)


class Write(NamedTuple):
    """One statement to be run, of about `size` bytes."""

    statement: str
    arguments: Sequence[Argument]
    size: int


class _Opened:
    """Two connections to one file: readers never wait for the writer."""

    def __init__(self, path: Path, application: int, schema: str, former: Former) -> None:
        self.writer = connect(path, application=application, schema=schema, former=former)
        try:
            self.reader = connect(path, application=application, schema=schema, former=former)
        except BaseException:
            self.writer.close()
            raise
        close_with(self, self.writer)
        close_with(self, self.reader)

    def close(self) -> None:
        for connection in (self.reader, self.writer):
            with suppress(sqlite3.Error):
                connection.close()


class WriteBehind:
    """Thread-safe, several processes at once. `tidy` is run within each batch, after its writes."""

    def __init__(
        self,
        path: Path,
        *,
        application: int,
        schema: str,
        tidy: Callable[[sqlite3.Connection], None],
        former: Former = MappingProxyType({}),
    ) -> None:
        self._path, self._application, self._schema, self._tidy = path, application, schema, tidy
        self._former = former
        self._opened: _Opened | None = None
        self._gave_up = self._closed = False
        self._reading, self._writing = threading.Lock(), threading.Lock()
        self._opening = threading.Lock()
        self._queue: deque[Write] = deque()
        self._queued_bytes = 0
        self._busy = False
        self._stopping = False
        self._flushing = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def read(self, kind: type[T], query: str, *arguments: Argument) -> list[T]:
        """Rows as `kind`; none if the file is missing or unusable."""
        if self._opened is None and not self._path.exists():
            return []
        for _ in range(2):
            opened = self._open()
            if opened is None:
                break
            try:
                with self._reading, database_errors(f"read {self._path}"):
                    if self._closed:  # since it was opened
                        return []
                    rows = opened.reader.execute(query, arguments).fetchall()
                    return [msgspec.convert(row, kind) for row in rows]
            except DatabaseBroken as error:
                self._discard(opened, error)
            except SymphonyError as error:
                logger.warning("the cache answers nothing: %s", error)
                break
        return []

    def check(self) -> None:
        """Set the file aside if its structure is damaged. O(its size)."""
        opened = self._open() if self._path.exists() else None
        if opened is None:
            return
        try:
            with self._reading, database_errors(f"read {self._path}"):
                check_structure(opened.reader)
        except DatabaseBroken as error:
            self._discard(opened, error)
        except SymphonyError as error:
            logger.warning("the cache answers nothing: %s", error)

    def write(self, statement: str, arguments: Sequence[Argument], size: int) -> bool:
        """Queue one statement of about `size` bytes; False if the queue is full: it is forgotten."""
        return self.write_all([Write(statement, arguments, size)])

    def write_all(self, writes: Sequence[Write]) -> bool:
        """Queue statements for one commit, as `write` does: all of them, or none where there is no room."""
        size = sum(write.size for write in writes)
        with self._changed:
            if self._stopping or self._gave_up or self._queued_bytes + size > QUEUE_BYTES_MAX:
                return False
            before, self._queued_bytes = self._queued_bytes, self._queued_bytes + size
            waking = not self._queue or before < _GATHER_BYTES <= self._queued_bytes
            self._queue.extend(writes)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="symphony-cache", daemon=True)
                self._thread.start()
            if waking and self._queue:
                self._changed.notify_all()
        return True

    def change(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """`work` on the file at once, after all that is queued. Raises StorageFull, IoFailed."""
        self.flush()
        opened = self._open()
        if opened is None:
            raise IoFailed(f"cannot use {self._path}", hint="the log says why")
        try:
            with self._writing, database_errors(f"write {self._path}"):
                try:
                    return work(opened.writer)
                finally:
                    if opened.writer.in_transaction:
                        opened.writer.execute("ROLLBACK")
        except DatabaseBroken as error:
            self._discard(opened, error)
            return self.change(work)

    def flush(self) -> None:
        """Return when all that was queued is in the file."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._queue and not self._busy)
            self._flushing -= 1

    def close(self) -> None:
        """Flush and close. Later writes are dropped, and later reads find nothing."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()
        with self._opening, self._reading, self._writing:
            self._closed = True
            if self._opened is not None:
                self._opened.close()
                self._opened = None

    # -- the writer thread

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._queue or self._stopping)
                if not self._stopping:
                    # More is on its way as a rule: one commit for all of it.
                    self._changed.wait_for(self._pressed, timeout=_GATHER_S)
                batch = list(self._queue)
                self._queue.clear()
                self._queued_bytes, self._busy = 0, bool(batch)
                if not batch:
                    return
            try:
                self._commit(batch)
            except BaseException:
                self._thread = None  # a bug: the next write starts another thread
                raise
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()

    def _pressed(self) -> bool:
        """Return whether the gathered statements must be committed now."""
        return self._stopping or bool(self._flushing) or self._queued_bytes >= _GATHER_BYTES

    def _commit(self, batch: list[Write]) -> None:
        for _ in range(2):
            opened = self._open()
            if opened is None:
                break
            try:
                with self._writing, database_errors(f"write {self._path}"):
                    self._transact(opened.writer, batch)
                break
            except DatabaseBroken as error:
                self._discard(opened, error)
            except SymphonyError as error:
                logger.warning("%d results were not cached: %s", len(batch), error)
                break

    def _transact(self, connection: sqlite3.Connection, batch: list[Write]) -> None:
        with transaction(connection):
            for write in batch:
                connection.execute(write.statement, write.arguments)
            self._tidy(connection)

    # -- the file

    def _open(self) -> _Opened | None:
        with self._opening:
            if self._opened is None and not self._gave_up and not self._closed:
                try:
                    private_directory(self._path.parent)
                    with file_lock(self._path.with_suffix(".lock"), exclusive=True):
                        self._opened = self._open_or_renew()
                except SymphonyError as error:
                    self._gave_up = True
                    logger.warning("nothing is cached: %s", error)
            return self._opened

    def _open_or_renew(self) -> _Opened:
        try:
            return _Opened(self._path, self._application, self._schema, self._former)
        except DatabaseBroken as error:
            set_aside(self._path, error)
        try:
            return _Opened(self._path, self._application, self._schema, self._former)
        except DatabaseBroken as error:
            raise IoFailed(f"{self._path} is unusable even after it was rebuilt: {error}") from error

    def _discard(self, broken: _Opened, why: DatabaseBroken) -> None:
        """Set the file aside, unless another thread has done so already."""
        with self._opening, self._reading, self._writing:
            if self._opened is not broken:
                return
            self._opened = None
            broken.close()
            try:
                with file_lock(self._path.with_suffix(".lock"), exclusive=True):
                    set_aside(self._path, why)
            except SymphonyError as error:
                self._gave_up = True
                logger.warning("nothing is cached: %s", error)
