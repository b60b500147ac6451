"""Which texts are addresses, and how a handshake goes wrong."""

import pytest

from symphony.commons.errors import SerializationFailed, SymphonyError, ValidationFailed
from symphony.ipc.handshake import Handshake, HandshakeFailed, TokenRefused, farewell, read_farewell
from symphony.ipc.transports.config import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/a b/é.sock", Address("unix", "/run/a b/é.sock")),
        ("shm://a-b_c.1", Address("shm", "a-b_c.1")),
        ("pipe://x", Address("pipe", "x")),
        ("stdio:", Address("stdio", "")),
        ("memory:x", Address("memory", "x")),
        ("tcp://localhost:0", Address("tcp", "localhost", 0)),
        ("tcp://[::1]:65535", Address("tcp", "::1", 65535)),
    ],
)
def test_an_address_is_read_and_written_the_same(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "unix", "unix:", "unix://relative", "unix:/run/a", "unix:///a\0b", "shm://", "shm://../x", "shm://.x",
        "shm://a/b", "shm:x", "memory://x", "stdio://", "stdio:x", "tcp://", "tcp://h", "tcp://:80", "tcp://h:",
        "tcp://h:65536", "tcp://h:-1", "tcp://h:８", "tcp://a b:80", "tcp://u@h:80", "http://h:8", "x" * 500,
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_with_the_forms_that_there_are(text: str) -> None:
    with pytest.raises(ValidationFailed, match="is not an address") as caught:
        parse_address(text)
    assert "unix:///path" in str(caught.value.hint)
    assert len(caught.value.message) < 300


def pair(ours: str | None, theirs: str | None, bits: int = 7) -> tuple[Handshake, Handshake]:
    def side(role: str, token: str | None) -> Handshake:
        return Handshake(
            role,  # type: ignore[arg-type]
            codecs=["msgpack"],
            token=token,
            random_bits=lambda count: bits,
        )

    return side("connector", ours), side("listener", theirs)


def said(body: bytes | None) -> bytes:
    assert body is not None
    return body


@pytest.mark.parametrize("token", [None, "secret", "é" * 100])
def test_two_sides_that_know_the_same_token_agree(token: str | None) -> None:
    one, other = pair(token, token)
    other.step(said(one.step(said(other.step(said(one.start()))))))
    assert (one.done, other.done, one.codec, other.codec) == (True, True, "msgpack", "msgpack")


@pytest.mark.parametrize(
    ("ours", "theirs", "why"),
    [
        (None, "a", "asks for a token"),
        ("a", None, "has no token"),
        ("a", "b", "another one"),
    ],
)
def test_a_connector_finds_out_a_listener_with_another_token(
    ours: str | None, theirs: str | None, why: str
) -> None:
    one, other = pair(ours, theirs)
    with pytest.raises(TokenRefused, match=why):
        one.step(said(other.step(said(one.start()))))
    assert not one.done


def test_a_proof_sent_back_to_its_maker_is_no_proof() -> None:
    """The listener's own proof, reflected, must not open the door."""
    one, other = pair("secret", "secret")
    welcome = said(other.step(said(one.start())))
    proof = welcome.replace(b'"type":"welcome"', b'"type":"proof"')
    with pytest.raises(TokenRefused):
        other.step(proof)
    assert not other.done


def test_the_token_does_not_travel() -> None:
    one, other = pair("much too secret", "much too secret")
    hello = said(one.start())
    welcome = said(other.step(hello))
    assert b"secret" not in hello + welcome + said(one.step(welcome))


@pytest.mark.parametrize(
    ("body", "error", "why"),
    [
        (b"{}", SerializationFailed, "greeting is broken"),
        (b"x" * 5000, HandshakeFailed, "a greeting of 5,000 bytes"),
        (
            b'{"type":"hello","versions":[9],"codecs":["msgpack"],"nonce":"1"}',
            HandshakeFailed,
            r"versions \[9\]",
        ),
        (b'{"type":"hello","versions":[1],"codecs":[],"nonce":"1"}', HandshakeFailed, "no codec in common"),
        (b'{"type":"proof","proof":""}', HandshakeFailed, "a proof has no place here"),
    ],
)
def test_a_greeting_that_does_not_fit_is_refused(body: bytes, error: type[SymphonyError], why: str) -> None:
    with pytest.raises(error, match=why):
        pair(None, None)[1].step(body)


def test_a_listener_that_chooses_what_was_not_offered_is_refused() -> None:
    one, _ = pair(None, None)
    one.start()
    with pytest.raises(HandshakeFailed, match="chose what was not offered"):
        one.step(b'{"type":"welcome","version":1,"codec":"morse","nonce":"1"}')


def test_a_farewell_says_code_words_and_hint_and_is_cut_to_a_sensible_length() -> None:
    said_back = read_farewell(farewell(SymphonyError("w" * 9000, code="some-code", hint="h")))
    assert (said_back.code, said_back.message, said_back.hint) == ("some-code", "w" * 500, "h")
    assert "not Unicode" in read_farewell(farewell(SymphonyError("\ud800"))).message
