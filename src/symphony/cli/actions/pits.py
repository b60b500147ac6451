"""What `symphony pit` and `symphony models status|warm|unload` do."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

import msgspec

from symphony.app import Symphony
from symphony.app.arbitration import budgets_now, with_costs
from symphony.app.pit import (
    OpenCircuit,
    PitClient,
    PitServer,
    absent,
    local_model,
    reached,
    require_no_arbiter,
)
from symphony.app.pit_health import pit_health
from symphony.app.pit_parts import parts_now
from symphony.app.spelling import JSON
from symphony.cli.actions import running
from symphony.cli.console import exits, output
from symphony.cli.views import pit_parts, pools, shares
from symphony.commons.components import Health
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.commons.time import SystemClock
from symphony.ports.arbitration import ArbiterStatus
from symphony.ports.budgets import BudgetStatus
from symphony.ports.pit_status import PitParts
from symphony.ports.pool import SharedPool
from symphony.ports.runs import short_id

T = TypeVar("T")

LOOK_EVERY_S: Final = 1.0
_HOME: Final = "\x1b[H\x1b[J"


def pool_now(home: Path) -> SharedPool | None:
    """Return the pool of a home; None if no process has one. Raises SymphonyError if it does not answer."""

    async def run() -> SharedPool | None:
        async with reached(home, Config()) as client:
            return await _look(client)

    return running.on_a_loop(run())


class _Seen(NamedTuple):
    """All that is seen of the pit."""

    pool: SharedPool | None
    circuits: list[OpenCircuit]
    arbiter: ArbiterStatus | None
    budgets: tuple[BudgetStatus, ...]
    parts: PitParts


async def _all(symphony: Symphony, client: PitClient | None) -> _Seen:
    """Look at all of the pit. Raises SymphonyError."""
    if client is None:
        require_no_arbiter(_home(symphony))
    pool, circuits = await _see(client)
    arbiter = None if client is None else await client.arbiter()
    arbiter = await with_costs(arbiter, symphony.config, _home(symphony), SystemClock())
    budgets = await budgets_now(symphony.config.budget, _home(symphony), SystemClock())
    parts = await asyncio.to_thread(parts_now, symphony)
    return _Seen(pool, circuits, arbiter, budgets, parts)


def show(*, as_json: bool, whole: bool = False) -> None:
    """Print the pool of the home. `whole`: all of the pit."""
    if not whole:
        symphony, (found, circuits) = _asked(_see)
        if as_json:
            output.say_json({**pools.document(found), "circuits": pools.circuits_document(circuits)})
        else:
            _print(symphony, found, as_json=False)
            output.say(pools.circuits_text(circuits))
        return
    symphony = Symphony.open()

    async def run() -> _Seen:
        async with reached(_home(symphony), symphony.config) as client:
            return await _all(symphony, client)

    seen, health = running.on_a_loop(run()), running.on_a_loop(pit_health(symphony))
    if as_json:
        output.say_json({**_document(seen), "health": msgspec.to_builtins(health)})
    else:
        output.say(_text(symphony, seen))
        for name, part in health.parts.items():
            if part.health is not Health.HEALTHY:
                output.note(f"{name}: {part.health}: {output.shown(part.detail)}")


def _document(seen: _Seen) -> dict[str, JSON]:
    return {
        "pool": pools.document(seen.pool),
        "circuits": pools.circuits_document(seen.circuits),
        "arbiter": shares.arbiter_document(seen.arbiter),
        "budgets": shares.budgets_document(seen.budgets),
        **pit_parts.document(seen.parts),
    }


def _text(symphony: Symphony, seen: _Seen) -> str:
    text = pools.text(seen.pool, _home(symphony), _names(symphony)) + pools.circuits_text(seen.circuits)
    if seen.arbiter is not None:
        text += shares.arbiter_text(seen.arbiter, _names(symphony))
    if seen.budgets:
        text += shares.budgets_text(seen.budgets, symphony.config.budget.currency)
    return text + pit_parts.text(seen.parts)


async def _see(client: PitClient | None) -> tuple[SharedPool | None, list[OpenCircuit]]:
    return (None, []) if client is None else (await client.pool(), await client.circuits())


async def _look(client: PitClient | None) -> SharedPool | None:
    return None if client is None else await client.pool()


def ask(what: Literal["warm", "unload"], model: str, *, as_json: bool) -> None:
    """Have the owner of the pool load or end a model, and print the model's state.

    Raises PitAbsent, and before it, as `local_model`, for a model that no pool has.
    """
    symphony = Symphony.open()
    local_model(symphony.config, _home(symphony), model)

    async def run(client: PitClient | None) -> SharedPool | None:
        if client is None:
            return None
        return await (client.warm(model) if what == "warm" else client.unload(model))

    _, found = _asked(run)
    if found is None:
        raise absent(_home(symphony))
    if as_json:
        output.say_json(pools.model_document(found, model))
    else:
        output.note(pools.told(found, model))


def watch(*, as_json: bool) -> None:
    """Print the pit whenever it changes."""
    symphony = Symphony.open()
    view = _Watching(symphony, as_json=as_json)

    async def run() -> None:
        while True:
            try:
                async with reached(_home(symphony), symphony.config) as client:
                    await _follow(view, client)
            except SymphonyError as error:
                view.trouble(error)
            await asyncio.sleep(LOOK_EVERY_S)

    running.on_a_loop(run())


async def _follow(view: "_Watching", client: PitClient | None) -> None:
    """Show what changes for as long as the processes of the home are reached."""
    if client is None:
        view.show(await _all(view.symphony, None))
        return
    news = await client.events()
    while True:
        view.show(await _all(view.symphony, client))
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_EVERY_S):
                await news.receive()
        while len(news):
            await news.receive()


class _Watching:
    """What was shown last: a terminal is drawn over, anything else gets what has changed."""

    def __init__(self, symphony: Symphony, *, as_json: bool) -> None:
        self.symphony, self._json = symphony, as_json
        self._over = not as_json and output.is_terminal(sys.stdout)
        self._before: object = None

    def show(self, seen: _Seen) -> None:
        """Show the pit, unless it is as it was."""
        now = (pools.gist(seen.pool), seen.circuits, _changes(seen.arbiter), seen.budgets, seen.parts)
        if now == self._before and not self._over:
            return
        self._before = now
        if self._json:
            output.say_json(_document(seen), line=True)
        else:
            self._draw(_text(self.symphony, seen))
        output.flush()

    def trouble(self, error: SymphonyError) -> None:
        """Show why the pit cannot be seen, once."""
        if self._before != error.code:
            self._before = error.code
            output.note(output.shown(error.message))

    def _draw(self, text: str) -> None:
        output.say(f"{_HOME}{text}" if self._over else text)


def _changes(arbiter: ArbiterStatus | None) -> object:
    """Return what differs if the arbiter has changed, but for the time that has passed."""
    if arbiter is None:
        return None
    return (
        arbiter.supplies,
        [one.id for one in arbiter.held],
        [(one.id, one.reason) for one in arbiter.waiting],
    )


def serve(keep_s: float, warmed: tuple[str, ...]) -> int:
    """Own the pool until a signal comes."""
    symphony = Symphony.open()
    home = _home(symphony)
    server = PitServer(home, symphony.config, os.environ, keep_s=keep_s)

    async def run() -> int:
        stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, number)
        await server.start()
        try:
            working = asyncio.get_running_loop().create_task(_serve(server, home, warmed), name="serving")
            received = await _first(stopped, working)
        finally:
            await server.stop()
        output.note(f"stopped by {signal.Signals(received).name}")
        return exits.OK

    return running.on_a_loop(run())


async def _first(stopped: "asyncio.Future[int]", working: "asyncio.Task[None]") -> int:
    """Return what `stopped` gives; `working` ends then, or raises before."""
    waiting: set[asyncio.Future[int] | asyncio.Task[None]] = {stopped, working}
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return await stopped


def _stop(stopped: "asyncio.Future[int]", number: int) -> None:
    if not stopped.done():
        stopped.set_result(number)


async def _serve(server: PitServer, home: Path, warmed: tuple[str, ...]) -> None:
    try:
        async with asyncio.timeout(LOOK_EVERY_S):
            await server.owned()
    except TimeoutError:
        output.note("another process owns the pool of models: this process takes over when that one ends")
        await server.owned()
    output.note(f"process {os.getpid()} keeps the models of {output.shown(str(home))}")
    for model in warmed:
        try:
            await server.models.warm(model)
        except SymphonyError as error:
            output.note(f"{output.shown(model)} is not loaded: {output.shown(error.message)}")
        else:
            output.note(f"{output.shown(model)} is loaded")
    await asyncio.Event().wait()


def _print(symphony: Symphony, found: SharedPool | None, *, as_json: bool) -> None:
    if as_json:
        output.say_json(pools.document(found))
    else:
        output.say(pools.text(found, _home(symphony), _names(symphony)))


def _asked(work: Callable[[PitClient | None], Awaitable[T]]) -> tuple[Symphony, T]:
    symphony = Symphony.open()

    async def run() -> T:
        async with reached(_home(symphony), symphony.config) as client:
            return await work(client)

    return symphony, running.on_a_loop(run())


def _home(symphony: Symphony) -> Path:
    assert symphony.home is not None  # only in memory
    return symphony.home


def _names(symphony: Symphony) -> Callable[[str], str]:
    """Return what a run is called, of its id."""

    def called(run_id: str) -> str:
        try:
            return symphony.runs.label(run_id)
        except SymphonyError:
            return short_id(run_id)

    return called
