"""Messages between a worker and its supervisor: small ones in frames, large ones in unnamed files."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.ipc.frames import frame, head
from symphony.ipc.lines import LineSplitter
from symphony.pit.workers.channel import INLINE_BYTES_MAX, ChannelBroken, MessageReceiver, Parcel


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def sent(connection: socket.socket, body: bytes) -> None:
    parcel = Parcel(body)
    try:
        parcel.send(connection)
    finally:
        parcel.close()


def received(receiver: MessageReceiver) -> bytes:
    while True:
        bodies = receiver.receive()
        assert bodies is not None
        if bodies:
            (body,) = bodies
            return bytes(body)


@pytest.mark.parametrize("size", [1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1, 10_000_000])
def test_messages_arrive_whole(pair: tuple[socket.socket, socket.socket], size: int) -> None:
    ours, theirs = pair
    before = psutil.Process().num_fds()
    receiver, body = MessageReceiver(theirs), os.urandom(1024) * (size // 1024 + 1)
    sent(ours, body[:size])
    assert received(receiver) == body[:size]
    assert psutil.Process().num_fds() == before, "no descriptor stays open"


def test_the_end_of_the_stream_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.close()
    assert MessageReceiver(theirs).receive() is None


def test_an_empty_frame_without_a_file_breaks_the_channel(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(frame(b""))
    with pytest.raises(ChannelBroken):
        MessageReceiver(theirs).receive()


def test_a_frame_larger_than_allowed_breaks_the_channel(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.sendall(head(INLINE_BYTES_MAX + 1))
    with pytest.raises(ChannelBroken):
        MessageReceiver(theirs).receive()


def test_who_sends_to_nobody_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    for body in (b"x", b"x" * (INLINE_BYTES_MAX + 1)):
        with pytest.raises(ChannelBroken):
            sent(ours, body)


def test_a_full_disk_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import tempfile

    from symphony.commons.errors import IoFailed

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(IoFailed, match="another process") as caught:
        Parcel(b"x" * (INLINE_BYTES_MAX + 1))
    assert "TMPDIR" in str(caught.value.hint)


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]))), st.data())
def test_lines_do_not_depend_on_how_the_bytes_are_cut(lines: list[str], data: st.DataObject) -> None:
    taken: list[str] = []
    stream = LineSplitter(lambda text: taken.extend(text.split("\n")))
    rest = "".join(line + "\n" for line in lines).encode()
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        stream.feed(rest[:size])
        rest = rest[size:]
    stream.feed(b"")
    assert taken == lines
