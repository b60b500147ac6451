"""Bodies and records of a store that wait to be written and made durable: many of them together.

A thread that puts a body goes on at once. Files that many threads create at once, each when it has something,
take two to three times as much of the processor: threads spin for the file system's locks while it commits.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from symphony.pit.artifacts.metadata.records import Record
from symphony.ports.values import Digest

Write: TypeAlias = Callable[[Mapping[Digest, bytes], Sequence[Record]], None]
"""Writes bodies and records and makes them durable, the bodies first. If it raises, nothing counts as
written."""


class Unsettled:
    """Bodies that are not durable yet.

    Thread-safe. `settle` also waits for writes by another thread's `settle`.
    """

    def __init__(self, write: Write) -> None:
        self._write = write
        self._bodies: dict[Digest, bytes] = {}
        self._writing: Mapping[Digest, bytes] = {}
        self._records: list[Record] = []
        self._mutex = threading.Lock()
        self._settling = threading.Lock()
        self.size = 0
        """Bytes of the bodies that wait."""

    def __contains__(self, digest: Digest) -> bool:
        return self.body(digest) is not None

    def body(self, digest: Digest) -> bytes | None:
        """The body, if it is not known to be written."""
        body = self._bodies.get(digest)  # in this order, for bodies go from here to there
        return self._writing.get(digest) if body is None else body

    def add(self, record: Record, digest: Digest | None = None, body: bytes = b"") -> None:
        """Remember a record, and with `digest` the body that it is about."""
        with self._mutex:
            self._records.append(record)
            if digest is not None and digest not in self._bodies:
                self._bodies[digest] = body
                self.size += len(body)

    def settle(self) -> None:
        """Return once all that was added before is durable. Raises what `write` raises, losing nothing."""
        with self._settling:
            with self._mutex:
                bodies = self._writing = self._bodies
                self._bodies = {}
                records, self._records = self._records, []
                self.size = 0
            if not records:
                return
            try:
                self._write(bodies, records)
            except BaseException:
                with self._mutex:
                    self._bodies = bodies | self._bodies
                    self._records[:0] = records
                    self.size = sum(map(len, self._bodies.values()))
                raise
            finally:
                self._writing = {}
