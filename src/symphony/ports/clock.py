"""The clock seam: wall time for records, monotonic time for waiting."""

from typing import Protocol


class Clock(Protocol):
    """Real: `symphony.app`; fake: the tests'. Wall time may jump, monotonic time may not."""

    def now_s(self) -> float:
        """Seconds since the Unix epoch, UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds from an arbitrary point, never going back."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait at least `seconds`; cancellable."""
        ...
