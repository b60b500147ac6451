"""Gathers the pieces of a streamed answer for a moment, then reports them with secrets hidden."""

import asyncio
from collections.abc import Callable

from symphony.pit.tracker.core.masking import Mask

TELL_EVERY_S = 0.1
"""Seconds between reports: models write hundreds of tokens a second, people read ten updates."""


class TokenStream:
    """One answer. The pieces are not durable; the answer is, once it is complete.

    `told` is called with each gathered piece. Use from the run's loop; `close` it.
    """

    def __init__(self, mask: Mask, told: Callable[[str], None]) -> None:
        self._mask, self._told = mask, told
        self._pieces: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, text: str) -> None:
        """Add a piece of the answer."""
        self._pieces.append(text)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(TELL_EVERY_S, self._tell)

    def close(self) -> None:
        """Report all that is held back, because no more pieces will come."""
        if self._timer is not None:
            self._tell()
        if rest := self._mask.finish():
            self._told(rest)

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        text, self._pieces = "".join(self._pieces), []
        if shown := self._mask.feed(text):
            self._told(shown)
