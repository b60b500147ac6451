"""The text of a body, as far as it has any. Pure.

Text in all its forms, tables, markup and JSON are text; MessagePack has texts inside. A body of a type that
tells nothing is text if it looks like text. Images, archives, PDF and the like have none.
"""

import codecs
import html
import re
from typing import Final

import msgspec

from symphony.pit.artifacts.values.codec import decode_value
from symphony.pit.artifacts.values.media import Media, media
from symphony.ports.values import VALUE_DEPTH_MAX, StoredValue

_LOOKED_AT: Final = 8_192
_CONTROLS_MAX: Final = 0.02
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"),
)  # fmt: skip
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f\ufffd]")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_UNSEEN: Final = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)
_TAG: Final = re.compile(r"<[!/?a-zA-Z][^<>]*(?:>|\Z)")
_HTML: Final = frozenset({"text/html", "application/xhtml+xml"})
_XML_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});")


def text_of(content_type: str, body: bytes, *, whole: bool) -> str | None:
    """Return the text of a body, or of its beginning if that is not the `whole`; None if it has no text."""
    kind = content_type.partition(";")[0].strip().lower()
    told = media(content_type)
    match told.form:
        case "binary":
            return None
        case "msgpack":
            return _of_msgpack(body) if whole else _looks_like_text(body, told, whole=whole)
        case "any" | "unknown":
            return _looks_like_text(body, told, whole=whole)
        case "json" | "lines":
            return _unescaped(decoded(body, told, whole=whole))
        case "markup" if kind not in _HTML:
            return _XML_ENTITY.sub(lambda found: html.unescape(found[0]), decoded(body, told, whole=whole))
        case _:
            text = decoded(body, told, whole=whole)
            return html.unescape(_TAG.sub(" ", _UNSEEN.sub(" ", text))) if kind in _HTML else text


def decoded(body: bytes, told: Media, *, whole: bool) -> str:
    """Return the characters of a text. Bytes that are none in its charset become U+FFFD."""
    charset = next((name for mark, name in _MARKS if body.startswith(mark)), told.charset or "utf-8")
    try:
        bytes(4).decode(
            charset, "replace"
        )  # refuses encodings of Python that are no charsets, such as base64
        return codecs.getincrementaldecoder(charset)("replace").decode(body, final=whole)
    except (LookupError, ValueError):
        return body.decode("utf-8", "replace")


def _looks_like_text(body: bytes, told: Media, *, whole: bool) -> str | None:
    start = body[:_LOOKED_AT]
    if not start:
        return None
    if not any(start.startswith(mark) for mark, _ in _MARKS) and (told.charset or "utf-8") == "utf-8":
        if b"\0" in start:
            return None
        text = decoded(start, told, whole=False)
        if len(_CONTROLS.findall(text)) > len(text) * _CONTROLS_MAX:
            return None
    return decoded(body, told, whole=whole)


def _unescaped(text: str) -> str:
    """Return JSON as text in which words are not glued to escapes such as `\\n`."""
    if "\\" not in text:
        return text
    text = _ESCAPE.sub(_character, text)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # pairs become one character


def _character(found: re.Match[str]) -> str:
    if found[1] is not None:
        return chr(int(found[1], 16))
    return found[2] if found[2] in '"\\/' else " "


def _of_msgpack(body: bytes) -> str | None:
    """Return the texts of a value one below the other; None of bytes that are not a value."""
    try:
        value: StoredValue = decode_value(body)
    except Exception:  # noqa: BLE001  # whatever the bytes are: they have no text
        try:
            value = msgspec.msgpack.decode(body)
        except (ValueError, RecursionError, TypeError):
            return None
    found = list[str]()
    _collect(value, found, 0)
    return "\n".join(found)


def _collect(value: object, found: list[str], depth: int) -> None:
    if isinstance(value, str):
        found.append(value)
    elif isinstance(value, bool | int | float):
        found.append(str(value))
    elif isinstance(value, list) and depth < VALUE_DEPTH_MAX:
        for item in value:
            _collect(item, found, depth + 1)
    elif isinstance(value, dict) and depth < VALUE_DEPTH_MAX:
        for key, item in value.items():
            found.append(str(key))
            _collect(item, found, depth + 1)
