"""Driving one run to its end: the loop, the view, the signals. Shared by `run` and `runs resume`.

Signals: the first Ctrl-C, SIGTERM or SIGHUP stops what runs and leaves the run to be resumed; before
the run has begun it stops the beginning. The second, and any that comes after the run has ended, ends
this process and its children at once (what was acknowledged is safe: that is what the journal is for).
SIGQUIT always does. A signal that was ignored when we were started, as `nohup` and background jobs of
scripts do, stays ignored.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, TypeVar

import msgspec

from symphony.cli.actions.signals import Signals, StoppedEarly
from symphony.cli.console import exits, failures, output
from symphony.cli.views.ending import warning_text
from symphony.cli.views.watching import Handle, LineView, Silence, View
from symphony.commons.errors import SymphonyError
from symphony.commons.processes import (
    adopt_orphans,
    children,
    end_descendants,
    has_children,
)
from symphony.commons.unicode import described
from symphony.ports.insight import MadeArtifact, Overview
from symphony.ports.runs import RunResult, RunStatus, RunWarning

S = TypeVar("S")

DRAIN_S: Final = 2.0


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a run in this process. `stopped_by` is the signal that the process got, if any."""

    result: RunResult
    elapsed_s: float
    stopped_by: int | None
    overview: Overview | None = None
    """How the run went, where that was asked for."""
    artifacts: Callable[[], Sequence[MadeArtifact]] = tuple
    """What nodes declared as artifacts and made."""

    def __repr__(self) -> str:
        """Without what the run gave: asyncio spells what its main task returned, twice."""
        return f"RunOutcome(elapsed_s={self.elapsed_s}, stopped_by={self.stopped_by})"

    @property
    def status(self) -> int:
        """The exit status."""
        if self.stopped_by is not None and self.result.status not in (RunStatus.SUCCEEDED, RunStatus.FAILED):
            return exits.SIGNALLED + self.stopped_by
        return exits.of_status(self.result.status)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's where it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def on_a_loop(work: Coroutine[object, object, S]) -> S:
    """Run a coroutine to its end, on a loop of its own."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(work)


def drive(work: Callable[[], Awaitable[RunOutcome]]) -> int:
    """Run `work` on a loop of our own, and give the exit status.

    Raises SymphonyError `operator-failed` if code of others ended the loop under the run.
    """
    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_awaited(work)).status
    except StoppedEarly as stopped:
        output.note("stopped: nothing had begun")
        return exits.SIGNALLED + stopped.number
    except (SystemExit, asyncio.CancelledError) as error:  # by a callback; by cancelling all tasks
        raise SymphonyError(
            f"an operator stopped the event loop, and so the run: {described(error)}",
            code="operator-failed",
            hint="symphony runs resume RUN goes on, see symphony runs list; an operator may only end itself",
        ) from error


async def _awaited(work: Callable[[], Awaitable[RunOutcome]]) -> RunOutcome:
    return await work()


async def conduct(
    opening: AbstractAsyncContextManager[S],
    begin: Callable[[S], Awaitable[Handle]],
    view: View,
    after: Callable[[S, RunOutcome], None],
    *,
    chart: bool = False,
) -> RunOutcome:
    """Open, begin, watch to the end; `after` prints while what was opened is still open.

    `chart`: the outcome tells how the run went. No process that was begun meanwhile
    is left when this returns or raises, wherever it went.
    """
    began_s = time.monotonic()
    output.divert_descriptor()
    with Signals(asyncio.get_running_loop(), view.note) as signals:
        async with _nothing_left(), opening as opened:
            with signals.gently(), view.standing():
                handle = await signals.begun(begin(opened))
                warnings = list[RunWarning]()
                handle.warn_by(warnings.append)
                failures.warn_of_unhidden(handle.unhidden)
                failures.warn_of_unset(handle.unset)
                os.environ.update(handle.marks)  # for what operators start in this process
                result = await _watched(handle, view)
            for warning in warnings:
                output.note(warning_text(warning, failures.page()))
            elapsed_s = time.monotonic() - began_s
            seen = handle.overview() if chart else None
            outcome = RunOutcome(
                result=result, elapsed_s=elapsed_s, stopped_by=signals.received, overview=seen,
                artifacts=handle.artifacts,
            )  # fmt: skip
            after(opened, outcome)
            output.flush()  # what comes now may be cut short by a signal
    return outcome


@asynccontextmanager
async def _nothing_left() -> AsyncIterator[None]:
    """Whatever began inside, and whatever that began, has ended outside."""
    before = children()
    adopt_orphans()
    try:
        yield
    finally:
        if has_children():
            await asyncio.to_thread(end_descendants, before)


async def _watched(handle: Handle, view: View) -> RunResult:
    watching = asyncio.get_running_loop().create_task(_show(handle, view), name="view")
    try:
        result = await handle.result()
        await asyncio.wait({watching}, timeout=DRAIN_S)
        return result
    finally:
        watching.cancel()
        await asyncio.wait({watching})


async def _show(handle: Handle, view: View) -> None:
    """A view that breaks, such as on a terminal that went away, must not break the run."""
    try:
        await view.watch(handle)
    except Exception as error:  # noqa: BLE001  (whatever it is, the run goes on)
        output.note(f"the progress view ended: {type(error).__name__}: {output.shown(str(error))}")


def view_for(title: str, *, quiet: bool, asks: bool = False) -> View:
    """Return the live view for a terminal, lines for anything else; with `asks` it takes answers to
    approvals.
    """
    if quiet or sys.stderr is None:
        return Silence()
    if sys.platform == "win32" or not output.is_terminal(sys.stderr):
        return LineView()
    from symphony.cli.actions.live_views import AskingLines, LiveView
    from symphony.cli.console.keyboard import can_ask

    asks = asks and can_ask()
    if os.environ.get("TERM", "") not in ("", "dumb"):
        return LiveView(title, asks=asks)
    return AskingLines() if asks else LineView()
