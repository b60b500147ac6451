"""The codec generator: what is written is read back, and whatever the bytes, damage is told with its byte."""

import dataclasses
import enum
import os
import random
import struct
from typing import Annotated, Literal
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.bincode import (
    F32,
    I8,
    U8,
    U16,
    U32,
    U64,
    BincodeInvalid,
    Finite,
    Nanoseconds,
    Plain,
    TypeCodec,
)
from symphony.commons.bincode.hints import Ordered
from symphony.commons.errors import SerializationFailed

_PROFILE = os.environ.get("SYMPHONY_HYPOTHESIS", "default")
ROUNDS = int(os.environ.get("SYMPHONY_FUZZ_ROUNDS", {"fuzz": 400_000, "quick": 400}.get(_PROFILE, 2_000)))
SLOW_ROUNDS = max(ROUNDS, 100_000)


class Colour(enum.Enum):
    RED = "r"
    GREEN = "g"


@dataclasses.dataclass
class Leaf:
    number: U32
    flag: bool
    name: str | None
    colour: Colour
    mode: Literal["slow", "fast"]


class Branch(msgspec.Struct, kw_only=True):
    id: UUID
    at: Nanoseconds
    ratio: Finite
    pairs: list[tuple[int, str]]
    sealed: tuple[bytes, ...]
    below: "dict[str, Leaf | Branch]"
    next: "Branch | None"
    free: Plain


TREES = TypeCodec[Leaf | Branch](Leaf | Branch)
PLAINS = TypeCodec[object](Plain)

_texts = st.text(st.characters(codec="utf-8"), max_size=6)
_integers = st.integers(-(2**63), 2**63 - 1)
_finite = st.floats(allow_nan=False, allow_infinity=False)
_plains = st.recursive(
    st.none() | st.booleans() | _integers | _finite | _texts | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=12,
)
_leaves = st.builds(
    Leaf, st.integers(0, 2**32 - 1), st.booleans(), st.none() | _texts, st.sampled_from(Colour),
    st.sampled_from(["slow", "fast"]),
)  # fmt: skip


def _branches(inner: st.SearchStrategy[Leaf | Branch]) -> st.SearchStrategy[Leaf | Branch]:
    return st.builds(
        Branch, id=st.uuids(), at=st.integers(0, (2**64 - 1) * 10**9), ratio=_finite,
        pairs=st.lists(st.tuples(_integers, _texts), max_size=3),
        sealed=st.lists(st.binary(max_size=4), max_size=3).map(tuple),
        below=st.dictionaries(_texts, inner, max_size=3),
        next=st.none() | inner.filter(lambda one: isinstance(one, Branch)), free=_plains,
    )  # fmt: skip


SAMPLE = Branch(
    id=UUID(int=7), at=1_500_000_000, ratio=0.5, pairs=[(1, "a"), (-1, "é")], sealed=(b"x", b""),
    below={"b": Leaf(1, True, None, Colour.GREEN, "slow"), "a": Leaf(2, False, "n", Colour.RED, "fast")},
    next=None, free={"list": [1, 2.5, None, True, "text", b"\0"], "map": {"deep": [[]]}},
)  # fmt: skip


@given(value=st.recursive(_leaves, _branches, max_leaves=4))
def test_what_is_written_is_read_back(value: Leaf | Branch) -> None:
    body = TREES.encode(value)
    back = TREES.decode(body)
    assert back == value
    assert TREES.encode(back) == body


@given(value=_plains)
def test_plain_values_are_read_back_as_they_were(value: object) -> None:
    body = PLAINS.encode(value)
    back = PLAINS.decode(memoryview(body))
    assert back == value
    assert PLAINS.encode(back) == body


def pairs_of(tree: object) -> object:
    """`tree` with lists of pairs in place of maps, which are equal only in the same order."""
    if isinstance(tree, dict):
        return [(key, pairs_of(item)) for key, item in tree.items()]
    return [pairs_of(item) for item in tree] if isinstance(tree, list) else tree


@given(value=_plains)
def test_maps_of_plain_values_keep_the_order_of_their_keys(value: object) -> None:
    whole = {"z": value, "a": value}
    assert pairs_of(PLAINS.decode(PLAINS.encode(whole))) == pairs_of(whole)


def test_maps_of_a_type_are_written_in_the_order_of_their_keys_unless_they_are_ordered() -> None:
    numbers = {"z": 1, "é": 2, "a": 3}
    pairs = [count(len(key.encode())) + key.encode() + bytes([n]) for key, n in numbers.items()]
    a_to_z = TypeCodec[dict[str, int]](dict[str, U8])
    assert a_to_z.encode(numbers) == count(3) + b"".join([pairs[2], pairs[0], pairs[1]])
    ordered = TypeCodec[dict[str, int]](Ordered[U8])
    assert ordered.encode(numbers) == count(3) + b"".join(pairs)
    for codec in (a_to_z, ordered):
        assert list(codec.decode(count(3) + b"".join(pairs))) == ["z", "é", "a"]


def test_every_beginning_of_a_value_is_cut_off() -> None:
    body = TREES.encode(SAMPLE)
    for length in range(len(body)):
        with pytest.raises(BincodeInvalid) as error:
            TREES.decode(body[:length])
        assert 0 <= int(str(error.value.details["offset"])) <= length


def tag(number: int) -> bytes:
    return number.to_bytes(4, "little")


def count(number: int) -> bytes:
    return number.to_bytes(8, "little")


BAD = [
    (bool, b"\2", 0, "a boolean must be 0 or 1, not 2"),
    (str | None, b"\2", 0, "must be 0 or 1, not 2"),
    (Colour, tag(2), 0, "no variant 2: the last is 1"),
    (Literal["a"], tag(9), 0, "no variant 9"),
    (Leaf | Branch, tag(2) + bytes(40), 0, "no variant 2"),
    (str, count(2) + b"\xff\xfe", 0, "not UTF-8"),
    (str, count(2**64 - 1) + b"a", 0, "cannot be where 1 bytes follow"),
    (bytes, count(5) + b"1234", 0, "count of 5 cannot be where 4 bytes follow"),
    (list[U64], count(2**60), 0, "where 0 bytes follow"),
    (dict[str, U8], count(2**40) + bytes(20), 0, "where 20 bytes follow"),
    (dict[str, U8], count(3) + b"".join(count(1) + x for x in (b"b\1", b"a\1", b"b\2")), 28, "duplicate key"),
    (dict[str, U8], count(2) + (count(1) + b"a\1") * 2, 18, "duplicate key"),
    (Ordered[U8], count(2) + (count(1) + b"a\1") * 2, 18, "duplicate key"),
    (UUID, count(15) + bytes(16), 0, "a UUID has 16 bytes, not 15"),
    (Nanoseconds, count(1) + (10**9).to_bytes(4, "little"), 8, "a second or more"),
    (Finite, struct.pack("<d", float("nan")), 0, "must be finite"),
    (U8, b"\1\2", 1, "1 more bytes follow the end"),
    (U64, b"\1\2", 2, "ends here"),
    (Plain, tag(8) + bytes(8), 0, "no variant 8: the last is 7"),
    (Plain, tag(1) + b"\2", 4, "a boolean must be 0 or 1"),
    (Plain, tag(3) + struct.pack("<d", float("inf")), 4, "must be finite"),
    (Plain, tag(4) + count(1) + b"\x80", 0, "not UTF-8"),
    (Plain, tag(5) + count(9), 4, "count of 9 cannot be where 0 bytes follow"),
    (Plain, tag(6) + count(2**50), 4, "where 0 bytes follow"),
    (Plain, tag(7) + count(2) + (count(1) + b"k" + tag(0)) * 2, 25, "duplicate key"),
    (Plain, (tag(6) + count(1)) * 101 + tag(0), 1200, "too deeply"),
    (Plain, (tag(6) + count(1)) * 100_000, 1200, "too deeply"),
    (Plain, b"", 0, "ends here"),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "body", "offset", "words"), BAD)
def test_damage_is_told_with_its_byte(hint: object, body: bytes, offset: int, words: str) -> None:
    with pytest.raises(BincodeInvalid) as error:
        TypeCodec[object](hint).decode(body)
    assert words in error.value.message
    assert error.value.message.startswith(f"byte {offset}: ")
    assert error.value.details == {"offset": offset}
    assert error.value.hint


def test_records_that_hold_themselves_without_end_are_refused() -> None:
    last = msgspec.structs.replace(SAMPLE, free=None)
    for _ in range(99):
        last = msgspec.structs.replace(SAMPLE, next=last, free=None)
    assert TREES.decode(TREES.encode(last)) == last
    with pytest.raises(SerializationFailed, match="so deeply"):
        TREES.encode(msgspec.structs.replace(last, next=last))
    with pytest.raises(BincodeInvalid, match="too deeply"):
        TypeCodec[Leaf | Branch](Leaf | Branch, depth_max=50).decode(TREES.encode(last))


UNFIT = [
    (U8, 256), (U8, -1), (I8, 128), (int, 2**63), (int, "1"), (F32, 1e300), (Finite, float("inf")), (str, 7),
    (str, "\ud800"), (bytes, "text"), (UUID, "7"), (Colour, "purple"), (Nanoseconds, -1), (Leaf | Branch, 7),
    (list[int], None), (tuple[U8, U8], (1,)), (dict[str, U8], {"a": 999}), (Plain, 2**63), (Plain, {1: 2}),
    (Plain, float("nan")), (Plain, {"a": object()}), (Plain, (1, 2)), (Plain, ["\udfff"]),
]  # fmt: skip


@pytest.mark.parametrize(("hint", "value"), UNFIT)
def test_what_a_type_cannot_carry_is_not_written(hint: object, value: object) -> None:
    with pytest.raises(SerializationFailed):
        TypeCodec[object](hint).encode(value)


@pytest.mark.parametrize("hint", [object, set[int], dict[int, str], int | str, type[int], list, complex])
def test_a_type_without_a_form_is_refused_at_once(hint: object) -> None:
    with pytest.raises(TypeError, match="Bincode"):
        TypeCodec[object](hint)


def test_annotations_of_others_mean_nothing() -> None:
    assert TypeCodec[object](Annotated[U16, "a comment"]).encode(258) == b"\2\1"


def test_a_value_may_be_read_out_of_the_middle() -> None:
    codec = TypeCodec[str](str)
    body = b"??" + codec.encode("text") + b"!!"
    assert codec.decode_from(body, 2) == ("text", len(body) - 2)


def test_a_constructor_that_refuses_is_damage() -> None:
    @dataclasses.dataclass
    class Even:
        number: U8

        def __post_init__(self) -> None:
            if self.number % 2:
                raise ValueError("it is odd")

    assert TypeCodec[Even](Even).decode(b"\2") == Even(2)
    with pytest.raises(BincodeInvalid, match="it is odd"):
        TypeCodec[Even](Even).decode(b"\1")


def mutated(body: bytes, rng: random.Random) -> bytes:
    """`body` after a few accidents: bits, lengths, tags, pieces lost and doubled."""
    out = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                del out[at : at + rng.choice((1, 1, 4, 8, 30))]
            case 2:
                out[at:at] = out[at : at + rng.randrange(40)]
            case 3:
                out[at : at + 8] = rng.choice((0, 1, 8, 2**16, 2**31, 2**63, 2**64 - 1)).to_bytes(8, "little")
            case 4:
                out[at : at + 4] = tag(rng.randrange(10))
            case _:
                out[at:] = b""
    return bytes(out)


def fuzz(rounds: int) -> None:
    """Whatever the bytes: a value that is written as the same bytes, or an error with its byte."""
    seeds = [(TREES, TREES.encode(SAMPLE)), (PLAINS, PLAINS.encode(SAMPLE.free))]
    for seed in range(rounds):
        codec, body = seeds[seed % 2]
        damaged = mutated(body, random.Random(seed))
        try:
            again = codec.encode(codec.decode(damaged))  # type: ignore[arg-type]  # its own value
            assert again == damaged or sorted(again) == sorted(damaged)  # maps of a type come out sorted
        except BincodeInvalid as error:
            assert 0 <= int(str(error.details["offset"])) <= len(damaged)
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


def test_damaged_bytes_give_a_value_or_an_error_with_its_byte() -> None:
    fuzz(ROUNDS)


@pytest.mark.slow
def test_very_many_damaged_bytes_give_a_value_or_an_error_with_its_byte() -> None:
    fuzz(SLOW_ROUNDS)


@given(body=st.binary(max_size=120))
def test_any_bytes_give_a_value_or_an_error(body: bytes) -> None:
    for codec in (TREES, PLAINS):
        try:
            codec.decode(body)
        except BincodeInvalid as error:
            assert error.hint
