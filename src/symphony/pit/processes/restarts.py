"""The delay before a process that died is started again. Pure."""

from typing import Final

from symphony.commons.backoff import backoff_s

RESTART_BASE_S: Final = 0.1
RESTART_CAP_S: Final = 10.0


class Restarts:
    """Counts deaths. The first one in a row costs nothing, then the wait doubles from 0.1 s up to 10 s."""

    def __init__(self) -> None:
        self._deaths = 0

    @property
    def deaths(self) -> int:
        """Deaths since it last worked."""
        return self._deaths

    def died(self) -> None:
        """The process ended without being asked to."""
        self._deaths += 1

    def worked(self) -> None:
        """It did what it was asked."""
        self._deaths = 0

    def delay_s(self) -> float:
        """Seconds to wait before the next start."""
        if self._deaths <= 1:
            return 0.0
        return backoff_s(self._deaths - 1, base_s=RESTART_BASE_S, cap_s=RESTART_CAP_S)
