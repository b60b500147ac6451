"""Processes for the tests of connections: one is started, talked to, stopped, and killed."""

import asyncio
import sys
from pathlib import Path

import uvloop

from symphony.commons.errors import SymphonyError
from symphony.commons.secrets import Secret
from symphony.ipc.transports import Connection, TransportConfig, connect, listen

TOKEN = "a token for tests"


def config(folder: str) -> TransportConfig:
    return TransportConfig(token=Secret(TOKEN), runtime_dir=Path(folder))


async def echo(connection: Connection) -> None:
    """Send back what comes."""
    try:
        while True:
            await connection.send(await connection.receive())
    except SymphonyError:
        await connection.close()


async def serve(address: str, folder: str) -> None:
    """Echo for whoever connects, until killed."""
    tasks: set[asyncio.Task[None]] = set()

    def accept(connection: Connection) -> None:
        task = asyncio.get_running_loop().create_task(echo(connection))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    listener = await listen(address, accept, config(folder))
    print(listener.address, flush=True)
    await asyncio.Event().wait()


async def pour(address: str, folder: str) -> None:
    """Send numbered messages as fast as they are taken, until killed."""
    connection = await connect(address, config(folder))
    number = 0
    while True:
        await connection.send(number.to_bytes(8, "big") + bytes(3000))
        number += 1


async def home(folder: str) -> None:
    """Call the parent over stdio, and echo; what is printed goes to stderr."""
    connection = await connect("stdio:", config(folder))
    print("this is no message")
    await echo(connection)


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    # The tests run on asyncio's own event loop, these on the other: either may talk to either.
    uvloop.run({"serve": serve, "pour": pour, "home": home}[verb](*rest))
