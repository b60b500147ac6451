"""The root of every error that Symphony raises to its users, and the general kinds.

An error says what happened (`message`), to a program (`code`), with which facts (`details`)
and what to do about it (`hint`). Bugs are not errors of this kind: they assert.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

Detail: TypeAlias = bool | int | float | str | bytes | Sequence["Detail"] | Mapping[str, "Detail"] | None
"""The values allowed in `details`: the plain values that flow through workflows."""


class SymphonyError(Exception):
    """An error that a user or a caller can act on.

    `code` is stable, lower-case words joined by dashes; every subclass sets its own, and an instance
    may narrow it. It maps to an exit status and an HTTP status in one table each. Subclasses may take
    other constructor arguments: they still pickle, copy and print.
    """

    code: str = "error"
    message: str
    details: Mapping[str, Detail]
    hint: str | None

    _NO_DETAILS: ClassVar[Mapping[str, Detail]] = {}

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Detail] | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = dict(details) if details else self._NO_DETAILS
        self.hint = hint
        if code is not None:
            self.code = code

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        parts = [repr(self.message)]
        if self.code != type(self).code:
            parts.append(f"code={self.code!r}")
        if self.details:
            parts.append(f"details={dict(self.details)!r}")
        if self.hint is not None:
            parts.append(f"hint={self.hint!r}")
        return f"{type(self).__name__}({', '.join(parts)})"

    def __reduce__(self) -> tuple[object, ...]:
        # Exception's own method calls the constructor with `args`, which loses keyword arguments
        # and breaks on subclasses with other signatures.
        return _restored, (type(self), self.args), self.__dict__.copy()


def _restored(kind: type[SymphonyError], args: tuple[object, ...]) -> SymphonyError:
    error = kind.__new__(kind)
    error.args = args
    return error


class ValidationFailed(SymphonyError):
    """A value breaks a rule. `details["field"]` names where, if it is part of something larger."""

    code = "validation-failed"


class IoFailed(SymphonyError):
    """The outside world refused: a file, a socket, a process. `details["path"]` names it."""

    code = "io-failed"

    @classmethod
    def of(cls, error: OSError, doing: str, *, hint: str | None = None) -> "IoFailed":
        """Return an operating system's error as one of ours; `doing` is such as `write runs/a.db`."""
        reason = error.strerror or type(error).__name__
        details: dict[str, Detail] = {"errno": error.errno}
        if error.filename is not None:
            details["path"] = str(error.filename)
        return cls(f"cannot {doing}: {reason}", details=details, hint=hint)


class SerializationFailed(SymphonyError):
    """Bytes are not what they should be, or a format cannot carry a value."""

    code = "serialization-failed"


class ConfigInvalid(SymphonyError):
    """A setting is unknown or of the wrong type; the message names its file or variable and key."""

    code = "config-invalid"
