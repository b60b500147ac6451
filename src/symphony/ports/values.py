"""The values that flow between nodes: plain values, and references to large ones. No I/O."""

from typing import NewType, TypeAlias, Union

import msgspec

JSON: TypeAlias = Union[bool, int, float, str, list["JSON"], dict[str, "JSON"], None]  # noqa: UP007
"""A value that JSON can spell."""
Value: TypeAlias = bool | int | float | str | bytes | list["Value"] | dict[str, "Value"] | None
"""Null, boolean, 64-bit integer, finite double, string, bytes, list, map with string keys."""

Digest = NewType("Digest", str)
"""SHA-256 of a body: 64 lower-case hexadecimal digits."""

VALUE_DEPTH_MAX = 200
"""Lists and maps nest at most this deep; files allow 100, expressions may wrap them further."""

INLINE_BYTES_MAX = 32 * 1024
"""A value whose encoded size exceeds this travels as an `ArtifactRef`."""


class ArtifactRef(msgspec.Struct, frozen=True, kw_only=True):
    """Stands for a stored body. `encoding` says how to get the value back from the bytes:

    `text` (UTF-8 string; `text:CHARSET` in another charset), `bytes` (the bytes themselves), `msgpack`
    (any other value), `json` or `lines` (any value as JSON spells it, a list one element a line). If
    the value has secrets, that body shows `***` in their place, for people; `sealed` is the digest of
    the body from which a run gets the value itself.
    """

    digest: Digest
    size: int
    content_type: str = "application/octet-stream"
    name: str | None = None
    encoding: str = "bytes"
    sealed: Digest | None = None
    own: str | None = None
    """`ENCODING:DIGEST` of the value's own form, where its content type asked for another."""

    @property
    def identity(self) -> str:
        """Return what references to equal values share, whatever forms their bodies have."""
        return self.own or f"{self.encoding}:{self.sealed or self.digest}"


StoredValue: TypeAlias = Value | ArtifactRef
"""A node's port as the engine holds it: small values inline, large ones by reference."""
