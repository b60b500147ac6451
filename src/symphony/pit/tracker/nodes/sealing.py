"""The interface that keeps secrets out of everything written, and a version for runs without secrets."""

from typing import Protocol

from symphony.pit.artifacts.values.sealed import SealedValue
from symphony.pit.tracker.core.masking import Mask
from symphony.ports.values import StoredValue


class Sealer(Protocol):
    """Keeps secrets out of everything that is written. Its truth value is False if there are no secrets."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Return the variables whose values are too short to be hidden."""
        ...

    def __bool__(self) -> bool: ...
    def seal(self, value: StoredValue) -> SealedValue: ...
    def unseal(self, form: SealedValue) -> StoredValue: ...
    def mask(self, text: str) -> str: ...
    def mask_cut(self, text: str) -> str: ...
    def holds_secret(self, value: StoredValue) -> bool: ...
    def stream(self) -> Mask: ...


class NoSecrets:
    """The sealer of a run without secrets."""

    ignored: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        """False: there is nothing to look for."""
        return False

    def seal(self, value: StoredValue) -> SealedValue:
        """Return the value as it is."""
        return value  # type: ignore[return-value]  # every stored value is a sealed value

    def unseal(self, form: SealedValue) -> StoredValue:
        """Return the form as it is."""
        return form  # type: ignore[return-value]  # nothing was sealed

    def mask(self, text: str) -> str:
        """Return the text as it is."""
        return text

    def mask_cut(self, text: str) -> str:
        """Return the text as it is."""
        return text

    def holds_secret(self, value: StoredValue) -> bool:
        """False: there are no secrets."""
        return False

    def stream(self) -> "Mask":
        """Return a mask that hides nothing."""
        return _NoMask()


class _NoMask:
    idle = True

    def feed(self, text: str) -> str:
        return text

    def finish(self) -> str:
        return ""
