"""Connections to a NATS server: where it is, who we are, and what goes wrong."""

import asyncio
import base64
import binascii
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from nats.aio.client import Client
from nats.errors import Error as NatsError

from symphony.commons.errors import ConfigInvalid, SymphonyError
from symphony.commons.secrets import Secret
from symphony.ipc.frames import FrameTooLarge

CONNECT_TIMEOUT_S: Final = 3
HEADERS_BYTES_MAX: Final = 256
"""An upper bound of what the server counts besides the body."""
FAILURES: Final = (NatsError, OSError, TimeoutError)
"""The errors of the client library when the server cannot be reached, or refuses."""

_SEED_BYTES = 32
_PREFIX_SEED, _PREFIX_USER = 18 << 3, 20 << 3


class NatsUnavailable(SymphonyError):
    """The NATS server cannot be reached, or refuses us."""

    code = "nats-unavailable"


class StoreRefused(SymphonyError):
    """The NATS server did not store an event of a durable topic."""

    code = "nats-store-refused"


@dataclass(frozen=True, slots=True)
class NatsConfig:
    """The connection of this process to a bus over NATS.

    `servers` are tried in turn. All whose `prefix` is the same share a bus. At most one of `token` and
    `nkey_seed` (the text that begins with `SU`). Topics that match one of the patterns in `durable`,
    which do not overlap, are stored: up to `kept_bytes_max` bytes and `kept_s` seconds for each
    pattern; 0: without a limit.
    """

    servers: tuple[str, ...] = ("nats://127.0.0.1:4222",)
    prefix: str = "symphony"
    token: Secret | None = None
    nkey_seed: Secret | None = None
    tls: ssl.SSLContext | None = None
    tls_hostname: str | None = None
    durable: tuple[str, ...] = ()
    kept_bytes_max: int = 1 << 30
    kept_s: float = 7 * 86_400.0
    again_s: float = 0.1
    """The wait before a lost server is tried again."""


class NKey:
    """An Ed25519 key in the spelling of NATS: base32 of a prefix, the key and a CRC-16."""

    def __init__(self, seed: Secret) -> None:
        """Raises ConfigInvalid if `seed` is not the seed of a user."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(_seed_bytes(seed))
        public = bytes([_PREFIX_USER]) + self._key.public_key().public_bytes_raw()
        self.public = _spelled(public)
        """The key that the server's configuration names."""

    def sign(self, nonce: str) -> bytes:
        """Return the base64 of the signature that the server asks for."""
        return base64.b64encode(self._key.sign(nonce.encode()))


def _spelled(body: bytes) -> str:
    return base64.b32encode(body + _crc16(body)).decode().rstrip("=")


def _crc16(body: bytes) -> bytes:
    """CRC-16/XMODEM, low byte first."""
    return binascii.crc_hqx(body, 0).to_bytes(2, "little")


def _seed_bytes(seed: Secret) -> bytes:
    text = seed.reveal().strip()
    try:
        raw = base64.b32decode(text + "=" * (-len(text) % 8))
    except (ValueError, binascii.Error):
        raw = b""
    # Two bytes of prefixes: five bits say that it is a seed, the next five of what.
    if (
        len(raw) != 2 + _SEED_BYTES + 2
        or _crc16(raw[:-2]) != raw[-2:]
        or raw[0] & 0xF8 != _PREFIX_SEED
        or ((raw[0] & 7) << 5 | raw[1] >> 3) != _PREFIX_USER
    ):
        raise ConfigInvalid(
            "the NKey seed of NATS does not belong to a user",
            details={"field": "nkey_seed"},
            hint="it is one line that begins with SU, made by `nk -gen user`",
        )
    return raw[2:-2]


class _CarefulClient(Client):
    """A client that proves who it is with an NKey, without the library that has no wheel.

    With `encrypted` it says nothing to a server that does not ask for TLS, where the library would
    send its token in the clear.
    """

    def __init__(self, key: NKey | None, *, encrypted: bool) -> None:
        super().__init__()
        self._encrypted = encrypted
        if key is not None:
            self._public_nkey = key.public

    def _connect_command(self) -> bytes:
        if self._encrypted and not self._server_info.get("tls_required"):
            raise NatsError("it does not speak TLS, and nothing was said to it")
        return super()._connect_command()


async def connected(
    config: NatsConfig,
    name: str,
    *,
    no_echo: bool,
    on_error: Callable[[Exception], Awaitable[None]],
    on_back: Callable[[], Awaitable[None]] | None = None,
    on_end: Callable[[], Awaitable[None]] | None = None,
) -> Client:
    """Return a connection. Raises NatsUnavailable, ConfigInvalid.

    With `on_back` it comes back by itself, and that is called whenever it has. `on_end` is called when
    it is over for good, `on_error` for each error on the way.
    """
    key = None if config.nkey_seed is None else NKey(config.nkey_seed)
    client = _CarefulClient(key, encrypted=config.tls is not None)
    refused: list[Exception] = []

    async def failed(error: Exception) -> None:
        refused.append(error)
        del refused[:-1]
        await on_error(error)

    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await client.connect(
                list(config.servers),
                name=name,
                no_echo=no_echo,
                allow_reconnect=on_back is not None,
                max_reconnect_attempts=1,
                reconnect_time_wait=config.again_s,  # type: ignore[arg-type]  # any number of seconds will do
                connect_timeout=CONNECT_TIMEOUT_S,
                ping_interval=5,
                token=None if config.token is None else config.token.reveal(),
                signature_cb=None if key is None else key.sign,
                tls=config.tls,
                tls_hostname=config.tls_hostname,
                error_cb=failed,
                reconnected_cb=on_back,
                closed_cb=on_end,
            )
    except BaseException as error:
        await client.close()
        if isinstance(error, FAILURES):
            raise unavailable(refused[-1] if refused else error) from error
        raise
    client.options["max_reconnect_attempts"] = -1  # a server that was there once is waited for
    return client


async def in_force(client: Client) -> None:
    """Returns when the server has taken all that was sent before, subscriptions among it.

    The library writes its question past what still waits to be written, so that the first answer
    says nothing of that; the second question is written after it.
    """
    asked = asyncio.ensure_future(_asked_twice(client))
    asked.add_done_callback(lambda done: done.cancelled() or done.exception())
    # A question that is given up would have the library stumble over its answer, and read no more.
    await asyncio.shield(asked)


async def _asked_twice(client: Client) -> None:
    await client.flush()
    await client.flush()


def check_size(client: Client, body: bytes) -> None:
    """Raises FrameTooLarge for what the server would end the connection for."""
    limit = client.max_payload - HEADERS_BYTES_MAX
    if len(body) > limit:
        raise FrameTooLarge(len(body), limit)


def unavailable(error: BaseException) -> SymphonyError:
    """Return what a failure of the client library means."""
    return NatsUnavailable(
        f"the NATS server: {str(error) or type(error).__name__}",
        hint="check that it runs, its address, and the token or NKey",
    )
