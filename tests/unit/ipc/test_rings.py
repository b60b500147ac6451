"""Rings in shared memory: nothing lost, nothing believed."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ipc.transports.ring import HEAD_BYTES, RingBroken, RingReader, RingWriter

SIZE = 16


def ends() -> tuple[RingWriter, RingReader, bytearray]:
    memory = bytearray(HEAD_BYTES + SIZE)
    return RingWriter(memoryview(memory)), RingReader(memoryview(memory)), memory


@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(1, 20)), max_size=30))
def test_what_goes_in_comes_out_whatever_the_pieces(steps: list[tuple[bytes, int]]) -> None:
    writer, reader, _ = ends()
    sent, got = bytearray(), bytearray()
    for data, limit in steps:
        count = writer.write(memoryview(data))
        assert count == min(len(data), SIZE - (len(sent) - len(got)))
        sent += data[:count]
        got += reader.read(limit)
    while rest := reader.read(7):
        got += rest
    assert got == sent


def test_a_sleeper_is_woken_once_and_does_not_sleep_when_there_is_something() -> None:
    writer, reader, _ = ends()
    assert reader.sleep()
    writer.write(memoryview(b"x"))
    assert writer.reader_sleeps()
    assert not writer.reader_sleeps()
    assert not reader.sleep()
    assert reader.looks(1)
    writer.write(memoryview(bytes(SIZE)))
    assert writer.sleep()
    reader.read(SIZE)
    assert reader.writer_sleeps()
    assert not writer.sleep()


@pytest.mark.parametrize("count", [SIZE + 1, 2**64 - 1])
def test_a_count_that_cannot_be_is_refused(count: int) -> None:
    writer, reader, memory = ends()
    words = memoryview(memory)[:HEAD_BYTES].cast("Q")
    words[0] = count
    with pytest.raises(RingBroken):
        reader.read(SIZE)
    words[8] = count
    with pytest.raises(RingBroken):
        writer.write(memoryview(b"x"))


@pytest.mark.slow
def test_two_processes_move_a_stream_without_losing_a_byte() -> None:
    """No waking at all: only the order of the stores is tried."""
    program = """
import mmap, os, sys
from symphony.ipc.transports.ring import HEAD_BYTES, RingWriter
number, size, total = map(int, sys.argv[1:])
writer = RingWriter(memoryview(mmap.mmap(number, HEAD_BYTES + size)))
pattern = bytes(range(251)) * 20
sent = 0
while sent < total:
    sent += writer.write(memoryview(pattern)[sent % 251 : sent % 251 + min(4000, total - sent)])
"""
    import mmap

    size, total = 1000, 500_000
    number = os.memfd_create("ring")
    os.ftruncate(number, HEAD_BYTES + size)
    reader = RingReader(memoryview(mmap.mmap(number, HEAD_BYTES + size)))
    command = [sys.executable, "-c", program, str(number), str(size), str(total)]
    with subprocess.Popen(command, pass_fds=[number]) as child:
        got = 0
        while got < total:
            data = reader.read(size)
            assert data == bytes(at % 251 for at in range(got, got + len(data)))
            got += len(data)
            assert data or child.poll() in (None, 0)
    os.close(number)
    assert got == total
