"""What a pack looks like: frames are found whatever surrounds them, and bodies cut where they say."""

import hashlib
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.packs.codecs import (
    RAW,
    ZSTD,
    CodecUnknown,
    PayloadDamaged,
    decoded,
    encoded,
)
from symphony.pit.artifacts.packs.frames import (
    ALIVE,
    MAGIC,
    Gap,
    Item,
    ItemKind,
    Lost,
    PackFrame,
    frame_at,
    frame_head,
    frames,
    head_bytes,
    pack_head,
    state_offset,
)
from symphony.pit.artifacts.packs.manifests import CHUNK_MAX, Cutter, Manifest, ManifestDamaged

NAME = "0123456789abcdef"


def frame(bodies: list[bytes], name: str = NAME) -> bytes:
    items, start = [], 0
    for body in bodies:
        items.append(Item(hashlib.sha256(body).digest(), ItemKind.CHUNK, start, len(body), len(body)))
        start += len(body)
    codec, payload = encoded(b"".join(bodies))
    return frame_head(name, codec, start, payload, items) + payload


def found(pack: bytes, start: int = 0) -> list[PackFrame | Lost | Gap]:
    return list(frames(NAME, lambda at, length: pack[at : at + length], start, len(pack)))


def bodies_of(pack: bytes) -> list[bytes]:
    got = []
    for one in found(pack):
        if isinstance(one, PackFrame):
            raw = decoded(one.codec, pack[one.offset + one.head : one.end], one.raw)
            got += [raw[item.start : item.start + item.length] for item in one.items]
    return got


BODIES = st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), max_size=5)


@given(BODIES)
def test_what_is_in_frames_is_found_by_reading_the_pack_from_its_start(groups: list[list[bytes]]) -> None:
    pack = b"".join(map(frame, groups))
    assert bodies_of(pack) == [body for group in groups for body in group]
    assert not any(isinstance(one, Gap) for one in found(pack))


@given(BODIES, st.data())
def test_a_changed_byte_costs_the_frame_that_it_is_in_and_no_other(
    groups: list[list[bytes]], data: st.DataObject
) -> None:
    parts = [frame(group) for group in groups]
    pack = bytearray(b"".join(parts))
    if not pack:
        return
    at = data.draw(st.integers(0, len(pack) - 1))
    pack[at] ^= data.draw(st.integers(1, 255))
    start, left = 0, list[list[bytes]]()
    for part, group in zip(parts, groups, strict=True):
        states = [state_offset(start, number) for number in range(len(group))]
        if not start <= at < start + len(part) or at in states:
            left.append(group)
        start += len(part)
    assert bodies_of(bytes(pack)) == [body for group in left for body in group]


@given(st.binary(max_size=300), st.integers(0, 400))
def test_frames_after_one_that_was_torn_are_found(body: bytes, cut: int) -> None:
    torn, whole = frame([body])[:cut], frame([b"after"])
    got = bodies_of(torn + whole)
    assert got[-1] == b"after"
    assert got in ([b"after"], [body, b"after"])


def test_a_pack_inside_of_a_body_is_no_part_of_the_pack() -> None:
    other = frame([b"inside"], name="f" * 16)
    pack = bytearray(frame([random.Random(1).randbytes(100) + other]))
    pack[5] ^= 0xFF
    assert bodies_of(bytes(pack)) == []
    assert MAGIC in pack[1:]


def test_marking_an_item_as_dead_changes_nothing_else() -> None:
    pack = bytearray(frame([b"one", b"two"]))
    before = frame_at(NAME, 0, bytes(pack))
    pack[state_offset(0, 1)] = 0xFF
    after = frame_at(NAME, 0, bytes(pack))
    assert before is not None
    assert after is not None
    assert [item.state for item in before.items] == [ALIVE, ALIVE]
    assert [item.state for item in after.items] == [ALIVE, 0xFF]
    assert before.items[1]._replace(state=0xFF) == after.items[1]


def test_the_format_of_packs_stays_as_it_is() -> None:
    assert pack_head(NAME).hex() == (
        "73796d70686f6e79207061636b20310a0123456789abcdef"
        + zlib.crc32(pack_head(NAME)[:-4]).to_bytes(4, "little").hex()
    )
    assert head_bytes(0) == 24
    assert head_bytes(2) == 24 + 2 * 46
    body = frame([b"a body"])
    assert body[:12].hex() == "d55379460000010006000000"
    assert body[24:58].hex() == "0002" + hashlib.sha256(b"a body").hexdigest()
    assert body[70:] == b"a body"


@given(st.binary(max_size=5_000))
def test_what_is_encoded_is_decoded(body: bytes) -> None:
    codec, payload = encoded(body)
    assert len(payload) <= len(body)
    assert decoded(codec, payload, len(body)) == body


def test_what_does_not_shrink_is_stored_as_it_is() -> None:
    noise = random.Random(1).randbytes(1_000)
    assert encoded(noise) == (RAW, noise)
    assert encoded(b"a" * 1_000)[0] == ZSTD
    assert encoded(b"a" * 10) == (RAW, b"a" * 10)


def test_a_payload_that_claims_another_length_is_refused_before_it_is_unpacked() -> None:
    codec, payload = encoded(bytes(1_000_000))
    for size in (0, 999_999, 1_000_001):
        with pytest.raises(PayloadDamaged):
            decoded(codec, payload, size)
    with pytest.raises(PayloadDamaged):
        decoded(ZSTD, b"no frame of zstd", 10)
    with pytest.raises(CodecUnknown, match="does not know"):
        decoded(77, b"", 0)


@given(st.integers(0, 2**32), st.lists(st.integers(1, 200_000), max_size=8))
def test_where_a_body_is_cut_does_not_depend_on_its_pieces(seed: int, sizes: list[int]) -> None:
    body = random.Random(seed).randbytes(sum(sizes))
    whole, pieces = Cutter(), Cutter()
    expected = [*whole.feed(body), *whole.end()]
    got, at = list[bytes](), 0
    for size in sizes:
        got += pieces.feed(body[at : at + size])
        at += size
    got += pieces.end()
    assert got == expected
    assert b"".join(got) == body
    assert all(0 < len(chunk) <= CHUNK_MAX for chunk in got)


def test_two_versions_of_a_body_share_the_chunks_that_are_the_same() -> None:
    body = random.Random(3).randbytes(2_000_000)
    changed = body[:700_000] + b"inserted" + body[700_000:]
    cuts = []
    for version in (body, changed):
        cutter = Cutter()
        cuts.append({*cutter.feed(version), *cutter.end()})
    assert len(cuts[0]) > 80
    assert len(cuts[1] - cuts[0]) <= 3


def test_a_manifest_is_read_as_it_was_written_or_refused() -> None:
    manifest = Manifest()
    for number in range(3):
        manifest.add(bytes([number]) * 32, number + 1)
    body = manifest.encoded()
    read = Manifest.decoded(body, 6)
    assert read == manifest
    assert (read.size, read.count, read[2]) == (6, 3, (b"\2" * 32, 3))
    for damaged in (b"", body[:-1], body[:40] + b"!" + body[41:], body + bytes(36)):
        with pytest.raises(ManifestDamaged):
            Manifest.decoded(damaged, 6)
    with pytest.raises(ManifestDamaged):
        Manifest.decoded(body, 7)
