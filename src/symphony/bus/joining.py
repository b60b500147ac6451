"""Being on a shared bus: the first process is its hub, the others join it, and take over when it dies."""

import asyncio
from collections.abc import Callable

from symphony.bus.bus import Bus
from symphony.bus.core.registry import Pulse
from symphony.bus.exchange import Beyond, Exchange
from symphony.bus.hub import Hub
from symphony.bus.membership import Membership
from symphony.commons.backoff import backoff_s
from symphony.commons.errors import SymphonyError
from symphony.ipc.transports import TransportConfig, connect
from symphony.ipc.transports.errors import AddressInUse
from symphony.ipc.transports.opening import jitter

AGAIN_MIN_S, AGAIN_MAX_S = 0.02, 2.0


class Joined:
    """A bus that is on a shared one for as long as this is open. Made by `join`."""

    def __init__(
        self,
        bus: Bus,
        address: str,
        config: TransportConfig,
        *,
        serve: bool,
        beyond: Callable[[Exchange], Beyond] | None,
        jitter: Callable[[], float],
    ) -> None:
        self.bus, self.address = bus, address
        self._beyond = beyond
        self._config, self._serve, self._jitter = config, serve, jitter
        self._hub: Hub | None = None
        self._member: Membership | None = None
        self._staying: asyncio.Task[None] | None = None

    @property
    def is_hub(self) -> bool:
        """True if the others reach each other through this process."""
        return self._hub is not None

    @property
    def is_member(self) -> bool:
        """True if another process is the hub and has been reached."""
        return self.bus.exchange.uplink is not None

    async def enter(self) -> None:
        """Be hub or member. Raises AddressInUse, ConnectFailed and others of `connect` and `listen`."""
        if self._serve:
            hub = Hub(self.bus.exchange, Pulse())
            try:
                await hub.open(self.address, self._config)
            except AddressInUse:
                pass
            except BaseException:
                await hub.close()
                raise
            else:
                self._hub = hub
                if self._beyond is not None:
                    self.bus.exchange.beyond = self._beyond(self.bus.exchange)
                return
        connection = await connect(self.address, self._config)
        member = Membership(self.bus.exchange, connection, Pulse())
        self._member = member
        try:
            async with asyncio.timeout(self._config.timeout_s):
                await member.enter()
        except TimeoutError:
            silent = SymphonyError(
                f"the hub of the bus did not answer for {self._config.timeout_s:g} s",
                code="peer-silent",
                hint="is its process stopped? When it ends or goes on, this one joins",
            )
            connection.abort(silent)
            raise silent from None

    def stay(self) -> None:
        """From now on, when the hub dies, take its place or join the one that does."""
        self._staying = asyncio.get_running_loop().create_task(self._stay(), name="bus joined")

    async def close(self) -> None:
        """Leave. The bus goes on within this process."""
        if self._staying is not None:
            self._staying.cancel()
            await asyncio.gather(self._staying, return_exceptions=True)
        await self._leave()
        if self.bus.exchange.beyond is not None:
            await self.bus.exchange.beyond.close()
            self.bus.exchange.beyond = None
        if self._hub is not None:
            await self._hub.close()

    async def _leave(self) -> None:
        member, self._member = self._member, None
        if member is not None:
            await member.close()

    async def _stay(self) -> None:
        tries = 0
        while self._hub is None:
            if self._member is not None:
                await self._member.over()
                self._member = None
            try:
                await self.enter()
                tries = 0
            except SymphonyError:
                await self._leave()
                tries += 1
                jitter = 0.5 + self._jitter() / 2
                wait_s = backoff_s(tries, base_s=AGAIN_MIN_S, cap_s=AGAIN_MAX_S, jitter=jitter)
                await self.bus.clock.sleep(wait_s)


async def join(
    bus: Bus,
    address: str,
    config: TransportConfig | None = None,
    *,
    serve: bool = True,
    wait: bool = False,
    beyond: Callable[[Exchange], Beyond] | None = None,
    jitter: Callable[[], float] = jitter,
) -> Joined:
    """Put `bus` on the one at `address`, until the result is closed.

    With `serve` this process becomes the hub if there is none, now or later; without it raises
    ConnectFailed if there is none, unless it is to `wait` for one. A hub has
    `beyond` join other buses to this one, at once and until it closes. `jitter` draws from [0, 1].
    """
    joined = Joined(bus, address, config or TransportConfig(), serve=serve, beyond=beyond, jitter=jitter)
    try:
        await joined.enter()
    except SymphonyError as error:
        if not wait and not (serve and error.code in _PASSING):
            await joined.close()
            raise
    except BaseException:
        await joined.close()
        raise
    joined.stay()
    return joined


_PASSING = frozenset({"connect-failed", "connection-lost", "endpoint-lost", "peer-silent"})
"""The hub went away while we came: another takes its place, perhaps this one."""
