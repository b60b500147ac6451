"""Which runs are beyond the limits of a home. Pure."""

from collections.abc import Sequence

import msgspec


class RunFacts(msgspec.Struct, frozen=True):
    """One run: when it ended, None if it may go on or nothing is known of it, and the bytes of its files."""

    run_id: str
    ended_at: float | None
    size: int = 0


class RunLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds since the end, number of runs, and bytes of all together; None: no limit."""

    max_age_s: float | None = None
    max_count: int | None = None
    max_bytes: int | None = None

    @property
    def any(self) -> bool:
        """True if there is a limit."""
        return (self.max_age_s, self.max_count, self.max_bytes) != (None, None, None)


def beyond(runs: Sequence[RunFacts], limits: RunLimits, now_s: float) -> dict[str, str]:
    """Return the runs that go, each with the reason. `runs` has the newest first.

    Runs that may go on always stay, and count.
    """
    total, out = 0, dict[str, str]()
    for number, run in enumerate(runs, start=1):
        total += run.size
        if run.ended_at is None:
            continue
        if limits.max_age_s is not None and run.ended_at < now_s - limits.max_age_s:
            out[run.run_id] = "older than retention.runs.max_age"
        elif limits.max_count is not None and number > limits.max_count:
            out[run.run_id] = "beyond retention.runs.max_count"
        elif limits.max_bytes is not None and total > limits.max_bytes:
            out[run.run_id] = "beyond retention.runs.max_total"
    return out
