"""The bytes of values: MessagePack written in one way only, and the digests made of it. Pure.

Maps are written in the order of their keys, every number in its shortest form, floats always as
doubles. One value therefore has the same bytes every time, and values that differ in anything
have other bytes: 1 and 1.0 are two values, 0.0 and -0.0 too, and so are maps of the same keys in
different orders, though Python calls all of these equal.
"""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.commons.plainness import is_long, plain_size
from symphony.pit.artifacts.base.rules import DIGEST
from symphony.pit.artifacts.values.sealed import Part, Sealed, SealedKind, SealedMap, SealedValue
from symphony.ports.values import VALUE_DEPTH_MAX, ArtifactRef, Digest, StoredValue, Value

_EXT_REF, _EXT_SEALED, _EXT_SEALED_MAP, _EXT_CONTENT = 1, 2, 3, 4
_PLAIN = frozenset({type(None), bool, str, bytes})
_OWN = re.compile(r"(?:text|bytes|msgpack):[0-9a-f]{64}", re.ASCII)

_encoder = msgspec.msgpack.Encoder()
_encode = _encoder.encode


class Body(NamedTuple):
    """A value as an artifact's body; `encoding` as in `ArtifactRef`."""

    body: bytes
    encoding: str
    content_type: str


class _Refused(Exception):
    """Half a sentence about a value that cannot be carried; `path` is where, innermost first."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.path: list[str] = []


def encode_value(value: StoredValue | SealedValue) -> bytes:
    """The bytes of `value`, sealed forms and references included.

    Raises SerializationFailed, naming the place, for anything that is not a value: integers beyond
    64 bits, NaN and infinities, keys that are not strings, lone surrogates, other types, and
    nesting deeper than `VALUE_DEPTH_MAX`.
    """
    if type(value) is dict:
        # What most nodes give, a map of scalars, takes half the time without the calls of `_encoded`.
        for key, item in value.items():
            kind = type(item)
            if type(key) is not str or not (
                kind in _PLAIN or (kind is int and INTEGER_MIN <= item <= INTEGER_MAX)  # type: ignore[operator]
            ):
                break
        else:
            try:
                return _encode(value)
            except UnicodeEncodeError:  # the long way words what is wrong
                return _encoded(value, by_content=False)
    return _encoded(value, by_content=False)


def encode_plain(value: Value | dict[str, Value]) -> bytes:
    """Like `encode_value`, for plain values: scalars, a map of them, or as `plain_size` says."""
    try:
        return _encode(value)
    except UnicodeEncodeError:  # the long way words what is wrong
        return _encoded({**value} if isinstance(value, dict) else value, by_content=False)


def encoded_map(parts: Mapping[str, bytes]) -> bytes:
    """Return what `encode_value` returns for a map, given its encoded values."""
    pairs = (one for key, body in parts.items() for one in (_encode(key), body))
    count = len(parts)
    if count < 16:
        head = bytes((0x80 | count,))
    elif count < 1 << 16:
        head = b"\xde" + count.to_bytes(2, "big")
    else:
        head = b"\xdf" + count.to_bytes(4, "big")
    return b"".join((head, *pairs))


def decode_value(body: bytes) -> StoredValue:
    """The value of bytes made by `encode_value`.

    Raises SerializationFailed if `body` is not exactly one value, or if a sealed form is in it:
    that is for `decode_sealed`.
    """
    with _decoding():
        value: StoredValue = _plain_decoder.decode(body)
        _ready(value, 0, by_content=False)
    return value


def decode_map(body: bytes) -> Mapping[str, StoredValue]:
    """Like `decode_value`, for a map; one of scalars takes a third of the time."""
    try:
        value: StoredValue = _plain_decoder.decode(body)
    except (ValueError, TypeError, RecursionError, OverflowError):  # the long way words what is wrong
        value = decode_value(body)
    if not isinstance(value, dict):
        raise SerializationFailed("these bytes are not a map of values")
    for key, item in value.items():
        kind = type(item)
        if type(key) is not str or not (
            kind in _PLAIN or (kind is int and INTEGER_MIN <= item <= INTEGER_MAX)  # type: ignore[operator]
        ):
            with _decoding():
                _ready(value, 0, by_content=False)
            break
    return value


def decode_sealed(body: bytes) -> SealedValue:
    """Like `decode_value`, for bytes that may hold sealed forms (see `redaction.unseal`)."""
    with _decoding():
        value: SealedValue = _decoder.decode(body)
        _ready(value, 0, by_content=False)
    return value


class _decoding:
    """Turn everything that can go wrong with bytes into one error. (A generator would cost twice as much.)"""

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, _Refused):
            raise SerializationFailed(f"these bytes are not a value: {_where(error)}") from None
        if isinstance(error, ValueError | TypeError | RecursionError | OverflowError):
            raise SerializationFailed(f"these bytes are not a value: {error}") from error


def value_digest(value: StoredValue) -> str:
    """64 hexadecimal digits that stand for `value`: part of cache keys and provenance.

    Made of the body's encoding and digest, so that a value has the same digest inline and by
    reference. A reference inside a list or map counts by its content too, but such a list
    differs from the same one with the value itself inside. Raises as `encode_value`.
    """
    kind = type(value)
    if value is None or kind is bool or (kind is int and INTEGER_MIN <= value <= INTEGER_MAX):  # type: ignore[operator]
        encoding, digest = "msgpack", hashlib.sha256(_encode(value)).hexdigest()  # the way below, shorter
    elif isinstance(value, ArtifactRef):
        return hashlib.sha256(value.identity.encode()).hexdigest()
    else:
        text = isinstance(value, str | bytes)
        body, encoding, _ = body_of(value) if text else Body(_encoded(value, by_content=True), "msgpack", "")
        digest = hashlib.sha256(body).hexdigest()
    return hashlib.sha256(f"{encoding}:{digest}".encode("ascii")).hexdigest()


def body_of(value: Value) -> Body:
    """`value` as an artifact's body: strings and bytes as they are, others as MessagePack.

    Raises as `encode_value`.
    """
    if isinstance(value, bytes):
        return Body(value, "bytes", "application/octet-stream")
    if isinstance(value, str):
        return Body(text_body(value), "text", "text/plain")
    return Body(encode_value(value), "msgpack", "application/msgpack")


def text_body(value: str) -> bytes:
    """`value` as UTF-8. Raises SerializationFailed for a lone surrogate."""
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise SerializationFailed(f"no value: {_SURROGATE}", hint=_SURROGATE_HINT) from None


def value_of(body: bytes, encoding: str) -> Value:
    """The value that `body_of` made `body` of. Raises SerializationFailed."""
    match encoding:
        case "bytes":
            return body
        case "text":
            try:
                return body.decode()
            except UnicodeDecodeError as error:
                raise SerializationFailed(f"a stored text is not UTF-8 at byte {error.start}") from None
        case "msgpack":
            value = decode_value(body)
            if isinstance(value, ArtifactRef):
                raise SerializationFailed("a stored body is itself a reference")
            return value
    raise SerializationFailed(f"unknown encoding {encoding!r}: text, bytes or msgpack")


_SURROGATE = "a string with a lone surrogate, which is not Unicode text"
_SURROGATE_HINT = "file names that are not UTF-8 must travel as bytes"


def _encoded(value: StoredValue | SealedValue, *, by_content: bool) -> bytes:
    try:
        if is_long(value) and plain_size(value) is not None:
            return _encode(value)
        return _encoder.encode(_ready(value, 0, by_content=by_content))
    except _Refused as refused:
        raise SerializationFailed(f"no value: {_where(refused)}") from None
    except UnicodeEncodeError:
        raise SerializationFailed(f"no value: {_SURROGATE}", hint=_SURROGATE_HINT) from None
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SerializationFailed(f"no value: {error}") from error


def _where(refused: _Refused) -> str:
    path = "".join(reversed(refused.path))
    path = path if len(path) <= 80 else f"{path[:77]}…"
    return f"{path or 'it'} is {refused}"


def _ready(value: object, depth: int, *, by_content: bool) -> object:
    """`value` as msgspec is to encode it: itself, unless there are references or sealed forms."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, int) and kind is int:
        if not INTEGER_MIN <= value <= INTEGER_MAX:
            raise _Refused("an integer beyond 64 bits")
        return value
    if isinstance(value, float) and kind is float:
        if not math.isfinite(value):
            raise _Refused("a number that is not finite")
        return value
    if depth >= VALUE_DEPTH_MAX:
        raise _Refused(f"nested more than {VALUE_DEPTH_MAX} deep")
    if isinstance(value, dict) and kind is dict:
        return _ready_dict(value, depth, by_content)
    if isinstance(value, list) and kind is list:
        return _ready_list(value, depth, by_content)
    if isinstance(value, ArtifactRef):
        return _ready_ref(value, by_content)
    if isinstance(value, Sealed):
        return msgspec.msgpack.Ext(_EXT_SEALED, _encoder.encode((value.kind, value.segments)))
    if isinstance(value, SealedMap):
        return _ready_sealed_map(value, depth, by_content)
    raise _Refused(f"of type {kind.__name__}")


def _ready_list(items: list[object], depth: int, by_content: bool) -> list[object]:
    # Long lists of one type are the rule (vectors, names): check those without a Python loop.
    kinds = set(map(type, items))
    if kinds <= _PLAIN or _sound_numbers(items, kinds):
        return items
    changed: list[object] | None = None
    for i, item in enumerate(items):
        try:
            ready = _ready(item, depth + 1, by_content=by_content)
        except _Refused as refused:
            refused.path.append(f"[{i}]")
            raise
        if ready is not item:
            changed = changed if changed is not None else items.copy()
            changed[i] = ready
    return items if changed is None else changed


def _sound_numbers(items: list[object], kinds: set[type]) -> bool:
    if kinds == {float}:
        return all(map(math.isfinite, items))  # type: ignore[arg-type]  # floats all: `kinds` says so
    if kinds == {int}:
        return min(items) >= INTEGER_MIN and max(items) <= INTEGER_MAX  # type: ignore[type-var, operator]
    return False


def _ready_dict(items: dict[object, object], depth: int, by_content: bool) -> dict[object, object]:
    changed: dict[object, object] | None = None
    for key, item in items.items():
        if type(key) is not str:
            raise _Refused(f"a map with the key {key!r:.40}, which is not a string")
        kind = type(item)  # the common types are handled here: a call for each value costs twice as much
        if kind in _PLAIN or (kind is int and INTEGER_MIN <= item <= INTEGER_MAX):  # type: ignore[operator]
            continue
        try:
            ready = _ready(item, depth + 1, by_content=by_content)
        except _Refused as refused:
            refused.path.append(f".{key}")
            raise
        if ready is not item:
            changed = changed if changed is not None else items.copy()
            changed[key] = ready
    return items if changed is None else changed


def _ready_ref(ref: ArtifactRef, by_content: bool) -> msgspec.msgpack.Ext:
    if by_content:
        return msgspec.msgpack.Ext(_EXT_CONTENT, ref.identity.encode())
    fields: tuple[object, ...] = (ref.digest, ref.size, ref.content_type, ref.name, ref.encoding)
    if ref.own:
        fields = (*fields, ref.sealed, ref.own)
    elif ref.sealed:
        fields = (*fields, ref.sealed)
    return msgspec.msgpack.Ext(_EXT_REF, _encoder.encode(fields))


def _ready_sealed_map(form: SealedMap, depth: int, by_content: bool) -> msgspec.msgpack.Ext:
    pairs = []
    for key, item in form.pairs:
        ready = [_ready(part, depth + 1, by_content=by_content) for part in (key, item)]
        pairs.append([_encoder.encode(part) for part in ready])
    return msgspec.msgpack.Ext(_EXT_SEALED_MAP, _encoder.encode(pairs))


class _Ref(msgspec.Struct, frozen=True, array_like=True):
    """A reference on the wire; those without a sealed body or another form end before these."""

    digest: str
    size: int
    content_type: str
    name: str | None
    encoding: str
    sealed: str | None = None
    own: str | None = None


_ref_decoder = msgspec.msgpack.Decoder(_Ref)
_sealed_decoder = msgspec.msgpack.Decoder(tuple[SealedKind, list[object]])
_pairs_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


def _extension(code: int, data: memoryview) -> object:
    payload = bytes(data)
    match code:
        case 1:  # _EXT_REF
            return _reference(_ref_decoder.decode(payload))
        case 2:  # _EXT_SEALED
            return _sealed(*_sealed_decoder.decode(payload))
        case 3:  # _EXT_SEALED_MAP
            pairs = tuple(
                (_sealed_key(_decoder.decode(key)), _decoder.decode(item))
                for key, item in _pairs_decoder.decode(payload)
            )
            return SealedMap(pairs)
    raise ValueError(f"unknown extension type {code}")


def _reference(found: _Ref) -> ArtifactRef:
    digests = [found.digest] if found.sealed is None else [found.digest, found.sealed]
    if found.size < 0 or not all(map(DIGEST.fullmatch, digests)):
        raise ValueError("a reference with a bad digest or size")
    if found.own is not None and _OWN.fullmatch(found.own) is None:
        raise ValueError("a reference to a value of an unknown form")
    return ArtifactRef(
        digest=Digest(found.digest),
        size=found.size,
        content_type=found.content_type,
        name=found.name,
        encoding=found.encoding,
        sealed=None if found.sealed is None else Digest(found.sealed),
        own=found.own,
    )


def _sealed(kind: SealedKind, raw: list[object]) -> Sealed:
    literal = bytes if kind == "bytes" else str
    segments: list[str | bytes | Part] = []
    for segment in raw:
        if isinstance(segment, list):
            segments.append(msgspec.convert(segment, Part))
        elif isinstance(segment, literal):
            segments.append(segment)
        else:
            raise ValueError(f"a sealed form of kind {kind} with another literal")
    return Sealed(kind, tuple(segments))


def _sealed_key(key: object) -> str | Sealed:
    if not isinstance(key, str | Sealed):
        raise ValueError("a sealed map with a key that is not a string")
    return key


def _plain_extension(code: int, data: memoryview) -> object:
    if code in (_EXT_SEALED, _EXT_SEALED_MAP):
        raise SerializationFailed(
            "this value holds a sealed secret", code="sealed", hint="read it with decode_sealed and unseal it"
        )
    return _extension(code, data)


_decoder = msgspec.msgpack.Decoder(ext_hook=_extension)
_plain_decoder = msgspec.msgpack.Decoder(ext_hook=_plain_extension)
