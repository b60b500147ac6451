"""Following a run that another process drives."""

import time
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from symphony.ports.runs import RunEvent, RunStatus

EVERY_S: Final = 0.2
_GOING: Final = (RunStatus.PENDING, RunStatus.RUNNING)


class Journal(Protocol):
    """The part of the runs that is read here."""

    def events(self, run_id: str, since: int = 0) -> Iterator[RunEvent]: ...
    def status(self, run_id: str) -> RunStatus: ...


def pause() -> None:
    """Wait a moment before the next look."""
    time.sleep(EVERY_S)


def events(
    runs: Journal,
    run_id: str,
    *,
    since: int = 0,
    follow: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[RunEvent]:
    """Events after number `since`; with `follow`, until the run goes on no more.

    The status is read before the events: what happened until then is never missed.
    """
    while True:
        going = follow and runs.status(run_id) in _GOING
        for event in runs.events(run_id, since):
            since = event.seq
            yield event
        if not going:
            return
        sleep(EVERY_S)
