"""Hides the secrets of a run, as far as the tracker knows them. Pure."""

from typing import Protocol

from symphony.pit.artifacts.values.codec import decode_sealed
from symphony.pit.artifacts.values.sealed import hidden
from symphony.ports.values import StoredValue


class Mask(Protocol):
    """Hides secrets in a text that comes in pieces; `idle` while nothing is held back."""

    @property
    def idle(self) -> bool: ...
    def feed(self, text: str) -> str: ...
    def finish(self) -> str: ...


def shown_outputs(body: bytes | None) -> dict[str, StoredValue]:
    """Return recorded outputs with secrets hidden."""
    if body is None:
        return {}
    sealed = decode_sealed(body)
    return {str(k): hidden(v) for k, v in sealed.items()} if isinstance(sealed, dict) else {}
