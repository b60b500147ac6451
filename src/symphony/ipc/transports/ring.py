"""A ring of bytes in memory that two processes share: one writes, the other reads. No I/O.

Each side keeps its own count of bytes moved and publishes it; it looks at the other's count and
never trusts it. The order of the stores matters, and Python promises none: a fence makes it.
Source: the single-producer single-consumer queue of L. Lamport, "Specifying Concurrent Program
Modules", 1983; the sleeping flags are Dekker's: set your own, then look at the other's.
"""

import threading

from symphony.commons.errors import SymphonyError

HEAD_BYTES = 256
"""Before the data: four numbers of 8 bytes, each in a cache line of its own."""

_LINE_WORDS = 8
_WRITTEN, _READ, _READER_SLEEPS, _WRITER_SLEEPS = (number * _LINE_WORDS for number in range(4))


class RingBroken(SymphonyError):
    """The other side's count is impossible."""

    code = "frame-broken"


class _End:
    """The part that both ends share."""

    def __init__(self, memory: memoryview) -> None:
        """`memory`: HEAD_BYTES and then the data. Zeros where the ring is new."""
        self._words = memory[:HEAD_BYTES].cast("Q")
        self._data = memory[HEAD_BYTES:]
        self._size = len(self._data)
        self._moved = 0
        # A fence is `_unlock(); _lock()`: stores before it are seen before stores after it, and by
        # later loads. A lock that is released is a store-release, one that is taken a load-acquire,
        # on one and the same word: neither may pass the other, in hardware or compiler.
        lock = threading.Lock()
        self._unlock, self._lock = lock.release, lock.acquire
        self._lock()

    def release(self) -> None:
        """Let go of the memory."""
        self._words.release()
        self._data.release()

    def _between(self, written: int, read: int) -> int:
        """Bytes in the ring. Raises RingBroken."""
        if not 0 <= written - read <= self._size:
            raise RingBroken(
                f"the other side's count is {written - read:,} off in a ring of {self._size:,} bytes"
            )
        return written - read


class RingWriter(_End):
    """The end that writes."""

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Put as much of `data` as there is room for; how many bytes that was. Raises RingBroken."""
        count, size = len(data), self._size
        room = size - self._between(self._moved, self._words[_READ])
        if count > room:
            count, data = room, memoryview(data)[:room]
        if count == 0:
            return 0
        self._unlock()
        self._lock()
        start = self._moved % size
        if start + count <= size:
            self._data[start : start + count] = data
        else:
            first = size - start
            self._data[start:] = data[:first]
            self._data[: count - first] = data[first:]
        self._moved += count
        self._unlock()
        self._lock()
        self._words[_WRITTEN] = self._moved
        self._unlock()
        self._lock()
        return count

    def reader_sleeps(self) -> bool:
        """True if the reader must be woken. Asked after writing; true once for each time it fell asleep."""
        if self._words[_READER_SLEEPS]:
            self._words[_READER_SLEEPS] = 0
            return True
        return False

    def sleep(self) -> bool:
        """Ask to be woken when there is room. False if there is some already: then do not sleep."""
        self._words[_WRITER_SLEEPS] = 1
        self._unlock()
        self._lock()
        return self._between(self._moved, self._words[_READ]) == self._size


class RingReader(_End):
    """The end that reads."""

    def read(self, limit: int) -> bytes:
        """Return what is there, at most `limit` bytes; empty if nothing is. Raises RingBroken."""
        count = min(self._between(self._words[_WRITTEN], self._moved), limit)
        if count == 0:
            return b""
        self._unlock()
        self._lock()
        start = self._moved % self._size
        data = self._data[start : start + count].tobytes()
        if len(data) < count:
            data += self._data[: count - len(data)]
        self._moved += count
        self._unlock()
        self._lock()
        self._words[_READ] = self._moved
        self._unlock()
        self._lock()
        return data

    def writer_sleeps(self) -> bool:
        """True if the writer must be woken. Asked after reading; true once for each time it fell asleep."""
        if self._words[_WRITER_SLEEPS]:
            self._words[_WRITER_SLEEPS] = 0
            return True
        return False

    def sleep(self) -> bool:
        """Ask to be woken when there is something. False if there is already: then do not sleep."""
        self._words[_READER_SLEEPS] = 1
        self._unlock()
        self._lock()
        return self._words[_WRITTEN] == self._moved

    def stay_awake(self) -> None:
        """Spare the writer the waking."""
        self._words[_READER_SLEEPS] = 0

    def looks(self, times: int) -> bool:
        """Look so many times, about 0.1 µs each, whether there is something to read."""
        words, moved = self._words, self._moved
        for _ in range(times):  # noqa: SIM110  `any` takes twice as long to see it
            if words[_WRITTEN] != moved:
                return True
        return False
