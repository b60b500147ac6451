"""The sync coordinator: a piece of state that two processes keep equal, over the bus or a channel.

The rules are in `core.sync`. This shell sends, waits and says again. A message that finds no room
is left out: it is said again, so that a slow peer costs no memory here.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from symphony.bus.core import patches
from symphony.bus.core.patches import Patch
from symphony.bus.core.sync import (
    Message,
    Primary,
    Resolve,
    Secondary,
    Stamp,
    SyncStep,
    Winner,
    read,
    written,
)
from symphony.bus.endpoint import Endpoint
from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.commons.moments import nanoseconds
from symphony.commons.time import SystemClock, random_bits
from symphony.ipc.envelope import EndpointId, EventPayload, MessageEnvelope
from symphony.ipc.stationery import Stationery
from symphony.ipc.transports import Channel
from symphony.ports.clock import Clock
from symphony.ports.values import Value

_logger = logging.getLogger(__name__)

REMIND_S: Final = 0.1
REMIND_MAX_S: Final = 2.0
"""The wait before an unacknowledged message is sent again; it doubles each time."""

Changed = Callable[["SyncedState", Patch, bool], None]
"""Called when the other side changed the state: how, and whether both had changed it."""


class SyncedState:
    """One side. Made by `primary` and `secondary`, which say over what it speaks; close it at the end."""

    def __init__(
        self,
        core: Primary | Secondary,
        send: Callable[[Value], bool],
        *,
        changed: Changed | None = None,
        clock: Clock | None = None,
        remind_s: float = REMIND_S,
    ) -> None:
        """`send` takes a message for the other side, or gives false; `received` takes those from there."""
        self._core, self._send, self._changed = core, send, changed
        self._clock = clock or SystemClock()
        self._first_s = self._wait_s = remind_s
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._on_close: Callable[[], None] | None = None
        self.conflicts = 0
        """How often both sides had changed the state. Counted where they are settled, by the secondary."""
        self._say(core.remind())

    @property
    def state(self) -> Value:
        """Return the state as it is here. Never change it in place: use `set` or `splice`."""
        return self._core.state

    @property
    def stamp(self) -> Stamp | None:
        """When and by which side it was last written. Keep it with the state for a restart."""
        return self._core.stamp

    @property
    def version(self) -> int:
        """The primary's version, as far as it is known here."""
        return self._core.version

    @property
    def settled(self) -> bool:
        """True if the other side is known to have the same state."""
        return self._core.settled

    def set(self, state: Value) -> None:
        """Change the whole; what is sent is the difference. O(size)."""
        patch = patches.difference(self.state, state)
        if patch is not None:
            self._edit(patch)

    def splice(self, start: int, removed: int, inserted: str | bytes | list[Value]) -> None:
        """Replace `removed` items from `start` on. Raises ValidationFailed, and changes nothing."""
        self._edit(patches.splice(start, removed, inserted))

    async def wait_settled(self) -> None:
        """Wait until the other side has what is here. Forever if it is not there: use a timeout."""
        while not self.settled:
            waiting = asyncio.get_running_loop().create_future()
            self._waiting.add(waiting)
            try:
                await waiting
            finally:
                self._waiting.discard(waiting)

    def received(self, value: Value) -> None:
        """Take a message of the other side. An invalid one is logged and ignored."""
        if self._closed:
            return
        try:
            message = read(value)
        except SerializationFailed as error:
            _logger.warning("%s", error)
            return
        self._did(self._core.handle(message))

    def close(self) -> None:
        """Stop. What is not settled may be lost. May be called twice."""
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for waiting in self._waiting:
            waiting.cancel()
        if self._on_close is not None:
            self._on_close()

    def on_close(self, call: Callable[[], None]) -> None:
        """Have `call` called when it is closed."""
        self._on_close = call

    def _edit(self, patch: Patch) -> None:
        self._did(self._core.edit(patch, nanoseconds(self._clock.now_s())))

    def _did(self, step: SyncStep) -> None:
        self._wait_s = self._first_s
        self._say(step.send)
        self.conflicts += step.conflict
        if step.patch is not None and self._changed is not None:
            try:
                self._changed(self, step.patch, step.conflict)
            except Exception:
                _logger.exception("a watcher of a synchronised state failed")

    def _say(self, messages: tuple[Message, ...]) -> None:
        for message in messages:
            try:
                if not self._send(written(message)):
                    break
            except SymphonyError as error:
                _logger.warning("a message of a synchronisation cannot be sent: %s", error)
                break
        if self.settled:
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
        elif self._timer is None and not self._closed:
            self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._remind)

    def _remind(self) -> None:
        self._timer = None
        if not self.settled:
            self._wait_s = min(2 * self._wait_s, REMIND_MAX_S)
            self._say(self._core.remind())


def primary(state: Value = None, *, site: str, stamp: Stamp | None = None) -> Primary:
    """Return the side that owns the state, such as the editor that has the file open.

    `stamp`: that of a state kept from before; without it `state` gives way to what the secondary has.
    """
    return Primary(state, site=site, epoch=_new_epoch(), stamp=stamp)


def secondary(
    state: Value = None, *, site: str, stamp: Stamp | None = None, policy: Resolve = Winner.PRIMARY
) -> Secondary:
    """Return the other side. `policy` settles what both changed: a `Winner`, or a function such as
    `merge`.
    """
    return Secondary(state, site=site, epoch=_new_epoch(), stamp=stamp, policy=policy)


def _new_epoch() -> str:
    return f"{random_bits(128):032x}"


async def over_bus(
    endpoint: Endpoint, name: str, core: Primary | Secondary, *, changed: Changed | None = None
) -> SyncedState:
    """Keep `core` equal with its counterpart of this `name` on the bus, of which there may be one."""
    mine, theirs = ("primary", "secondary") if isinstance(core, Primary) else ("secondary", "primary")

    def received(envelope: MessageEnvelope) -> None:
        assert isinstance(envelope.payload, EventPayload)
        synced.received(envelope.payload.data)

    synced = SyncedState(
        core, lambda value: endpoint.try_publish(f"sync.{name}.{theirs}", value), changed=changed
    )
    subscription = await endpoint.subscribe(f"sync.{name}.{mine}", received)
    synced.on_close(lambda: endpoint.unsubscribe(subscription))
    return synced


def over_channel(
    channel: Channel, name: str, core: Primary | Secondary, *, site: str, changed: Changed | None = None
) -> SyncedState:
    """Keep `core` equal with its counterpart at the other end; the channel carries nothing else.

    Over a channel that ends, and a new one, the counterpart starts as after a restart of the way:
    make a new `SyncedState` with the same core.
    """
    envelope = Stationery(EndpointId(site)).envelope
    synced = SyncedState(
        core,
        lambda value: channel.try_send(envelope("event", EventPayload(f"sync.{name}", value))),
        changed=changed,
    )
    channel.deliver_to(_FromChannel(synced))
    return synced


class _FromChannel:
    def __init__(self, synced: SyncedState) -> None:
        self._synced = synced

    def received(self, envelope: MessageEnvelope) -> None:
        """For the channel."""
        if isinstance(envelope.payload, EventPayload):
            self._synced.received(envelope.payload.data)

    def ended(self, error: SymphonyError | None) -> None:
        """For the channel."""
        self._synced.close()
