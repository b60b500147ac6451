"""The bytes of values: one way to write each, lossless, and refused with a place where they are none."""

import hashlib
import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.pit.artifacts.values.codec import (
    body_of,
    decode_sealed,
    decode_value,
    encode_plain,
    encode_value,
    encoded_map,
    value_digest,
    value_of,
)
from symphony.pit.artifacts.values.keys import KeyBeginning, cache_key
from symphony.pit.artifacts.values.redaction import Redactor
from symphony.pit.artifacts.values.sealed import Part, Sealed, SealedMap, SealedValue, hidden
from symphony.ports.values import VALUE_DEPTH_MAX, ArtifactRef, Digest, StoredValue, Value

REF = ArtifactRef(digest=Digest("ab" * 32), size=7, content_type="text/plain", name="né", encoding="text")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        texts,
        st.binary(max_size=8),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(texts, inner, max_size=4)),
    max_leaves=12,
)


def same(one: object, two: object) -> bool:
    """Equal, and of equal types all the way down."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(item, two[key]) for key, item in one.items())
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(same, one, two))
    if isinstance(one, float) and isinstance(two, float):
        return one == two and math.copysign(1, one) == math.copysign(1, two)
    return type(one) is type(two) and one == two


@given(values)
def test_a_value_comes_back_as_it_was(value: Value) -> None:
    assert same(decode_value(encode_value(value)), value)
    body, encoding, _ = body_of(value)
    assert same(value_of(body, encoding), value)


@given(st.dictionaries(texts, values, max_size=20))
def test_a_map_is_put_together_of_the_bytes_of_its_values(held: dict[str, Value]) -> None:
    assert encoded_map({key: encode_value(value) for key, value in held.items()}) == encode_value(held)
    assert encode_plain(held) == encode_value(held)


@pytest.mark.parametrize("count", [0, 15, 16, 65_535, 65_536])
def test_maps_of_every_length_are_put_together(count: int) -> None:
    held: dict[str, Value] = {str(key): None for key in range(count)}
    assert encoded_map(dict.fromkeys(held, encode_value(None))) == encode_value(held)


def reversed_keys(item: Value) -> Value:
    if isinstance(item, dict):
        return {key: reversed_keys(item[key]) for key in reversed(item)}
    return [reversed_keys(i) for i in item] if isinstance(item, list) else item


@given(values)
def test_a_map_of_the_same_keys_in_another_order_is_another_value(value: Value) -> None:
    other = reversed_keys(value)
    assert other == value
    moved = json.dumps(other, default=str) != json.dumps(value, default=str)
    assert (encode_value(other) != encode_value(value)) is moved
    assert (value_digest(other) != value_digest(value)) is moved


@given(values)
def test_maps_keep_the_order_of_their_keys_also_inside_sealed_forms(value: Value) -> None:
    secret = "topsecret-9"
    redactor = Redactor({"TOKEN": secret})
    for whole in (value, {"z": value, secret: {"b": secret, "a": value}, "a": {f"x{secret}": 1, "w": 2}}):
        body = encode_value(whole)
        assert in_order(decode_value(body)) == in_order(whole)
        sealed = encode_value(redactor.seal(whole))
        assert in_order(redactor.unseal(decode_sealed(sealed))) == in_order(whole)  # type: ignore[arg-type]
        shown = hidden(decode_sealed(sealed))
        assert in_order(shown) == in_order(masked(whole, secret))  # type: ignore[arg-type]


def in_order(item: Value) -> object:
    """`item` with lists of pairs in place of maps, which are equal only in the same order."""
    if isinstance(item, dict):
        return [(key, in_order(inner)) for key, inner in item.items()]
    return [in_order(inner) for inner in item] if isinstance(item, list) else item


def masked(item: Value, secret: str) -> Value:
    if isinstance(item, dict):
        return {key.replace(secret, "***"): masked(inner, secret) for key, inner in item.items()}
    if isinstance(item, list):
        return [masked(inner, secret) for inner in item]
    return item.replace(secret, "***") if isinstance(item, str) else item


def test_sealed_maps_that_were_written_in_the_order_of_their_bytes_are_read() -> None:
    pairs = [("a", 1), (Sealed("text", (Part("TOKEN", "raw", 0, -1),)), 2)]
    form = SealedMap(tuple(reversed(pairs)))  # type: ignore[arg-type]
    assert decode_sealed(encode_value(form)) == form
    assert encode_value(form) != encode_value(SealedMap(tuple(pairs)))  # type: ignore[arg-type]


def test_the_bytes_are_plain_messagepack() -> None:
    assert encode_value({"b": [1, -1, 1.0], "a": None}) == bytes.fromhex(
        "82a1629301ffcb3ff0000000000000a161c0"
    )
    assert msgspec.msgpack.decode(encode_value({"x": [b"1", "1"]})) == {"x": [b"1", "1"]}


def test_references_travel_at_any_depth() -> None:
    for value in (REF, [1, REF], {"a": {"b": [REF]}}):
        assert decode_value(encode_value(value)) == value  # type: ignore[arg-type]


def test_a_reference_to_a_sealed_body_travels_and_counts_by_it() -> None:
    one = msgspec.structs.replace(REF, sealed=Digest("cd" * 32))
    other = msgspec.structs.replace(REF, sealed=Digest("ef" * 32))
    assert decode_value(encode_value({"a": [one]})) == {"a": [one]}
    assert decode_value(encode_value(REF)) == REF
    assert len({value_digest(REF), value_digest(one), value_digest(other)}) == 3
    assert len({value_digest([REF]), value_digest([one]), value_digest([other])}) == 3  # type: ignore[list-item]


def test_a_value_has_the_same_digest_inline_and_by_reference() -> None:
    for value in ("text", b"text", [1, {"a": 2.0}], {}, None, 5):
        body, encoding, content_type = body_of(value)
        ref = ArtifactRef(
            digest=Digest(hashlib.sha256(body).hexdigest()),
            size=len(body),
            content_type=content_type,
            name="any",
            encoding=encoding,
        )
        assert value_digest(ref) == value_digest(value)


def test_different_values_have_different_digests() -> None:
    different: list[StoredValue] = [
        None,
        False,
        0,
        0.0,
        "",
        b"",
        "0",
        [],
        {},
        [None],
        {"": None},
        REF,
        "a",
        b"a",
    ]
    assert len({value_digest(value) for value in different}) == len(different)


def test_a_reference_counts_by_its_content_alone() -> None:
    renamed = msgspec.structs.replace(REF, name="other", content_type="a/b")
    assert value_digest(renamed) == value_digest(REF)
    inside: list[SealedValue] = [[REF], [renamed]]
    one, two = (value_digest(item) for item in inside)  # type: ignore[arg-type]
    assert one == two


DEEP: Value = None
for _ in range(VALUE_DEPTH_MAX):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (2**63, "it is an integer beyond 64 bits"),
        ({"a": [1, -(2**63) - 1]}, r".a\[1\] is an integer beyond"),
        (math.nan, "it is a number that is not finite"),
        ([0.0, {"b": [1.5, math.inf]}], r"\[1\].b\[1\] is a number that is not finite"),
        ([0.5] * 9 + [-math.inf], r"\[9\] is a number that is not finite"),
        ({1: 2}, "a map with the key 1, which is not a string"),
        ({"a": {None: 2}}, ".a is a map with the key None"),
        ([(1,)], r"\[0\] is of type tuple"),
        ({"s": {1}}, ".s is of type set"),
        (object(), "it is of type object"),
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        ([DEEP], "nested more than 200 deep"),
    ],
)
def test_what_is_no_value_is_refused_with_its_place(value: object, words: str) -> None:
    for act in (encode_value, value_digest, body_of):
        with pytest.raises(SerializationFailed, match=words):
            act(value)  # type: ignore[operator]


def test_values_may_nest_as_deep_as_promised() -> None:
    assert decode_value(encode_value(DEEP)) == DEEP


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\xc0\xc0",
        b"\xdd\xff\xff\xff\xff\x01",
        b"\xdf\xff\xff\xff\xff",
        b"\x91" * 300 + b"\xc0",
        b"\x91" * 200_000 + b"\xc0",
        b"\x81\x01\x02",
        b"\x81\x91\x01\x02",
        b"\xcf" + b"\xff" * 8,
        b"\xcb\x7f\xf8" + bytes(6),
        b"\xd6\xff" + bytes(4),
        b"\xa1\xff",
        b"\xd4\x01\x01",
        b"\xd4\x09\x01",
        b"\xc7\x03\x03\x91\x01\x02",
    ],
    ids=lambda body: body[:8].hex(),
)
def test_bytes_that_are_no_value_are_refused(body: bytes) -> None:
    for decode in (decode_value, decode_sealed):
        with pytest.raises(SerializationFailed):
            decode(body)


@given(st.binary(max_size=40))
def test_no_bytes_do_more_harm_than_that(body: bytes) -> None:
    try:
        value = decode_sealed(body)
    except SymphonyError:
        return
    assert decode_sealed(encode_value(value)) == value


@pytest.mark.parametrize(
    "fields",
    [("xyz", 1, "", None, "text"), ("ab" * 32, -1, "", None, "text"), ("ab" * 32, "1", "", None, "t")],
)
def test_a_bad_reference_is_refused(fields: tuple[object, ...]) -> None:
    packed = msgspec.msgpack.encode(msgspec.msgpack.Ext(1, msgspec.msgpack.encode(fields)))
    with pytest.raises(SerializationFailed):
        decode_value(packed)


def test_sealed_forms_travel_and_only_where_they_are_expected() -> None:
    form: SealedValue = {
        "m": SealedMap(
            ((Sealed("text", ("a", Part("N", "raw", 0, -1))), [1]), ("k", Sealed("bytes", (b"x",))))
        ),
        "n": Sealed("integer", ("-", Part("N", "raw", 2, 4))),
    }
    wire = encode_value(form)
    assert encode_value(decode_sealed(wire)) == wire
    with pytest.raises(SerializationFailed, match="sealed secret"):
        decode_value(wire)
    mixed = msgspec.msgpack.encode(msgspec.msgpack.Ext(2, msgspec.msgpack.encode(("bytes", ["text"]))))
    with pytest.raises(SerializationFailed, match="another literal"):
        decode_sealed(mixed)


def test_a_body_in_an_unknown_or_wrong_encoding_is_refused() -> None:
    for body, encoding, words in (
        (b"x", "zip", "unknown encoding 'zip'"),
        (b"ok \xff", "text", "not UTF-8 at byte 3"),
        (encode_value(REF), "msgpack", "itself a reference"),
    ):
        with pytest.raises(SerializationFailed, match=words):
            value_of(body, encoding)


def test_a_key_is_made_of_one_list_whoever_begins_it() -> None:
    parts: list[Value] = [2, "op", "1.0.0", "f", {"a": 1, "b": [2]}, {"x": "d1", "y": "d2"}]
    key = hashlib.sha256(encode_value(parts)).hexdigest()
    assert cache_key("op", "1.0.0", "f", {"b": [2], "a": 1}, {"y": "d2", "x": "d1"}) == key
    beginning = KeyBeginning("op", "1.0.0", "f", {"a": 1, "b": [2]})
    assert [beginning.key({"x": "d1", "y": "d2"}) for _ in range(2)] == [key, key]


@pytest.mark.parametrize("value", [None, True, False, 0, -1, 2**63 - 1, -(2**63)])
def test_a_scalar_has_the_digest_of_its_bytes(value: Value) -> None:
    inner = hashlib.sha256(encode_value(value)).hexdigest()
    assert value_digest(value) == hashlib.sha256(f"msgpack:{inner}".encode()).hexdigest()


@pytest.mark.parametrize("names", [("x",), ("b", "a"), ("%s", "%b", "é", "?" * 64), ()])
@pytest.mark.parametrize("others", [{}, {":cwd": "c" * 64, "m": "?" * 64}])
def test_keys_of_the_same_inputs_are_filled_in(names: tuple[str, ...], others: dict[str, str]) -> None:
    beginning = KeyBeginning("op", "1.0.0", "f", {})
    fill = beginning.of(names, others)
    for number in range(3):
        digests = {name: value_digest(f"{name} {number}") for name in sorted(names)}
        assert fill(list(digests.values())) == beginning.key({**others, **digests})


def test_a_key_changes_with_each_part_and_not_with_the_order_of_names() -> None:
    base = cache_key("op", "1.0.0", "f", {"a": 1, "b": [2]}, {"x": "d1", "y": "d2"})
    assert base == cache_key("op", "1.0.0", "f", {"b": [2], "a": 1}, {"y": "d2", "x": "d1"})
    others = [
        cache_key("op2", "1.0.0", "f", {"a": 1, "b": [2]}, {"x": "d1", "y": "d2"}),
        cache_key("op", "1.0.1", "f", {"a": 1, "b": [2]}, {"x": "d1", "y": "d2"}),
        cache_key("op", "1.0.0", "g", {"a": 1, "b": [2]}, {"x": "d1", "y": "d2"}),
        cache_key("op", "1.0.0", "f", {"a": 1.0, "b": [2]}, {"x": "d1", "y": "d2"}),
        cache_key("op", "1.0.0", "f", {"a": 1, "b": [2]}, {"x": "d2", "y": "d1"}),
        cache_key("op", "1.0.0", "f", {}, {"x": "d1", "y": "d2"}),
        cache_key("op", "1.0.0", "f", {"a": {"y": 1, "x": 2}}, {}),
        cache_key("op", "1.0.0", "f", {"a": {"x": 2, "y": 1}}, {}),
    ]
    assert len({base, *others}) == 9
    assert len(base) == 64
