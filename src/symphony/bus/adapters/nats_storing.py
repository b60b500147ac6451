"""Events on their way into the store: many at once, in order, each until the server has it.

It has a connection of its own, which is never repaired but replaced, so that nothing of an old one
arrives later. After a loss, all that was not acknowledged is sent again from the oldest on, and
the first alone: so the order holds. What is stored already, the server knows by its id.
"""

import asyncio
import logging
from collections import deque
from itertools import count
from typing import Final

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg

from symphony.bus.adapters.nats_connection import (
    FAILURES,
    NatsConfig,
    StoreRefused,
    check_size,
    connected,
    unavailable,
)
from symphony.commons.errors import SymphonyError
from symphony.ports.clock import Clock

_logger = logging.getLogger(__name__)

STORE_TIMEOUT_S: Final = 2.0
WINDOW: Final = 512
"""The most events under way at once."""
WAITING_MAX: Final = 4096
"""The most events that wait to be stored; beyond that, publishers wait."""
NOT_YET: Final = 503
"""The error of a server that has just started."""
_MESSAGE_ID: Final = "Nats-Msg-Id"


class _Refusal(msgspec.Struct):
    code: int = 0
    description: str = ""


class _Answer(msgspec.Struct):
    """The server's answer to an event: an error, or that it is stored."""

    error: _Refusal | None = None


class _Item(msgspec.Struct, eq=False):
    subject: str
    message_id: str
    body: bytes
    stored: asyncio.Future[None]


class Storing:
    """The way into the streams of one bus. `open` it, `offer` events, `close` it."""

    def __init__(self, config: NatsConfig, clock: Clock) -> None:
        self._config, self._clock = config, clock
        self._queue: deque[_Item] = deque()
        self._sent: dict[int, _Item] = {}
        self._numbers = count(1)
        self._window = 1
        self._wake, self._room = asyncio.Event(), asyncio.Event()
        self._not_yet = False
        self._client: Client | None = None
        self._running: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Connect. Raises NatsUnavailable."""
        self._client = await self._connected()
        self._running = asyncio.get_running_loop().create_task(self._run(), name="nats storing")

    async def close(self) -> None:
        """Nothing is stored any more; see `settled`."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        if self._client is not None:
            await self._client.close()

    @property
    def full(self) -> bool:
        """True if publishers must wait."""
        return len(self._queue) + len(self._sent) >= WAITING_MAX

    def offer(self, subject: str, message_id: str, body: bytes) -> asyncio.Future[None]:
        """Have `body` stored after all that was offered before; the result is there when it is.

        It may raise StoreRefused. Raises FrameTooLarge.
        """
        if self._client is not None:
            check_size(self._client, body)
        item = _Item(subject, message_id, body, asyncio.get_running_loop().create_future())
        self._queue.append(item)
        self._wake.set()
        return item.stored

    async def room(self) -> None:
        """Returns when there is some."""
        while self.full:
            self._room.clear()
            await self._room.wait()

    async def settled(self) -> None:
        """Returns when all that was offered is stored or refused."""
        waiting = [one.stored for one in (*self._sent.values(), *self._queue)]
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            if self._client is not None:
                try:
                    await self._session(self._client)
                except FAILURES as error:
                    _logger.info("NATS: %s", unavailable(error).message)
                await self._client.close()
                self._client = None
                self._go_back()
            await self._clock.sleep(self._config.again_s)
            try:
                self._client = await self._connected()
            except SymphonyError as error:
                _logger.info("events wait to be stored: %s", error.message)

    async def _connected(self) -> Client:
        return await connected(
            self._config, "symphony store", no_echo=True, on_error=self._failed, on_end=self._ended
        )

    async def _failed(self, error: Exception) -> None:
        _logger.info("NATS: %s", str(error) or type(error).__name__)

    async def _ended(self) -> None:
        self._wake.set()

    async def _session(self, client: Client) -> None:
        """Send and hear until the connection ends, or the server has been silent for too long."""
        inbox = client.new_inbox()
        await client.subscribe(f"{inbox}.*", cb=self._answered)
        while not client.is_closed:
            self._wake.clear()
            while self._queue and len(self._sent) < self._window:
                number, item = next(self._numbers), self._queue.popleft()
                self._sent[number] = item
                headers = {_MESSAGE_ID: item.message_id}
                await client.publish(item.subject, item.body, reply=f"{inbox}.{number}", headers=headers)
            try:
                async with asyncio.timeout(STORE_TIMEOUT_S if self._sent else None):
                    await self._wake.wait()
            except TimeoutError:
                return
            if self._not_yet:
                self._go_back()
                await self._clock.sleep(self._config.again_s)

    def _go_back(self) -> None:
        self._queue.extendleft(reversed(self._sent.values()))
        self._sent.clear()
        self._window, self._not_yet = 1, False

    async def _answered(self, message: Msg) -> None:
        number = message.subject.rpartition(".")[2]
        item = self._sent.get(int(number))
        if item is None:
            return  # it has been sent again
        error = _said(message)
        if error is not None and error.code == NOT_YET:
            self._not_yet = True
            self._wake.set()
            return
        del self._sent[int(number)]
        self._window = WINDOW
        self._wake.set()
        self._room.set()
        if item.stored.done():
            return
        if error is None:
            item.stored.set_result(None)
            return
        refused = StoreRefused(
            f"the NATS server stores no event of {item.subject!r}: {error.description}",
            hint="make room, or raise the limits of the stream",
        )
        item.stored.set_exception(refused)


def _said(message: Msg) -> _Refusal | None:
    if message.headers is not None and message.headers.get("Status") == str(NOT_YET):
        return _Refusal(NOT_YET)
    try:
        return msgspec.json.decode(message.data, type=_Answer).error
    except msgspec.MsgspecError:
        return _Refusal(NOT_YET)
