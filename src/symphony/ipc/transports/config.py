"""The options of a connection, and the forms of its address. Pure."""

from pathlib import Path
from typing import Annotated, Literal, NamedTuple, TypeAlias

import msgspec

from symphony.commons.components import RetryPolicy, Seconds
from symphony.commons.errors import ValidationFailed
from symphony.commons.secrets import Secret
from symphony.ipc.frames import FRAME_BYTES_MAX

Scheme: TypeAlias = Literal["unix", "pipe", "shm", "stdio", "tcp", "memory"]
_NAME_CHARACTERS_MAX = 64
_NAME_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-")
PORT_MAX = 65_535

_Bytes: TypeAlias = Annotated[int, msgspec.Meta(ge=4096, le=1 << 30)]


class TransportConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of a connection; the defaults suit messages of a few hundred bytes to a few megabytes."""

    buffer_bytes: _Bytes = 1 << 20
    """Bytes held for a peer that does not read, and messages held for one of us that does not
    ask, before the sender waits; one message may exceed it. Also the size of each `shm` ring."""
    frame_bytes_max: _Bytes = FRAME_BYTES_MAX
    """Largest message, in bytes, either way."""
    timeout_s: Seconds = 5.0
    """Seconds for connecting with the handshake, and for saying goodbye."""
    retry: RetryPolicy = RetryPolicy(attempts=1, initial_s=0.05, max_s=5.0)
    """How often `connect` tries when nobody answers, and how long it waits in between."""
    codecs: tuple[str, ...] = ("msgpack", "json")
    """Codecs that this side accepts, the preferred first; the connector's preference wins."""
    token: Secret | None = None
    """Known to both sides; needed for `tcp`, possible everywhere."""
    connections_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 1024
    """Connections that a listener holds at once; more are turned away."""
    poll: bool = False
    """`shm` only: look for messages without pause. Takes a whole core, answers in microseconds."""
    runtime_dir: Path | None = None
    """Where `shm` sockets are; None: a folder of this user for things that live until logout."""


class Address(NamedTuple):
    """A parsed address. `target` is the path, name or host; `port` is for `tcp`."""

    scheme: Scheme
    target: str
    port: int = 0

    def __str__(self) -> str:
        match self.scheme:
            case "tcp":
                host = f"[{self.target}]" if ":" in self.target else self.target
                return f"tcp://{host}:{self.port}"
            case "stdio" | "memory":
                return f"{self.scheme}:{self.target}"
            case _:
                return f"{self.scheme}://{self.target}"


def parse_address(text: str) -> Address:
    """Return the address that `text` spells. Raises ValidationFailed, with the forms that there are."""
    scheme, colon, rest = text.partition(":")
    if colon:
        target = rest.removeprefix("//")
        slashes = rest.startswith("//")
        if scheme == "unix" and slashes and target.startswith("/") and "\0" not in target:
            return Address("unix", target)
        if (scheme == "shm" or scheme == "pipe") and slashes and _is_name(target):
            return Address("shm" if scheme == "shm" else "pipe", target)
        if scheme == "memory" and not slashes and _is_name(target):
            return Address("memory", target)
        if scheme == "stdio" and not rest:
            return Address("stdio", "")
        if scheme == "tcp" and slashes and (found := _host_and_port(target)) is not None:
            return found
    raise ValidationFailed(
        f"{text!r:.200} is not an address",
        details={"field": "address"},
        hint="write unix:///path/of.sock, shm://NAME, pipe://NAME, tcp://HOST:PORT, memory:NAME or stdio:",
    )


def _is_name(text: str) -> bool:
    return (
        0 < len(text) <= _NAME_CHARACTERS_MAX
        and _NAME_CHARACTERS.issuperset(text)
        and not text.startswith(".")
    )


def _host_and_port(text: str) -> Address | None:
    host, colon, digits = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not colon or not host or not digits.isascii() or not digits.isdigit() or len(digits) > 5:
        return None
    if any(c.isspace() or c in "/?#@[]" for c in host) or int(digits) > PORT_MAX:
        return None
    return Address("tcp", host, int(digits))
