"""Values as bodies of a content type: what is stored is what the type says. Pure.

Text and bytes that are a document of the type already are stored as they are. Any other value is written in
the type's own form: as JSON spells it, one element a line, as MessagePack, as text. A type that has no form
for a value, such as `image/png` for a map, gives way: the body then has the type of what it holds.
"""

import hashlib
from typing import Final, NamedTuple

import msgspec

from symphony.commons.errors import SerializationFailed
from symphony.ipc.values import BYTES_KEY, spelled, unspelled_bytes
from symphony.pit.artifacts.values.codec import body_of, encode_value, text_body, value_of
from symphony.pit.artifacts.values.media import BYTES_TYPE, JSON_TYPE, TEXT_TYPE, in_utf8, media
from symphony.ports.values import JSON, ArtifactRef, StoredValue, Value

_REF_KEY: Final = "$artifact"
_lines = msgspec.json.Decoder()
_document = msgspec.json.Decoder(msgspec.Raw)


class TypedBody(NamedTuple):
    """A value as a body of a type: `encoding` and `own` as in `ArtifactRef`.

    `fits` is false if the type that was asked for had no form for the value.
    """

    body: bytes
    encoding: str
    content_type: str
    own: str | None = None
    fits: bool = True


def typed_body(value: Value, content_type: str, encoded: bytes | None = None) -> TypedBody:
    """`value` as a body of `content_type`. `encoded`: what `encode_value` gives of it, if that is known.

    Raises SerializationFailed for what is not a value.
    """
    asked = media(content_type)
    if isinstance(value, str):
        found = _of_text(value, content_type)
    elif isinstance(value, bytes):
        found = _of_bytes(value, content_type)
    else:
        encoded = encode_value(value) if encoded is None else encoded
        if asked.form == "msgpack":
            return TypedBody(encoded, "msgpack", content_type)
        found = _of_other(value, content_type)
    own = _own(value, encoded)
    same = f"{found.encoding}:{hashlib.sha256(found.body).hexdigest()}" == own
    return found if same else found._replace(own=own)


def typed_value(body: bytes, encoding: str) -> Value:
    """The value that `typed_body` made `body` of. Raises SerializationFailed."""
    kind, _, charset = encoding.partition(":")
    try:
        if encoding == "json":
            return _no_reference(_unspelled(msgspec.json.decode(body)))
        if encoding == "lines":
            return [_unspelled(item) for item in _lines.decode_lines(body)]  # type: ignore[misc]
        if kind == "text" and charset:
            return body.decode(charset)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise SerializationFailed(f"a stored body in {encoding:.80} cannot be read: {error}") from None
    return value_of(body, encoding)


def json_text(value: StoredValue) -> bytes:
    """`value` as a JSON document for people and programs, with a newline at its end.

    Bytes are `{"$bytes": base64}`, references `{"$artifact": digest, …}`; a `$` that begins a key is doubled.
    """
    return msgspec.json.format(msgspec.json.encode(spelled(value, _spelled_ref)), indent=2) + b"\n"


def _of_text(value: str, content_type: str) -> TypedBody:
    form, charset = media(content_type)
    body = text_body(value)
    match form:
        case "json":
            if _is_json(body):
                return TypedBody(body, "text", in_utf8(content_type))
            return TypedBody(json_text(value), "json", in_utf8(content_type))
        case "lines":
            if _is_lines(body):
                return TypedBody(body, "text", in_utf8(content_type))
            return TypedBody(_line(value), "json", in_utf8(content_type))
        case "msgpack":
            return TypedBody(encode_value(value), "msgpack", content_type)
        case "binary":
            return TypedBody(body, "text", TEXT_TYPE, fits=False)
        case _:
            return _in_charset(value, body, content_type, charset)


def _in_charset(value: str, body: bytes, content_type: str, charset: str | None) -> TypedBody:
    if charset is not None and charset != "utf-8":
        try:
            told = value.encode(charset)
            if told.decode(charset) == value:
                return TypedBody(told, f"text:{charset}", content_type)
        except (UnicodeError, LookupError):  # UTF-8 can say what the charset cannot
            pass
    return TypedBody(body, "text", in_utf8(content_type))


def _of_bytes(value: bytes, content_type: str) -> TypedBody:
    form, charset = media(content_type)
    match form:
        case "json" if not _is_json(value):
            return TypedBody(json_text(value), "json", content_type)
        case "lines" if not _is_lines(value):
            return TypedBody(_line(value), "json", content_type)
        case "msgpack" if not _is_msgpack(value):
            return TypedBody(encode_value(value), "msgpack", content_type)
        case "text" | "table" | "markup" if charset is not None and not _is_text(value, charset):
            return TypedBody(value, "bytes", BYTES_TYPE, fits=False)
        case _:
            return TypedBody(value, "bytes", content_type)


def _of_other(value: Value, content_type: str) -> TypedBody:
    form, _ = media(content_type)
    nested = isinstance(value, list | dict)
    if form == "lines":
        if not isinstance(value, list):
            return TypedBody(_line(value), "json", content_type)
        return TypedBody(b"".join(map(_line, value)), "lines", content_type)
    if form == "binary" or form == "markup" or (form == "table" and nested):
        return TypedBody(json_text(value), "json", JSON_TYPE, fits=False)
    return TypedBody(json_text(value), "json", in_utf8(content_type))


def _own(value: Value, encoded: bytes | None) -> str:
    body, encoding = (encoded, "msgpack") if encoded is not None else body_of(value)[:2]
    return f"{encoding}:{hashlib.sha256(body).hexdigest()}"


def _line(value: StoredValue) -> bytes:
    return msgspec.json.encode(spelled(value, _spelled_ref)) + b"\n"


def _is_json(body: bytes) -> bool:
    try:
        body.decode()
        _document.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


def _is_lines(body: bytes) -> bool:
    return all(_is_json(line) for line in body.split(b"\n") if line.strip())


def _is_msgpack(body: bytes) -> bool:
    try:
        msgspec.msgpack.decode(body)
    except (ValueError, RecursionError):
        return False
    return True


def _is_text(body: bytes, charset: str) -> bool:
    try:
        body.decode(charset)
    except (UnicodeError, LookupError):
        return False
    return True


def _no_reference(value: StoredValue) -> Value:
    if isinstance(value, ArtifactRef):
        raise SerializationFailed("a stored body is itself a reference")
    return value


def _spelled_ref(ref: ArtifactRef) -> JSON:
    """Return the reference as results show it, with what else a run needs to open it."""
    told: dict[str, JSON] = {
        _REF_KEY: ref.digest, "size": ref.size, "content_type": ref.content_type, "name": ref.name,
        "encoding": ref.encoding,
    }  # fmt: skip
    more: dict[str, JSON] = {"sealed": ref.sealed, "own": ref.own}
    return told | {key: item for key, item in more.items() if item is not None}


def _unspelled(value: object) -> StoredValue:
    if isinstance(value, list):
        return [_unspelled(item) for item in value]  # type: ignore[misc]  # references inside count as values
    if not isinstance(value, dict):
        return value  # type: ignore[return-value]  # JSON has only scalars besides
    if len(value) == 1 and BYTES_KEY in value:
        return unspelled_bytes(value[BYTES_KEY])
    if _REF_KEY in value:
        return msgspec.convert({"digest": value.pop(_REF_KEY), **value}, ArtifactRef)
    items = value.items()
    return {key.removeprefix("$"): _unspelled(item) for key, item in items}  # type: ignore[misc]  # as above
