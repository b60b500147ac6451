"""The time for which one thread may keep the others from running Python.

Python's own 5 ms starve a thread that writes while the event loop or other threads are busy: it takes
its turn a few times in each commit. With 0.2 ms threads that compute take it from one another all the
time, which costs a tenth of the processor; with 1 ms they do not.
"""

import sys
import threading
from typing import Final

QUICK_S: Final = 0.0002
"""The interval while a journal is written."""
SHARED_S: Final = 0.001
"""The interval while operators run in threads besides."""


class Switching:
    """Sets the interval of this process by which threads are at work. An interval that other code sets
    meanwhile stays. Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._writers = self._operators = 0
        self._before = self._ours = sys.getswitchinterval()

    def writer_begins(self) -> None:
        """Note that a thread waits for what the event loop gives it to write."""
        with self._lock:
            if self._writers == 0:
                self._before = self._ours = sys.getswitchinterval()
            self._writers += 1
            self._set()

    def writer_ends(self) -> None:
        """Note that the thread writes nothing more."""
        with self._lock:
            self._writers -= 1
            self._set()

    def operator_begins(self) -> None:
        """Note that a thread begins to run an operator's code."""
        with self._lock:
            self._operators += 1
            if self._operators == 1 and self._writers:
                self._set()

    def operator_ends(self) -> None:
        """Note that the operator's code has ended."""
        with self._lock:
            self._operators -= 1
            if self._operators == 0 and self._writers:
                self._set()

    def _set(self) -> None:
        most = self._before if not self._writers else SHARED_S if self._operators else QUICK_S
        wanted = min(most, self._before)
        if wanted != self._ours and abs(sys.getswitchinterval() - self._ours) < _SAME_S:
            sys.setswitchinterval(wanted)
            self._ours = wanted


_SAME_S: Final = 1e-6  # Python stores a whole number of microseconds

switching: Final = Switching()
"""The switch interval of this process."""
