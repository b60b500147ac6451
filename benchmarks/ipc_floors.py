"""What a message costs at the least in this interpreter on this machine: the floors beside `ipc.py`.

Bare exchanges between two processes, with nothing of ours around them, and the bare steps of
reading and writing texts. How far a transport or codec is above its floor is what it adds.
"""

import mmap
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

BODY = bytes(256)
PAGE_BYTES = 4096
ASKED, ANSWERED = 0, 8
OVER = 1 << 40

_length = struct.Struct("<Q")


def socket_pair_us(trips: int) -> float:
    """Microseconds of a round trip of 256 bytes over a pair of sockets, blocking. Median."""
    ours, theirs = socket.socketpair()
    with ours, _other("echo", theirs.fileno()):
        theirs.close()

        def trip() -> None:
            ours.sendall(BODY)
            ours.recv(len(BODY))

        took = _median_us(trip, trips)
        ours.close()
    return took


def spinning_us(trips: int) -> float:
    """Microseconds of a round trip of a number in shared memory that both sides look at without pause."""
    number = os.memfd_create("floor")
    os.ftruncate(number, PAGE_BYTES)
    with mmap.mmap(number, PAGE_BYTES) as page, memoryview(page) as view, view.cast("Q") as words:

        def trip() -> None:
            words[ASKED] = asked = words[ANSWERED] + 1
            while words[ANSWERED] != asked:
                pass

        with _other("spin", number):
            os.close(number)
            took = _median_us(trip, trips)
            words[ASKED] = OVER
    return took


def write_texts(texts: Sequence[str]) -> bytes:
    """Every text with its length: the least that a Bincode writer in Python does."""
    parts = []
    for text in texts:
        body = text.encode()
        parts.append(_length.pack(len(body)))
        parts.append(body)
    return b"".join(parts)


def read_texts(data: bytes) -> list[str]:
    """The reverse of `write_texts`."""
    texts, at, size = [], 0, len(data)
    while at < size:
        start = at + 8
        at = start + _length.unpack_from(data, at)[0]
        texts.append(data[start:at].decode())
    return texts


def _median_us(trip: Callable[[], None], trips: int) -> float:
    took = []
    for _ in range(trips):
        began = perf_counter()
        trip()
        took.append(perf_counter() - began)
    return median(took) * 1e6


def _other(role: str, descriptor: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, __file__, role, str(descriptor)], pass_fds=[descriptor])


def _echo(descriptor: int) -> None:
    with socket.socket(fileno=descriptor) as ours:
        while body := ours.recv(len(BODY)):
            ours.sendall(body)


def _spin(descriptor: int) -> None:
    with mmap.mmap(descriptor, PAGE_BYTES) as page, memoryview(page) as view, view.cast("Q") as words:
        while (asked := words[ASKED]) != OVER:
            words[ANSWERED] = asked


if __name__ == "__main__":
    {"echo": _echo, "spin": _spin}[sys.argv[1]](int(sys.argv[2]))
