"""Restores after each call what it changed in its process, so that the next call does not see it."""

import os
import signal
import sys
from contextlib import suppress
from typing import Final

_TIMERS: Final = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)


class Surroundings:
    """The outputs that the process has when it is made; timers run during a call alone."""

    def __init__(self, outputs: tuple[int, int]) -> None:
        """`outputs` are copies of the descriptors 1 and 2."""
        self._outputs = outputs
        self._kept = [_identity(number) for number in (1, 2)]
        self._streams = sys.stdout, sys.stderr

    def put_back(self) -> None:
        """Make all of them what they were, as far as that can be. A few microseconds."""
        for timer in _TIMERS:
            signal.setitimer(timer, 0)
        for stream, kept in zip(("stdout", "stderr"), self._streams, strict=True):
            if getattr(sys, stream, None) is not kept and not kept.closed:
                setattr(sys, stream, kept)
        for number, copy, kept in zip((1, 2), self._outputs, self._kept, strict=True):
            if _identity(number) != kept:
                with suppress(OSError):
                    os.dup2(copy, number)


def _identity(number: int) -> tuple[int, int] | None:
    """Which file a descriptor is of; None if it is closed."""
    try:
        found = os.fstat(number)
    except OSError:
        return None
    return found.st_dev, found.st_ino
