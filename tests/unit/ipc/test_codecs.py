"""Envelopes survive every codec; what is none is refused."""

import uuid
from datetime import date
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.ipc import (
    CODECS,
    EndpointId,
    EnvelopeCodec,
    ErrorPayload,
    EventPayload,
    MessageEnvelope,
    MessageHeader,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ipc.model_calls import pack_values

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
KEYS = TEXTS | st.sampled_from(["$", "$bytes", "$$bytes", "$ref", "type"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXTS | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
IDS = st.uuids().map(str)
COUNTS = st.integers(0, 2**63 - 1)
HEADERS = st.builds(MessageHeader, IDS, TEXTS, COUNTS, TEXTS, TEXTS, st.none() | IDS)
PAYLOADS = st.one_of(
    st.builds(RequestPayload, TEXTS, VALUES, st.none() | FLOATS),
    st.builds(ResponsePayload, VALUES),
    st.builds(EventPayload, TEXTS, VALUES, st.none() | COUNTS),
    st.builds(ErrorPayload, TEXTS, TEXTS, VALUES, st.none() | TEXTS),
)
ENVELOPES = st.builds(MessageEnvelope, HEADERS, PAYLOADS)
HEADER = MessageHeader(str(uuid.UUID(int=7)), "t", 1, "me", "you")


def exact(tree: object) -> object:
    """`tree` with its types and orders: 1, 1.0 and True are three things, 0.0 and -0.0 two."""
    if isinstance(tree, dict):
        return [(key, exact(item)) for key, item in tree.items()]
    if isinstance(tree, list):
        return [exact(item) for item in tree]
    if isinstance(tree, msgspec.Struct):
        return type(tree), [exact(item) for item in msgspec.structs.astuple(tree)]
    return type(tree), repr(tree)


@pytest.mark.parametrize("name", CODECS)
@given(envelope=ENVELOPES)
def test_every_envelope_comes_back_as_it_was(name: str, envelope: MessageEnvelope) -> None:
    codec = CODECS[name]
    assert exact(codec.decode(codec.encode(envelope))) == exact(envelope)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize(
    "value",
    [2**63, -(2**63) - 1, float("nan"), [float("inf")], {1: 2}, {"a": (1, 2)}, {"a": [object()]}, "\ud800"],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_value_is_not_sent(name: str, value: object) -> None:
    with pytest.raises(SerializationFailed):
        CODECS[name].encode(MessageEnvelope(HEADER, ResponsePayload(value)))


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("odd", [b"me", {"a"}, ("a",), True], ids=repr)
def test_a_name_of_another_type_is_refused_or_read_as_it_was(name: str, odd: Any) -> None:
    for envelope in (
        MessageEnvelope(MessageHeader(HEADER.message_id, "t", 1, odd), ResponsePayload(1)),
        MessageEnvelope(HEADER, EventPayload(odd)),
        MessageEnvelope(HEADER, ErrorPayload("c", odd)),
        MessageEnvelope(HEADER, RequestPayload(odd)),
    ):
        with pytest.raises(SerializationFailed):
            CODECS[name].decode(CODECS[name].encode(envelope))


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), {1, 2}, (1, 2), date(2024, 1, 1), 2**64, "\ud800", {1: 2}], ids=repr
)
def test_what_is_no_value_is_not_sent_to_a_model(value: Any) -> None:
    with pytest.raises(SerializationFailed):
        pack_values({"a": [value]})


@pytest.mark.parametrize("name", CODECS)
def test_nesting_is_bounded_both_ways(name: str) -> None:
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationFailed, match=r"200 deep|nested so deeply"):
        CODECS[name].encode(MessageEnvelope(HEADER, ResponsePayload(deep)))
    while deep:  # taking it apart at once would exhaust the stack
        deep = deep.pop()


@pytest.mark.parametrize("name", CODECS)
def test_bytes_after_an_envelope_are_refused(name: str) -> None:
    body = CODECS[name].encode(MessageEnvelope(HEADER, ResponsePayload("x")))
    with pytest.raises(SerializationFailed):
        CODECS[name].decode(body + b"\x00")


@pytest.mark.parametrize("name", CODECS)
def test_an_envelope_cut_short_anywhere_is_refused(name: str) -> None:
    body = CODECS[name].encode(MessageEnvelope(HEADER, EventPayload("t", {"a": [1.5, b"x"]}, 3)))
    for end in range(len(body)):
        with pytest.raises(SerializationFailed):
            CODECS[name].decode(body[:end])


def msgpack_of(*payload: object) -> bytes:
    return msgspec.msgpack.encode([msgspec.structs.astuple(HEADER), payload])


def test_message_pack_skips_what_it_does_not_know_and_fills_in_what_is_not_there() -> None:
    header = [*msgspec.structs.astuple(HEADER), "a field of the future"]
    body = msgspec.msgpack.encode([header, ["event", "t", None, None, "another"], "a third"])
    assert CODECS["msgpack"].decode(body) == MessageEnvelope(HEADER, EventPayload("t"))
    assert CODECS["msgpack"].decode(msgpack_of("event", "t")).payload == EventPayload("t")


def test_json_skips_what_it_does_not_know_and_names_its_fields() -> None:
    body = CODECS["json"].encode(MessageEnvelope(HEADER, EventPayload("t", {"a": b"\x00\xff"})))
    tree = msgspec.json.decode(body)
    assert tree["header"]["message_id"] == "00000000-0000-0000-0000-000000000007"
    assert tree["payload"] == {
        "type": "event",
        "topic": "t",
        "data": {"a": {"$bytes": "AP8="}},
        "sequence": None,
    }
    tree["header"]["priority"] = tree["payload"]["colour"] = tree["more"] = 1
    assert CODECS["json"].decode(msgspec.json.encode(tree)).payload == EventPayload("t", {"a": b"\x00\xff"})


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        float("nan"),
        {1: 2},
        msgspec.msgpack.Ext(5, b"x"),
        msgspec.msgpack.Ext(-1, b"\0\0\0\0"),  # a date
    ],
    ids=["a big integer", "not a number", "a key that is no text", "an extension", "a date"],
)
def test_message_pack_can_say_more_than_a_value_and_is_refused_then(value: object) -> None:
    with pytest.raises(SerializationFailed, match="a message cannot hold"):
        CODECS["msgpack"].decode(msgpack_of("response", value))


@pytest.mark.parametrize(
    "text", ['{"$ref": 1}', '{"$bytes": 1}', '{"$bytes": "?"}', '{"\\u0024ref": 1}', "1e999"]
)
def test_json_that_spells_nothing_is_refused(text: str) -> None:
    body = CODECS["json"].encode(MessageEnvelope(HEADER, ResponsePayload("here")))
    with pytest.raises(SerializationFailed):
        CODECS["json"].decode(body.replace(b'"here"', text.encode()))


@pytest.mark.parametrize(
    ("field", "value"),
    [("message_id", "short"), ("timestamp", -1), ("sender", "x" * 256), ("message_type", 5)],
)
def test_a_header_out_of_bounds_is_refused(field: str, value: object) -> None:
    header = {name: getattr(HEADER, name) for name in HEADER.__struct_fields__} | {field: value}
    body = msgspec.msgpack.encode([list(header.values()), ["response", None]])
    with pytest.raises(SerializationFailed):
        CODECS["msgpack"].decode(body)


def test_a_sender_gives_increasing_ids_the_time_and_answers_to_the_one_who_asked() -> None:
    me, you = (Stationery(EndpointId(name), now_s=lambda: 12.5) for name in ("me", "you"))
    asked = [me.envelope("ping", RequestPayload("ping"), recipient="you") for _ in range(50)]
    ids = [one.header.message_id for one in asked]
    assert ids == sorted(set(ids))
    assert {uuid.UUID(one).version for one in ids} == {7}
    answer = you.answer(asked[0], ResponsePayload("pong"))
    assert (answer.header.recipient, answer.header.correlation_id) == ("me", ids[0])
    assert answer.header.timestamp == 12_500_000_000


def test_an_error_is_raised_on_the_other_side_with_its_code_and_hint() -> None:
    error = ErrorPayload("run-not-found", "there is no run 7", {"run": 7}, "list them").as_error()
    assert (error.code, error.message, error.details, error.hint) == (
        "run-not-found",
        "there is no run 7",
        {"run": 7},
        "list them",
    )


def test_codecs_have_the_names_they_are_listed_under() -> None:
    def named(codec: EnvelopeCodec) -> str:
        return codec.name

    assert [named(codec) for codec in CODECS.values()] == list(CODECS)
    assert next(iter(CODECS)) == "msgpack"


def test_bincode_is_what_rust_makes_of_the_same_structures() -> None:
    header = MessageHeader(
        "00112233-4455-6677-8899-aabbccddeeff",
        "t",
        1_000_000_002,
        "me",
        "",
        "ffeeddcc-bbaa-9988-7766-554433221100",
    )
    body = CODECS["bincode"].encode(MessageEnvelope(header, EventPayload("e", {"n": 1}, None)))
    said = [
        "1000000000000000 00112233445566778899aabbccddeeff",  # a UUID: its length, its bytes
        "0100000000000000 74",  # a String
        "0100000000000000 02000000",  # SystemTime: seconds, nanoseconds
        "01 1000000000000000 ffeeddccbbaa99887766554433221100",  # Some(UUID)
        "0200000000000000 6d65",
        "0000000000000000",
        "02000000",  # the enum's third variant
        "0100000000000000 65",
        "07000000 0100000000000000 0100000000000000 6e 02000000 0100000000000000",  # a map: n is the i64 1
        "00",  # None
    ]
    assert body == bytes.fromhex("".join(said))
    assert CODECS["bincode"].decode(body).header == header


@pytest.mark.parametrize(
    "id_", ["x" * 36, "00112233445566778899aabbccddeeff", "00112233-4455-6677-8899-AABBCCDDEEFF"]
)
def test_bincode_carries_no_identifier_that_is_no_uuid(id_: str) -> None:
    header = MessageHeader(id_, "t", 0, "me")
    with pytest.raises(SerializationFailed, match="is not a UUID in lower case"):
        CODECS["bincode"].encode(MessageEnvelope(header, ResponsePayload()))


@pytest.mark.parametrize(
    ("at", "byte", "why"), [(0, 15, "16 bytes, not 15"), (25, 1, "bounds"), (40, 255, "bounds")]
)
def test_bincode_out_of_bounds_is_refused(at: int, byte: int, why: str) -> None:
    body = bytearray(CODECS["bincode"].encode(MessageEnvelope(HEADER, ResponsePayload("x" * 300))))
    body[at] = byte
    if at == 0:
        del body[8]  # an identifier that is a byte short
    if at == 25:
        body[32:33] = b"t" * 257  # a name of 257 characters
    with pytest.raises(SerializationFailed, match=why):
        CODECS["bincode"].decode(body)
