"""The parts that encoders and decoders share: the error, the limits, and plain values. Pure.

Decoders read from a copy that is padded with `PADDING` zero bytes, so that a tag and the length behind
it can be read at once even where the last value has no length. A reader that goes beyond the true end
is caught by `TypeCodec.decode`.
"""

import struct
from math import isfinite
from typing import Final

from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN

DEPTH_MAX: Final = 100
"""The deepest nesting of values and recursive types, unless a codec sets another."""

PADDING: Final = bytes(16)

FAILURES: Final = (struct.error, IndexError, ValueError)
"""The errors raised by reading beyond the end, or by making a text or an object of bad parts."""

_SIGN: Final = 2**64
"""Subtracted from a number above `INTEGER_MAX` to get its two's complement value."""
_PLAIN_BYTES_MIN: Final = 4
_UUID_CHARACTERS: Final = 36
_PAIR_BYTES_MIN: Final = 12
_HINT: Final = "the data is damaged, or of another type or version"

_tag = struct.Struct("<I").pack
_tag_integer = struct.Struct("<Iq").pack
_tag_double = struct.Struct("<Id").pack
_read_length = struct.Struct("<Q").unpack_from
_read_tag_length = struct.Struct("<IQ").unpack_from
_read_double = struct.Struct("<d").unpack_from

_NULL: Final = _tag(0)
_FALSE: Final = _tag(1) + b"\0"
_TRUE: Final = _tag(1) + b"\1"
_MAP: Final = _tag(7)

Parts = list[bytes]
"""The output so far, piece by piece."""


class _Heads(dict[int, bytes]):
    """Length prefixes by the number of bytes or items. Those up to 255, which nearly all are, are made
    in advance.
    """

    def __init__(self, form: str, *tag: int) -> None:
        self._tag, self._pack = tag, struct.Struct(form).pack
        super().__init__((length, self._pack(*tag, length)) for length in range(256))

    def __missing__(self, length: int) -> bytes:
        return self._pack(*self._tag, length)


LENGTH: Final = _Heads("<Q")
_TEXT: Final = _Heads("<IQ", 4)
_BYTES: Final = _Heads("<IQ", 5)
_LIST: Final = _Heads("<IQ", 6)


class BincodeInvalid(SerializationFailed):
    """The bytes do not fit the type; `at`, also `details["offset"]`, is the byte, from 0.

    `duplicate` tells a duplicate key from other damage, `deep` what nests too deep.
    """

    code = "bincode-invalid"
    duplicate = False
    deep = False

    def __init__(self, message: str, at: int) -> None:
        super().__init__(f"byte {at}: {message}", details={"offset": at}, hint=_HINT)
        self.at = at


def failed(error: Exception, at: int, size: int) -> BincodeInvalid:
    """Return the error for one of `FAILURES`, raised in the value that begins at byte `at`."""
    if isinstance(error, UnicodeDecodeError):
        return BincodeInvalid(f"the text that begins here is not UTF-8: {error.reason}", at)
    if isinstance(error, struct.error | IndexError):
        return truncated(size)
    return BincodeInvalid(f"what begins here is not allowed: {error}", at)


def truncated(size: int) -> BincodeInvalid:
    """Return the error for data that ends too early."""
    return BincodeInvalid("the data ends here, and more is due", size)


def beyond(at: int, length: int, size: int) -> BincodeInvalid:
    """Return the error for a length, at byte `at`, that says that more follows than there is."""
    left = size - at - 8
    if left < 0:
        return truncated(size)
    return BincodeInvalid(f"a length or count of {length:,} cannot be where {left:,} bytes follow", at)


def bad_tag(at: int, tag: int, count: int) -> BincodeInvalid:
    """Return the error for an index beyond the last variant."""
    return BincodeInvalid(f"there is no variant {tag}: the last is {count - 1}", at)


def bad_flag(at: int, flag: int, what: str) -> BincodeInvalid:
    """Return the error for a byte that must be 0 or 1."""
    return BincodeInvalid(f"{what} must be 0 or 1, not {flag}", at)


def duplicate_key(at: int, key: str) -> BincodeInvalid:
    """Return the error for a map that has the key, which begins at byte `at`, already."""
    error = BincodeInvalid(f"duplicate key {key[:40]!r}", at)
    error.duplicate = True
    return error


def too_deep(at: int) -> BincodeInvalid:
    """Return the error for a value that nests deeper than the codec allows."""
    error = BincodeInvalid("it is nested too deeply", at)
    error.deep = True
    return error


def unwritable(what: str) -> SerializationFailed:
    """Return the error for a value that the type cannot carry."""
    return SerializationFailed(
        f"{what} cannot be written as Bincode", hint="give a value of the type that the codec was made for"
    )


def uuid_bytes(text: str) -> bytes:
    """Return the 16 bytes of a UUID. Raises ValueError for anything else, including unusual spellings."""
    digits = text.replace("-", "")
    try:
        body = bytes.fromhex(digits)
    except ValueError:
        body = b""
    if len(text) != _UUID_CHARACTERS or text[8:24:5] != "----" or body.hex() != digits:
        raise ValueError(f"{text!r:.50} is not a UUID in lower case")
    return body


def uuid_text(body: bytes) -> str:
    """Return the usual 36 characters of a UUID of 16 bytes."""
    digits = body.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def write_plain(value: object, parts: Parts, room: int) -> None:
    """Write any plain value, nested at most `room` deep. Raises SerializationFailed for anything else."""
    kind = type(value)
    if kind is str:
        body = value.encode()  # type: ignore[attr-defined]  # mypy does not know `type(x) is`
        parts.append(_TEXT[len(body)])
        parts.append(body)
    elif kind is int:
        if not INTEGER_MIN <= value <= INTEGER_MAX:  # type: ignore[operator]  # as above
            raise unwritable("an integer beyond 64 bits")
        parts.append(_tag_integer(2, value))
    elif kind is float:
        if not isfinite(value):  # type: ignore[arg-type]  # as above
            raise unwritable("a double that is not finite")
        parts.append(_tag_double(3, value))
    elif value is None:
        parts.append(_NULL)
    elif kind is bool:
        parts.append(_TRUE if value else _FALSE)
    elif isinstance(value, bytes):
        parts.append(_BYTES[len(value)])
        parts.append(value)
    elif room <= 0:
        raise unwritable("a value nested so deeply")
    elif isinstance(value, dict):
        parts.append(_MAP)
        write_pairs(value, parts, room - 1)
    elif isinstance(value, list):
        parts.append(_LIST[len(value)])
        for item in value:
            if type(item) is str:
                body = item.encode()
                parts.append(_TEXT[len(body)])
                parts.append(body)
            elif type(item) is int and INTEGER_MIN <= item <= INTEGER_MAX:
                parts.append(_tag_integer(2, item))
            else:
                write_plain(item, parts, room - 1)
    else:
        raise unwritable(f"a value of the type {type(value).__name__}")


def write_pairs(pairs: dict[str, object], parts: Parts, room: int) -> None:
    """Write a map of plain values: the count, then keys and values as they follow each other in the map."""
    parts.append(LENGTH[len(pairs)])
    for key, value in pairs.items():
        name = key.encode()
        if type(value) is str:
            body = value.encode()
            parts.append(LENGTH[len(name)])
            parts.append(name)
            parts.append(_TEXT[len(body)])
            parts.append(body)
        else:
            parts.append(LENGTH[len(name)])
            parts.append(name)
            write_plain(value, parts, room)


def read_plain(data: bytes, at: int, size: int, room: int) -> tuple[object, int]:
    """Return the plain value that begins at byte `at`, and where it ends. Raises BincodeInvalid."""
    try:
        return _plain(data, at, size, room)
    except FAILURES as error:
        raise failed(error, at, size) from None


def _plain(data: bytes, at: int, size: int, room: int) -> tuple[object, int]:
    tag, length = _read_tag_length(data, at)
    if tag == 4:
        start = at + 12
        end = start + length
        if end > size:
            raise beyond(at + 4, length, size)
        return data[start:end].decode(), end
    if tag == 2:
        return length if length <= INTEGER_MAX else length - _SIGN, at + 12
    if tag == 3:
        number = _read_double(data, at + 4)[0]
        if not isfinite(number):
            raise BincodeInvalid(f"a double must be finite, not {number}", at + 4)
        return number, at + 12
    if tag == 7:
        return read_pairs(data, at + 4, size, room)
    if tag == 6:
        return _read_list(data, at, size, room, length)
    return _read_rare(data, at, size, tag, length)


def _read_rare(data: bytes, at: int, size: int, tag: int, length: int) -> tuple[object, int]:
    if tag == 0:
        return None, at + 4
    if tag == 1:
        flag = data[at + 4]
        if flag > 1:
            raise bad_flag(at + 4, flag, "a boolean")
        return flag == 1, at + 5
    if tag == 5:
        end = at + 12 + length
        if end > size:
            raise beyond(at + 4, length, size)
        return data[at + 12 : end], end
    if at >= size:
        raise truncated(size)
    raise bad_tag(at, tag, 8)


def _read_list(data: bytes, at: int, size: int, room: int, count: int) -> tuple[object, int]:
    if room <= 0:
        raise too_deep(at)
    if count > (size - at - 12) // _PLAIN_BYTES_MIN:
        raise beyond(at + 4, count, size)
    at += 12
    items: list[object] = []
    add = items.append
    try:
        for _ in range(count):
            tag, length = _read_tag_length(data, at)
            if tag == 4:
                start = at + 12
                end = start + length
                if end > size:
                    raise beyond(at + 4, length, size)
                add(data[start:end].decode())
                at = end
            elif tag == 2 and length <= INTEGER_MAX:
                add(length)
                at += 12
            else:
                item, at = _plain(data, at, size, room - 1)
                add(item)
    except FAILURES as error:
        raise failed(error, at, size) from None
    return items, at


def read_pairs(data: bytes, at: int, size: int, room: int) -> tuple[dict[str, object], int]:
    """Return the map of plain values whose count stands at byte `at`, and where it ends. Raises
    BincodeInvalid.
    """
    (count,) = _read_length(data, at)
    if room <= 0:
        raise too_deep(at)
    if count > (size - at - 8) // _PAIR_BYTES_MIN:
        raise beyond(at, count, size)
    at += 8
    pairs: dict[str, object] = {}
    try:
        for _ in range(count):
            (length,) = _read_length(data, at)
            start = at + 8
            end = start + length
            if end > size:
                raise beyond(at, length, size)
            key = data[start:end].decode()
            if key in pairs:
                raise duplicate_key(at, key)
            at = end
            tag, length = _read_tag_length(data, at)
            if tag == 4:
                start = at + 12
                end = start + length
                if end > size:
                    raise beyond(at + 4, length, size)
                pairs[key] = data[start:end].decode()
                at = end
            elif tag == 6:
                pairs[key], at = _read_list(data, at, size, room - 1, length)
            else:
                pairs[key], at = _plain(data, at, size, room - 1)
    except FAILURES as error:
        raise failed(error, at, size) from None
    return pairs, at
