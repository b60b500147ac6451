"""The spellings of a secret after it has passed through JSON, a URL, a shell, base64 and the like. Pure."""

import base64
import json
import unicodedata
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Literal

from symphony.commons.lines import lines_of

LENGTH_MIN = 6
"""Shorter texts are no secrets: masking them would deface everything else."""

_TEXTS_MAX = 100
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
_COMPONENT = frozenset(_UNRESERVED | set(b"!*'()"))
_PRINTED = frozenset(range(0x21, 0x7F))
_LEFT_ALONE: Mapping[str, frozenset[int]] = {
    "component": _COMPONENT,  # encodeURIComponent
    "uri": _COMPONENT | frozenset(b";,/?:@&=+$#"),  # encodeURI
    "form": (_UNRESERVED | frozenset(b"*")) - frozenset(b"~"),  # what browsers and Java send for a form
    "pchar": _COMPONENT | frozenset(b"/:@&=+$,;"),  # a path, by RFC 3986
    "query": _PRINTED
    - frozenset(b'"<>#'),  # an address that was given whole, as browsers and clients send it
    "path": _PRINTED - frozenset(b'"<>#?`{}^'),
}
"""The bytes that each way of quoting for addresses leaves as they are."""
_SHELL_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%+=:,./-")
_HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}
_GO = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_MARKUP = {**_HTML, '"': "&#34;", "'": "&#39;"}


def spellings(value: str) -> dict[str, str]:
    """The ways to spell `value`, by name, each of `LENGTH_MIN` or more characters and only once.

    A value always has the same spellings under the same names, so that a name and a part of the
    spelling can stand for the text. Each line of a text with several lines counts too.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for form, text in _all(value):
        if len(text) >= LENGTH_MIN and text not in seen:
            seen.add(text)
            found[form] = text
    return found


def utf8(text: str) -> bytes:
    """`text` in UTF-8; bytes that an environment variable had and UTF-8 has not are restored."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _all(value: str) -> Iterator[tuple[str, str]]:
    yield "raw", value
    yield "stripped", value.strip()
    yield "crlf", value.replace("\r\n", "\n").replace("\n", "\r\n")
    for number, line in enumerate(lines_of(value)):
        yield f"line-{number}", line.strip()
    yield from _programming(value)
    yield from _shells(value)
    yield from _urls(value)
    yield "html", "".join(_HTML.get(c, c) for c in value)
    yield "markup", "".join(_MARKUP.get(c, c) for c in value)
    for whole, text in (("", value), ("stripped-", value.strip())):
        yield from _binary(whole, utf8(text))
    yield from _later(value)  # behind the others, whose names stand in journals


def _programming(value: str) -> Iterator[tuple[str, str]]:
    ascii_only = json.dumps(value)[1:-1]
    yield "json", ascii_only
    yield "json-slash", ascii_only.replace("/", "\\/")
    yield "json-unicode", json.dumps(value, ensure_ascii=False)[1:-1]
    yield "json-twice", json.dumps(ascii_only)[1:-1]
    yield "repr", repr(value)[1:-1]
    yield "repr-bytes", repr(utf8(value))[2:-1]


def _shells(value: str) -> Iterator[tuple[str, str]]:
    yield "shell", value.replace("'", "'\"'\"'")
    yield "shell-close", value.replace("'", "'\\''")
    yield "shell-backslash", "".join(c if c in _SHELL_PLAIN else f"\\{c}" for c in value)
    yield "shell-double", "".join(f"\\{c}" if c in '"$`\\' else c for c in value)


def _urls(value: str) -> Iterator[tuple[str, str]]:
    body = utf8(value)
    for case, digits in (("", "%%%02X"), ("-lower", "%%%02x")):
        quoted = "".join(chr(b) if b in _UNRESERVED else digits % b for b in body)
        slash = digits % ord("/")
        yield f"percent{case}", quoted
        yield f"percent-path{case}", quoted.replace(slash, "/")
        yield f"plus{case}", quoted.replace("%20", "+")


def _later(value: str) -> Iterator[tuple[str, str]]:
    """Yield other tools' spellings of a text: Go's JSON, XML, `printf %q`, a variable with `\\n` in it."""
    yield "json-go", _replaced(json.dumps(value, ensure_ascii=False)[1:-1], _GO)
    yield "json-ascii-go", _replaced(json.dumps(value)[1:-1], _GO)
    yield "xml", _replaced(value, {c: _HTML[c] for c in "&<>"})
    yield "xml-quotes", _replaced(value, {**_HTML, "'": "&apos;"})
    yield "shell-ansi", json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
    for form, text in _urls(value):
        yield f"{form}-twice", text.replace("%", "%25")
    normal: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")
    for form in normal:
        yield form, unicodedata.normalize(form, value)
    unescaped = value.replace("\\r", "").replace("\\n", "\n")
    yield "unescaped", unescaped
    for number, line in enumerate(unescaped.split("\n")):
        yield f"unescaped-{number}", line.strip()
    digits = base64.b64encode(utf8(value)).decode("ascii")[: len(utf8(value)) * 8 // 6]
    for width in (76, 64):  # as `base64` and `openssl` break lines
        for number, at in enumerate(range(0, len(digits), width)):
            yield f"base64-{width}-{number}", digits[at : at + width]
    if value.isascii():
        yield "wide", "\0".join(value)  # UTF-16 that was taken for UTF-8
    yield from _document(value)
    yield from _addresses(value)


def _addresses(value: str) -> Iterator[tuple[str, str]]:
    """The ways of quoting a text for an address that leave more than the unreserved characters alone."""
    body = utf8(value)
    for name, plain in _LEFT_ALONE.items():
        for case, digits in (("", "%%%02X"), ("-lower", "%%%02x")):
            quoted = "".join(chr(b) if b in plain else digits % b for b in body)
            yield f"percent-{name}-only{case}", quoted
            if name in ("component", "form"):
                yield f"plus-{name}-only{case}", quoted.replace("%20", "+")


def _document(value: str) -> Iterator[tuple[str, str]]:
    """Yield spellings of a JSON document, such as a service account key: on one line, and each text in it."""
    if value.strip()[:1] not in ("{", "["):
        return
    try:
        document: object = json.loads(value)
        yield "document", json.dumps(document, separators=(",", ":"))
        yield "document-unicode", json.dumps(document, separators=(",", ":"), ensure_ascii=False)
        yield "document-spaced", json.dumps(document)
        texts = list(islice(_texts(document), _TEXTS_MAX))
    except (ValueError, RecursionError):
        return
    for number, text in enumerate(texts):
        yield f"text-{number}", text
        for line_number, line in enumerate(text.split("\n")):
            yield f"text-{number}-{line_number}", line.strip()


def _texts(document: object) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, list):
        for item in document:
            yield from _texts(item)
    elif isinstance(document, dict):
        for item in document.values():
            yield from _texts(item)


def _replaced(text: str, by: Mapping[str, str]) -> str:
    return "".join(by.get(c, c) for c in text)


def _binary(prefix: str, body: bytes) -> Iterator[tuple[str, str]]:
    yield f"{prefix}hex", body.hex()
    yield f"{prefix}hex-upper", body.hex().upper()
    for alphabet, encode in (("base64", base64.b64encode), ("base64url", base64.urlsafe_b64encode)):
        whole = encode(body).decode("ascii")
        yield f"{prefix}{alphabet}", whole
        yield f"{prefix}{alphabet}-unpadded", whole.rstrip("=")
        for shift in range(3):
            # In the midst of other bytes: only digits made of the secret's bits alone are certain.
            digits = encode(bytes(shift) + body).decode("ascii")
            yield f"{prefix}{alphabet}-{shift}", digits[-(-shift * 8 // 6) : (shift + len(body)) * 8 // 6]
