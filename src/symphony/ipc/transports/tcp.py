"""`tcp://HOST:PORT`: for tests and containers. Needs a token, and encrypts nothing: for trusted networks."""

import asyncio
import socket

from symphony.commons.errors import ConfigInvalid, IoFailed
from symphony.ipc.transports.config import Address, TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import AddressInUse, ConnectFailed

_BACKLOG = 1024


async def connect(address: Address, config: TransportConfig) -> Connection:
    """Raises ConnectFailed, TokenRefused; ConfigInvalid without a token."""
    _need_token(config)
    dial = Dial(config)
    try:
        async with asyncio.timeout(config.timeout_s):
            await asyncio.get_running_loop().create_connection(dial.protocol, address.target, address.port)
    except TimeoutError:
        raise ConnectFailed(f"{address} did not answer within {config.timeout_s:g} s") from None
    except ConnectionRefusedError:
        raise ConnectFailed(f"nobody listens at {address}", hint="start the other side first") from None
    except OSError as error:
        raise ConnectFailed(f"cannot connect to {address}: {error.strerror or error}") from error
    return await dial.opened()


async def listen(address: Address, listener: Listener, config: TransportConfig) -> None:
    """Let others who know the token connect. Port 0 takes a free one: `listener.address` tells which.

    Raises AddressInUse, IoFailed; ConfigInvalid without a token.
    """
    _need_token(config)
    try:
        server = await asyncio.get_running_loop().create_server(
            listener.protocol, address.target, address.port, backlog=_BACKLOG
        )
    except OSError as error:
        if isinstance(error, PermissionError | socket.gaierror) or "in use" not in str(error):
            raise IoFailed.of(error, f"listen at {address}") from error
        raise AddressInUse(
            f"somebody listens at {address} already", hint="take another port, or 0"
        ) from error
    port = server.sockets[0].getsockname()[1]
    listener.address = str(address._replace(port=port))

    async def stop() -> None:
        server.close()

    listener.when_closed(stop)


def _need_token(config: TransportConfig) -> None:
    if config.token is None or not config.token.reveal():
        raise ConfigInvalid("tcp needs a token: anybody on the machine can reach a port", hint="set `token`")
