"""Hides the secrets of a run, as far as the tracker knows them. Pure."""

from typing import Protocol


class Mask(Protocol):
    """Hides secrets in a text that comes in pieces; `idle` while nothing is held back."""

    @property
    def idle(self) -> bool: ...
    def feed(self, text: str) -> str: ...
    def finish(self) -> str: ...
