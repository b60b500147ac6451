"""`pipe://NAME`: named pipes of Windows. Only this glue is particular to them: all else is shared."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import AddressInUse, ConnectFailed, TransportUnsupported

_PREFIX = "\\\\.\\pipe\\symphony-"


class PipeServer(Protocol):
    """A server that takes connections until it is closed."""

    def close(self) -> None: ...


@runtime_checkable
class PipeLoop(Protocol):
    """The part of asyncio's `ProactorEventLoop` that speaks with named pipes."""

    async def create_pipe_connection(
        self, protocol_factory: Callable[[], asyncio.Protocol], address: str
    ) -> object: ...

    async def start_serving_pipe(
        self, protocol_factory: Callable[[], asyncio.Protocol], address: str
    ) -> Sequence[PipeServer]: ...


async def connect(name: str, config: TransportConfig, loop: object = None) -> Connection:
    """Raises ConnectFailed if nobody listens there, TransportUnsupported where there are no named pipes."""
    pipes = _pipes(loop)
    dial = Dial(config)
    try:
        async with asyncio.timeout(config.timeout_s):
            await pipes.create_pipe_connection(dial.protocol, _PREFIX + name)
    except TimeoutError:
        raise ConnectFailed(f"pipe://{name} did not answer within {config.timeout_s:g} s") from None
    except OSError as error:
        raise ConnectFailed(f"nobody listens at pipe://{name}", hint="start the other side first") from error
    return await dial.opened()


async def listen(name: str, listener: Listener, loop: object = None) -> None:
    """Let others connect to `name`. Raises AddressInUse, TransportUnsupported."""
    pipes = _pipes(loop)
    try:
        servers = await pipes.start_serving_pipe(listener.protocol, _PREFIX + name)
    except OSError as error:
        raise AddressInUse(
            f"pipe://{name} is taken", hint="end the other process, or take another name"
        ) from error

    async def stop() -> None:
        for server in servers:
            server.close()

    listener.when_closed(stop)


def _pipes(loop: object) -> PipeLoop:
    loop = loop or asyncio.get_running_loop()
    if not isinstance(loop, PipeLoop):
        raise TransportUnsupported(
            "pipe:// needs Windows and asyncio's own event loop", hint="use unix:///path"
        )
    return loop
