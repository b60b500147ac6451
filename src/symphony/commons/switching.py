"""How long one thread may keep the others from running Python.

Python's own 5 ms starve a thread that writes while the event loop is busy: it takes its turn a few
times in each commit. With 0.2 ms threads that compute take it from one another all the time, which
costs a tenth of the processor, so that while any of them runs Python's own interval holds.
"""

import sys
import threading
from typing import Final

QUICK_S: Final = 0.0002


class Switching:
    """The interval of this process, by who is at work: quick while writers are, and no operators.

    An interval that somebody else sets meanwhile stays. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writers = self._operators = 0
        self._before = self._ours = sys.getswitchinterval()

    def writer_begins(self) -> None:
        """A thread waits for what the event loop gives it to write."""
        with self._lock:
            if self._writers == 0:
                self._before = self._ours = sys.getswitchinterval()
            self._writers += 1
            self._set()

    def writer_ends(self) -> None:
        """It writes nothing more."""
        with self._lock:
            self._writers -= 1
            self._set()

    def operator_begins(self) -> None:
        """A thread begins to run code of others."""
        with self._lock:
            self._operators += 1
            if self._operators == 1 and self._writers:
                self._set()

    def operator_ends(self) -> None:
        """It has ended."""
        with self._lock:
            self._operators -= 1
            if self._operators == 0 and self._writers:
                self._set()

    def _set(self) -> None:
        quick = self._writers > 0 and self._operators == 0
        wanted = min(QUICK_S, self._before) if quick else self._before
        if wanted != self._ours and abs(sys.getswitchinterval() - self._ours) < _SAME_S:
            sys.setswitchinterval(wanted)
            self._ours = wanted


_SAME_S: Final = 1e-6  # Python keeps it as a whole number of microseconds

switching: Final = Switching()
"""Of this process."""
