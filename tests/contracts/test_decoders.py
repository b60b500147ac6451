"""Every decoder, given a hundred thousand damaged inputs, answers or refuses; it never breaks, nor lies.

Seeded, so that a failure repeats; `make fuzz` tries many more, with seeds of its own.
"""

import os
import random
from collections.abc import Callable, Sequence

import msgspec
import pytest

from symphony.commons.errors import SymphonyError
from symphony.ipc import (
    CODECS,
    EndpointId,
    ErrorPayload,
    EventPayload,
    RequestPayload,
    ResponsePayload,
    Stationery,
)
from symphony.ipc.frames import FrameReader, Kind, frame
from symphony.ipc.handshake import Handshake, farewell, read_farewell
from symphony.ipc.jsonrpc import HeaderFraming, LineFraming, messages
from symphony.ipc.model_calls import (
    Cancel,
    Invoke,
    ModelReady,
    pack_values,
    unpack_from_child,
    unpack_to_child,
)
from symphony.ipc.transports.config import parse_address

FUZZING = os.environ.get("SYMPHONY_HYPOTHESIS") == "fuzz"
ROUNDS = 2_000_000 if FUZZING else 100_000
SEED = random.SystemRandom().getrandbits(32) if FUZZING else 20_130_104

Decode = Callable[[bytes], object]


def envelopes() -> list[bytes]:
    ids = iter(range(1, 1 << 62))
    make = Stationery(
        EndpointId("me"), now_s=lambda: 1_700_000_000.0, random_bits=lambda n: next(ids) % (1 << n)
    )
    asked = make.envelope(
        "ask", RequestPayload("do", {"a": [1, 2.5, None, True, b"\0"], "$k": "é"}, 1.5), recipient="you"
    )
    made = [
        asked,
        make.answer(asked, ResponsePayload([{"x": -1}, "text" * 20])),
        make.answer(asked, ErrorPayload("code", "message", {"d": 1}, "hint")),
        make.envelope("event", EventPayload("a.b.c", {"deep": [[[{}]]]}, 7)),
    ]
    return [codec.encode(one) for codec in CODECS.values() for one in made]


def mutated(rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """One of `seeds`, damaged in one to four places, as streams are damaged and as attackers damage."""
    body = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(6):
            case 0 if body:
                body[at % len(body)] ^= 1 << rng.randrange(8)
            case 1:
                body[at:at] = rng.randbytes(rng.choice((1, 2, 8)))
            case 2:
                del body[at : at + rng.choice((1, 2, 8, 64))]
            case 3:
                body[at : at + 4] = rng.choice(
                    (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\xdd\x7f\xff\xff")
                )
            case 4:
                other = rng.choice(seeds)
                body[at:] = other[rng.randrange(len(other) + 1) :]
            case _:
                body[at:at] = body[: rng.randrange(32)]
    return bytes(body)


def reading(make: Callable[[], object]) -> Decode:
    """Feeds a stream in two pieces to a fresh reader."""

    def decode(body: bytes) -> object:
        reader = make()
        feed = getattr(reader, "feed_frames", None) or reader.feed  # type: ignore[attr-defined]
        return [*feed(body[: len(body) // 2]), *feed(body[len(body) // 2 :])]

    return decode


def round_trip(name: str) -> Decode:
    codec = CODECS[name]

    def decode(body: bytes) -> object:
        envelope = codec.decode(body)
        assert codec.decode(codec.encode(envelope)) == envelope
        return envelope

    return decode


def handshake(role: str) -> Decode:
    def decode(body: bytes) -> object:
        side = Handshake(role, codecs=["msgpack"], token="t", random_bits=lambda n: n)  # type: ignore[arg-type]
        side.start()
        answer = side.step(body)
        assert not side.done, "nobody guesses a token"
        return answer

    return decode


def greetings() -> list[bytes]:
    one, other = (
        Handshake(role, codecs=["msgpack", "json"], token="other", random_bits=lambda n: n)
        for role in ("connector", "listener")
    )
    hello = one.start()
    assert hello is not None
    welcome = other.step(hello)
    assert welcome is not None
    proof = one.step(welcome)
    assert proof is not None
    return [hello, welcome, proof]


STREAM = [b"".join(frame(b"x" * size, kind) for kind in Kind) for size in (0, 3, 300)]
RPC = [
    b'{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
    b'[{"jsonrpc": "2.0", "result": {"a": [1.5, null]}, "id": "x"}, {"jsonrpc": "2.0", "method": "n"}]',
    b'{"jsonrpc": "2.0", "error": {"code": -32600, "message": "no", "data": []}, "id": null}',
]
CALLS = [Invoke(1, pack_values({"a": [1]}), pack_values({})), Cancel(2), ModelReady(3)]

DECODERS: dict[str, tuple[Decode, Sequence[bytes]]] = {
    "frames": (reading(lambda: FrameReader(limit=1000)), STREAM),
    **{f"envelopes in {name}": (round_trip(name), envelopes()) for name in CODECS},
    "greetings to a listener": (handshake("listener"), greetings()),
    "greetings to a connector": (handshake("connector"), greetings()),
    "farewells": (read_farewell, [farewell(SymphonyError("why", hint="so"))]),
    "lines": (reading(lambda: LineFraming(limit=1000)), [b"\n".join(RPC) + b"\n"]),
    "heads": (reading(lambda: HeaderFraming(limit=1000)), [b"".join(map(HeaderFraming().frame, RPC))]),
    "json-rpc": (messages.read, RPC),
    "calls to a model": (unpack_to_child, [msgspec.msgpack.encode(one) for one in CALLS]),
    "answers of a model": (unpack_from_child, [msgspec.msgpack.encode(one) for one in CALLS]),
    "addresses": (
        lambda body: parse_address(body.decode("latin-1")),
        [
            b"unix:///run/a.sock",
            b"tcp://127.0.0.1:80",
            b"tcp://[::1]:80",
            b"shm://name",
            b"memory:x",
            b"stdio:",
        ],
    ),
}


@pytest.mark.parametrize("name", DECODERS)
def test_damaged_input_is_decoded_or_refused_and_nothing_else(name: str) -> None:
    decode, seeds = DECODERS[name]
    rng = random.Random(SEED)
    refused = 0
    for seed in seeds:
        try:
            decode(seed)
        except SymphonyError:
            refused += 1
    if not name.startswith("greetings"):  # which are proofs of a token that this side does not know
        assert refused < len(seeds), "some of the undamaged ones are its own, and sound"
    for number in range(ROUNDS):
        body = mutated(rng, seeds)
        try:
            decode(body)
        except SymphonyError:
            refused += 1
        except BaseException as error:
            raise AssertionError(f"seed {SEED}, input {number}: {body!r} broke it: {error!r}") from error
    if name not in (
        "json-rpc",
        "lines",
    ):  # the one answers with a failure instead, to the other all is a line
        assert refused > ROUNDS // 20, "most damage is noticed"
