"""Which bodies this process has read and not recorded yet: reads are recorded together, and seldom."""

import threading
import time
from typing import Final

from symphony.ports.values import Digest

MANY: Final = 1_000
OFTEN_S: Final = 600.0


class PendingReads:
    """Thread-safe. A read that is lost in a crash only makes an artifact look less used."""

    def __init__(self) -> None:
        self._digests: set[Digest] = set()
        self._since = 0.0
        self._mutex = threading.Lock()

    def note(self, digest: Digest) -> None:
        """Remember a read."""
        if digest in self._digests:
            return
        with self._mutex:
            if not self._digests:
                self._since = time.monotonic()
            self._digests.add(digest)

    @property
    def due(self) -> bool:
        """True if the reads should be recorded before the store is closed."""
        found = len(self._digests)
        return found >= MANY or (found > 0 and time.monotonic() - self._since > OFTEN_S)

    def taken(self) -> set[Digest]:
        """Return the reads, which the caller records, and forget them."""
        with self._mutex:
            digests, self._digests = self._digests, set()
            return digests
