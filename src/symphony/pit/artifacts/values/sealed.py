"""Sealed forms: values in which secrets are replaced by the names of their variables. Values only.

`redaction` makes and opens them; `codec` carries them as MessagePack extension types of their
own, so that no user's value can be taken for one.
"""

from typing import Final, Literal, TypeAlias

import msgspec

from symphony.ports.values import ArtifactRef, StoredValue, Value

MASK = "***"
SEALED_TYPE: Final = "application/vnd.symphony.sealed"
"""The content type of bodies that only runs open."""

SealedKind: TypeAlias = Literal["text", "bytes", "integer", "number"]


class Part(msgspec.Struct, frozen=True, array_like=True):
    """Stands for characters `start` to `stop` of the spelling `form` of the variable `name`.

    `stop` is -1 for all the rest. `check` tells a changed value from the right one, mostly: it has
    too few bits to tell what the value is.
    """

    name: str
    form: str
    start: int
    stop: int
    check: int = 0


class Sealed(msgspec.Struct, frozen=True):
    """A string, bytes or number with at least one secret in it: literals and parts in order.

    The literals are bytes for kind `bytes` and strings for all others.
    """

    kind: SealedKind
    segments: tuple[str | bytes | Part, ...]


class SealedMap(msgspec.Struct, frozen=True):
    """A map of which at least one key holds a secret, as pairs."""

    pairs: "tuple[tuple[str | Sealed, SealedValue], ...]"


_SealedPlain: TypeAlias = bool | int | float | str | bytes | ArtifactRef | Sealed | SealedMap | None
SealedValue: TypeAlias = _SealedPlain | list["SealedValue"] | dict[str, "SealedValue"]
"""What a journal keeps of a value: as it was, but for the sealed forms somewhere inside."""


def hidden(form: StoredValue | SealedValue) -> StoredValue:
    """`form` for people to see: every secret in it is `***`. Needs no environment."""
    if isinstance(form, Sealed):
        return _hidden_leaf(form)
    if isinstance(form, SealedMap):
        return {_key(key): _inner(item) for key, item in form.pairs}
    if isinstance(form, list):
        return [_inner(item) for item in form]
    if isinstance(form, dict):
        return {key: _inner(item) for key, item in form.items()}
    return form


def _inner(form: Value | SealedValue) -> Value:
    # A reference inside a list or map is no plain value: people see what it stands for.
    value = hidden(form)
    return {"$artifact": value.digest, "size": value.size} if isinstance(value, ArtifactRef) else value


def _key(key: str | Sealed) -> str:
    return str(_hidden_leaf(key)) if isinstance(key, Sealed) else key


def _hidden_leaf(form: Sealed) -> str | bytes:
    if form.kind == "bytes":
        return b"".join(s if isinstance(s, bytes) else MASK.encode() for s in form.segments)
    return "".join(s if isinstance(s, str) else MASK for s in form.segments)
