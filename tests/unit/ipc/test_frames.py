"""Frames and messages between a model's process and its supervisor."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.ipc.frames import HEAD_BYTES, FrameBroken, FrameReader, FrameTooLarge, Kind, frame
from symphony.ipc.model_calls import (
    Invoke,
    ModelReady,
    pack,
    pack_values,
    unpack_from_child,
    unpack_to_child,
    unpack_values,
)


@given(st.lists(st.binary(max_size=40), max_size=8), st.integers(1, 50))
def test_a_stream_cut_anywhere_gives_the_same_bodies(bodies: list[bytes], size: int) -> None:
    stream = b"".join(map(frame, bodies))
    reader = FrameReader()
    found = [body for at in range(0, len(stream), size) for body in reader.feed(stream[at : at + size])]
    assert found == bodies
    assert reader.held == 0


def test_an_announced_length_beyond_the_limit_is_refused_before_the_body_arrives() -> None:
    reader = FrameReader(limit=10)
    with pytest.raises(FrameTooLarge, match="4,294,967,295 bytes exceeds the limit of 10"):
        reader.feed(b"S\x01\x01\x00\xff\xff\xff\xff")


def test_a_body_beyond_the_limit_is_not_sent() -> None:
    with pytest.raises(FrameTooLarge):
        frame(b"12345", limit=4)


def test_values_come_back_as_they_were() -> None:
    values = {"a": [1, 2.5, None, True, "é", b"\0", {"b": []}]}
    assert unpack_values(pack_values(values)) == values


@pytest.mark.parametrize("value", [2**70, "\ud800", object()])
def test_what_is_no_value_cannot_be_sent(value: object) -> None:
    with pytest.raises(SerializationFailed, match="cannot be sent to a model"):
        pack_values({"a": value})  # type: ignore[dict-item]


@pytest.mark.parametrize("body", [b"", b"\xc1", b"\x80", b"\x91" * 1000, pack(ModelReady(1))[4:-1]])
def test_broken_messages_are_refused(body: bytes) -> None:
    with pytest.raises(SerializationFailed):
        unpack_to_child(body)
    with pytest.raises(SerializationFailed):
        unpack_from_child(body)


def test_ports_that_are_no_map_are_refused() -> None:
    call = unpack_to_child(pack(Invoke(1, pack_values({}), pack_values({})))[HEAD_BYTES:])
    assert isinstance(call, Invoke)
    assert unpack_values(call.inputs) == {}
    import msgspec

    with pytest.raises(SerializationFailed, match="no ports"):
        unpack_values(msgspec.Raw(msgspec.msgpack.encode([1])))
    with pytest.raises(SerializationFailed, match="broken"):
        unpack_values(msgspec.Raw(b"\xc1"))


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (b"HTTP/1.1", "these bytes are not a frame: 48 54 54 50"),
        (b"S\x00\x01\x00\0\0\0\0", "version 0, but this side reads version 1"),
        (b"S\x01\x00\x00\0\0\0\0", "the unknown kind 0"),
        (b"S\x01\x01\x07\0\0\0\0", "the unknown kind 1.7"),
    ],
)
def test_a_head_that_is_none_is_refused_as_soon_as_it_is_whole(head: bytes, why: str) -> None:
    reader = FrameReader()
    assert reader.feed(frame(b"fine") + head[:-1]) == [b"fine"]
    with pytest.raises(FrameBroken, match=why):
        reader.feed(head[-1:])


def test_frames_of_every_kind_come_back_and_only_messages_where_only_they_belong() -> None:
    stream = b"".join(frame(kind.name.encode(), kind) for kind in Kind)
    assert FrameReader().feed_frames(stream) == [(kind, kind.name.encode()) for kind in Kind]
    with pytest.raises(FrameBroken, match="hello has no place here"):
        FrameReader().feed(stream)


def test_a_length_that_was_only_announced_takes_no_memory() -> None:
    reader = FrameReader()
    assert reader.feed(b"S\x01\x01\x00\x04\x00\x00\x00" + b"x" * 10) == []
    assert reader.held == 18
