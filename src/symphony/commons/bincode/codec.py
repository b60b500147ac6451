"""A codec for one type: its encoder and decoder, compiled from source made for it. Pure."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from symphony.commons.bincode.decoding import decoder_source
from symphony.commons.bincode.encoding import encoder_source
from symphony.commons.bincode.hints import shape_of
from symphony.commons.bincode.source import GeneratedSource
from symphony.commons.bincode.wire import (
    DEPTH_MAX,
    FAILURES,
    PADDING,
    BincodeInvalid,
    Parts,
    truncated,
    unwritable,
)

T = TypeVar("T")
_UNFIT: Final = (*FAILURES, ArithmeticError, AttributeError, KeyError, TypeError)
"""The errors that an encoder meets in a value that is not of its type."""

_Encode = Callable[[object, Parts, int], None]
_Decode = Callable[[bytes, int, int, int], tuple[object, int]]


class TypeCodec(Generic[T]):
    """Writes and reads values of one type. Safe to use from several threads."""

    __slots__ = ("_decode", "_encode", "depth_max", "source")

    def __init__(
        self,
        hint: object,
        *,
        depth_max: int = DEPTH_MAX,
        stands_for: Mapping[type, type] = MappingProxyType({}),
    ) -> None:
        """`hint` is a type, or anything of the table of this package.

        A type in `stands_for` only says which fields stand on the wire and in which order; the
        type it stands for, with fields of the same names, is what is written and made.
        `depth_max`: how deep plain values and types that hold themselves may nest. Raises
        TypeError for a type that Bincode has no form for.
        """
        made = GeneratedSource()
        shape = shape_of(hint, stands_for)
        encode = encoder_source(shape, made)
        decode = decoder_source(shape, made)
        names = made.compiled()
        self._encode: _Encode = names[encode]  # type: ignore[assignment]  # that is what was compiled
        self._decode: _Decode = names[decode]  # type: ignore[assignment]  # as above
        self.depth_max = depth_max
        self.source = made.text
        """The compiled source, for those who want to see it."""

    def encode(self, value: T) -> bytes:
        """Return the bytes of `value`. Raises SerializationFailed where it is not of the type."""
        parts: list[bytes] = []
        try:
            self._encode(value, parts, self.depth_max)
            return b"".join(parts)
        except _UNFIT as error:
            raise unwritable(f"a {type(value).__name__} ({error})") from None

    def decode(self, data: bytes | bytearray | memoryview) -> T:
        """Return the value that `data` spells, all of it. Raises BincodeInvalid."""
        value, end = self.decode_from(data, 0)
        if end < len(data):
            raise BincodeInvalid(f"{len(data) - end} more bytes follow the end", end)
        return value

    def decode_from(self, data: bytes | bytearray | memoryview, at: int) -> tuple[T, int]:
        """Return the value that begins at byte `at`, and where it ends. Raises BincodeInvalid."""
        size = len(data)
        try:
            value, end = self._decode(bytes(data) + PADDING, at, size, self.depth_max)
        except BincodeInvalid as error:
            if error.at <= size:
                raise
            raise truncated(size) from None  # the padding was taken for data
        if end > size:
            raise truncated(size)
        return value, end  # type: ignore[return-value]  # the decoder was made for T
