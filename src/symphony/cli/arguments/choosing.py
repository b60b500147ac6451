"""The choice of runs by workflow, status, time and name, as they are typed."""

import fnmatch
import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from symphony.cli.console.failures import BadUsage
from symphony.commons.quantities import duration_s
from symphony.ports.runs import RunSummary
from symphony.workflow.model import slug_of

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class RunChoice(msgspec.Struct, frozen=True, kw_only=True):
    """Runs are meant that fit each of these that is given, and of several words one.

    `workflows` and `names` may hold the wildcards * and ?; `since_s` and `until_s` are seconds since
    the epoch, for when a run began.
    """

    workflows: Sequence[str] = ()
    statuses: Sequence[str] = ()
    names: Sequence[str] = ()
    since_s: float | None = None
    until_s: float | None = None

    def __call__(self, run: RunSummary) -> bool:
        """True if the run is meant."""
        return (
            (not self.statuses or str(run.status) in self.statuses)
            and (self.since_s is None or run.started_at >= self.since_s)
            and (self.until_s is None or run.started_at < self.until_s)
            and (not self.workflows or _fits((run.workflow, slug_of(run.workflow)), self.workflows))
            and (not self.names or _fits((run.name or "",), self.names))
        )


def moment_s(text: str, option: str, now: Callable[[], float], *, end: bool = False) -> float:
    """Seconds since the epoch of a moment: so long ago, such as `2h`, or an ISO date or time.

    A time without an offset is local. A date is its beginning, or its `end`. Raises BadUsage.
    """
    try:
        return now() - duration_s(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
        if end and _DAY.fullmatch(text):
            at += timedelta(days=1)
        return at.timestamp()
    except (ValueError, OverflowError, OSError):
        raise BadUsage(
            f"{option} {text[:40]!r} is neither an age nor a time",
            hint="such as 2h, 7d, 2026-01-31 or 2026-01-31T12:00",
        ) from None


def _fits(texts: Sequence[str], patterns: Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatchcase(text.casefold(), pattern.casefold()) for pattern in patterns for text in texts
    )
