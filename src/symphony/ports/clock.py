"""The clock seam: wall time for records, monotonic time for waiting."""

from typing import Protocol


class Clock(Protocol):
    """A source of time, real or a test's. Wall time may jump; monotonic time never goes back."""

    def now_s(self) -> float:
        """Return the seconds since the Unix epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Return the seconds from an arbitrary point; they never go back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least `seconds`; can be cancelled."""
        ...
