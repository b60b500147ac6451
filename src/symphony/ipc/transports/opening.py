"""`connect` and `listen`: from an address to connections."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from symphony.ipc.transports import memory, pipe, shm, stdio, tcp, unix
from symphony.ipc.transports.config import Address, TransportConfig, parse_address
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Accept, Listener, Refused, anyone
from symphony.ipc.transports.errors import ConnectFailed, ConnectionLost, PeerRefused, TransportUnsupported

_RANDOM_STEPS = 1 << 20
_PASSING = frozenset({ConnectFailed.code, ConnectionLost.code, PeerRefused.code})
"""Reasons that may be gone a moment later. A wrong token or version will not be."""


def jitter() -> float:
    """Return a number in [0, 1]."""
    return secrets.randbelow(_RANDOM_STEPS + 1) / _RANDOM_STEPS


async def connect(
    address: str, config: TransportConfig | None = None, *, jitter: Callable[[], float] = jitter
) -> Connection:
    """Return a connection to the listener at `address`, ready for messages.

    If nobody answers, it tries again as `config.retry` says; `jitter` draws from [0, 1]. Raises
    ValidationFailed for something that is not an address, ConnectFailed, ConnectionLost, PeerRefused,
    HandshakeFailed, TokenRefused, TransportUnsupported.
    """
    config = config or TransportConfig()
    parsed = parse_address(address)
    attempt = 1
    while True:
        try:
            return await _connect(parsed, config)
        except (ConnectFailed, ConnectionLost) as error:
            if attempt >= config.retry.attempts or error.code not in _PASSING:
                raise
        await asyncio.sleep(config.retry.delay_s(attempt, jitter()))
        attempt += 1


async def listen(
    address: str,
    accept: Accept,
    config: TransportConfig | None = None,
    *,
    refused: Refused | None = None,
) -> Listener:
    """Give `accept` every connection to `address`, once its handshake is done; `refused` hears of the others.

    Raises ValidationFailed for an invalid address, AddressInUse, IoFailed, TransportUnsupported.
    """
    config = config or TransportConfig()
    parsed = parse_address(address)
    admit = unix.same_user if parsed.scheme in ("unix", "shm") else anyone
    listener = Listener(str(parsed), accept, config, refused=refused, admit=admit)
    match parsed.scheme:
        case "unix":
            await unix.listen(Path(parsed.target), listener)
        case "memory":
            memory.listen(parsed.target, listener)
        case "shm":
            await shm.listen(parsed.target, listener, config)
        case "tcp":
            await tcp.listen(parsed, listener, config)
        case "pipe":
            await pipe.listen(parsed.target, listener)
        case "stdio":
            raise TransportUnsupported(
                "nobody can listen at stdio:, it has one other end", hint="use `spawn` to start that one"
            )
    return listener


async def _connect(address: Address, config: TransportConfig) -> Connection:
    match address.scheme:
        case "unix":
            return await unix.connect(Path(address.target), config)
        case "memory":
            return await memory.connect(address.target, config)
        case "shm":
            return await shm.connect(address.target, config)
        case "tcp":
            return await tcp.connect(address, config)
        case "pipe":
            return await pipe.connect(address.target, config)
        case "stdio":
            return await stdio.connect(config)
