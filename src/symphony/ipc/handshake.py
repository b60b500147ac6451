"""The handshake of two sides of a new connection, before the first message. A state machine; no I/O.

The side that connected speaks first:

1. connector → `Hello`: versions and codecs it knows, and a nonce;
2. listener → `Welcome`: the version and codec that hold, its own nonce and, if a token is asked
for, the proof that it knows it too;
3. connector → `Proof`: that it knows the token. From here on messages may follow.

The token itself never travels: a proof is HMAC-SHA256 over the side's role and both nonces, so a
recording cannot be used again and one side's proof is not the other's. A side that refuses sends a
farewell with its reason instead. Bodies are JSON, whatever codec is agreed on.
"""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

import msgspec

from symphony.commons.errors import SerializationFailed, SymphonyError

VERSIONS = (1,)
"""Versions of the protocol that this side speaks, the best first."""

_NONCE_BITS = 128
HELLO_BYTES_MAX = 4096
"""No step of a handshake is longer: a stranger gets no more room than this."""

_Text: TypeAlias = Annotated[str, msgspec.Meta(max_length=64)]


class HandshakeFailed(SymphonyError):
    """The two sides do not fit together: no version or codec in common."""

    code = "handshake-failed"


class TokenRefused(SymphonyError):
    """A token is missing, or is not the one that the other side knows."""

    code = "token-refused"


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The abilities of the connector; lists hold the preferred first."""

    versions: Annotated[list[int], msgspec.Meta(max_length=16)]
    codecs: Annotated[list[_Text], msgspec.Meta(max_length=16)]
    nonce: _Text


class Welcome(msgspec.Struct, frozen=True, tag="welcome"):
    """The listener's choices for the connection. `proof` is empty where no token is asked for."""

    version: int
    codec: _Text
    nonce: _Text
    proof: _Text = ""


class Proof(msgspec.Struct, frozen=True, tag="proof"):
    """The connector's half of the token, or empty."""

    proof: _Text = ""


class Farewell(msgspec.Struct, frozen=True, tag="farewell"):
    """The reason why a connection ends."""

    code: _Text
    message: str
    hint: str | None = None

    @classmethod
    def of(cls, error: SymphonyError) -> "Farewell":
        """Return the error as a peer may read it: the code and the words, cut to a sensible length."""
        return cls(error.code[:64], error.message[:500], error.hint and error.hint[:500])


_Step: TypeAlias = Hello | Welcome | Proof
_encode = msgspec.json.Encoder().encode
_decode_step = msgspec.json.Decoder(_Step).decode
_decode_farewell = msgspec.json.Decoder(Farewell).decode


def farewell(error: SymphonyError) -> bytes:
    """Return the body of a frame that tells the peer why. Never raises."""
    said = Farewell.of(error)
    try:
        return _encode(said)
    except UnicodeEncodeError:
        return _encode(Farewell(said.code, "the error's message is not Unicode text"))


def read_farewell(body: bytes) -> Farewell:
    """Return what a peer gave as its reason. Raises SerializationFailed."""
    try:
        return _decode_farewell(body)
    except (ValueError, RecursionError) as error:
        raise SerializationFailed(f"a farewell is broken: {error}") from error


class Handshake:
    """One side's part. Feed it the bodies of HELLO frames, send what it gives back."""

    def __init__(
        self,
        role: Literal["connector", "listener"],
        *,
        codecs: Sequence[str],
        token: str | None,
        random_bits: Callable[[int], int],
    ) -> None:
        """`codecs`: names, the preferred first. `random_bits(n)` gives an unpredictable number of n bits."""
        self._role = role
        self._codecs = list(codecs)
        self._token = token
        self._nonce = f"{random_bits(_NONCE_BITS):032x}"
        self._peer_nonce = ""
        self._welcomed = False
        self.codec: str | None = None
        """The name of the codec agreed on."""
        self.done = False
        """True once messages may flow."""

    def start(self) -> bytes | None:
        """Return what to send before anything has come."""
        if self._role == "listener":
            return None
        return _encode(Hello(list(VERSIONS), self._codecs, self._nonce))

    def step(self, body: bytes) -> bytes | None:
        """Return what to send in answer to `body`, if anything.

        Raises HandshakeFailed, TokenRefused or SerializationFailed; then say farewell and end.
        """
        if len(body) > HELLO_BYTES_MAX:
            raise HandshakeFailed(f"a greeting of {len(body):,} bytes")
        try:
            said = _decode_step(body)
        except (ValueError, RecursionError) as error:
            raise SerializationFailed(f"a greeting is broken: {error}") from error
        if self._role == "connector":
            if isinstance(said, Welcome) and not self.done:
                return self._welcome(said)
        elif isinstance(said, Hello) and not self._welcomed:
            return self._hello(said)
        elif isinstance(said, Proof) and self._welcomed and not self.done:
            self._check(said.proof, "connector")
            self.done = True
            return None
        raise HandshakeFailed(f"a {type(said).__name__.lower()} has no place here")

    def _hello(self, hello: Hello) -> bytes:
        version = next((one for one in VERSIONS if one in hello.versions), None)
        if version is None:
            raise HandshakeFailed(
                f"the other side speaks versions {hello.versions} of the protocol, this one {list(VERSIONS)}",
                hint="run the same version of Symphony on both sides",
            )
        self.codec = next((one for one in hello.codecs if one in self._codecs), None)
        if self.codec is None:
            raise HandshakeFailed(
                f"no codec in common: the other side has {hello.codecs}, this one {self._codecs}",
                hint="name a codec of the other side in `codecs`",
            )
        self._peer_nonce = hello.nonce
        self._welcomed = True
        return _encode(Welcome(version, self.codec, self._nonce, self._proof("listener")))

    def _welcome(self, welcome: Welcome) -> bytes:
        if welcome.version not in VERSIONS or welcome.codec not in self._codecs:
            raise HandshakeFailed(f"the other side chose what was not offered: {welcome.codec!r}")
        self.codec = welcome.codec
        self._peer_nonce = welcome.nonce
        self._check(welcome.proof, "listener")
        self.done = True
        return _encode(Proof(self._proof("connector")))

    def _check(self, proof: str, prover: Literal["connector", "listener"]) -> None:
        if hmac.compare_digest(proof.encode(), self._proof(prover).encode()):
            return
        if self._token is None:
            why = "the other side asks for a token"
        else:
            why = "the other side's token is another one" if proof else "the other side has no token"
        raise TokenRefused(why, hint="give the same token to both sides")

    def _proof(self, prover: Literal["connector", "listener"]) -> str:
        if self._token is None:
            return ""
        nonces = (self._nonce, self._peer_nonce)
        ours, theirs = nonces if self._role == "connector" else nonces[::-1]
        said = f"symphony {prover} {ours} {theirs}".encode()
        return hmac.new(self._token.encode(), said, hashlib.sha256).hexdigest()
