"""Whether a body is what its content type says, and whether all of it is there. Pure."""

import codecs
import csv
import io
import tomllib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple
from xml.parsers import expat

import msgspec

from symphony.pit.artifacts.values.media import media

_SLOW_BYTES_MAX: Final = 256 << 10
_DEPTH_MAX: Final = 500

_SIGNATURES: Final[Mapping[str, tuple[tuple[int, bytes], ...]]] = MappingProxyType({
    "image/png": ((0, b"\x89PNG\r\n\x1a\n"),), "image/jpeg": ((0, b"\xff\xd8\xff"),),
    "image/gif": ((0, b"GIF87a"), (0, b"GIF89a")), "image/webp": ((8, b"WEBP"),),
    "image/bmp": ((0, b"BM"),), "image/tiff": ((0, b"II*\0"), (0, b"MM\0*")),
    "application/pdf": ((0, b"%PDF-"),), "application/gzip": ((0, b"\x1f\x8b"),),
    "application/zip": ((0, b"PK\x03\x04"), (0, b"PK\x05\x06")),
    "application/zstd": ((0, b"\x28\xb5\x2f\xfd"),),
    "application/x-tar": ((257, b"ustar"),), "application/wasm": ((0, b"\0asm"),),
    "application/vnd.apache.parquet": ((0, b"PAR1"),), "application/x-sqlite3": ((0, b"SQLite format 3\0"),),
    "audio/wav": ((8, b"WAVE"),), "audio/x-wav": ((8, b"WAVE"),), "audio/flac": ((0, b"fLaC"),),
    "audio/ogg": ((0, b"OggS"),), "video/mp4": ((4, b"ftyp"),), "video/webm": ((0, b"\x1aE\xdf\xa3"),),
})  # fmt: skip
"""How bodies of a type begin: at an offset, one of these. Source: IANA's registrations and `file`."""
_ENDINGS: Final[Mapping[str, bytes]] = MappingProxyType({
    "image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9", "image/gif": b"\x3b",
    "application/pdf": b"%%EOF", "application/vnd.apache.parquet": b"PAR1",
})  # fmt: skip
"""What is in the last bytes of a body of a type that is all there."""
_TAIL: Final = 1_024


class Validity(NamedTuple):
    """`share`: how much of a body is valid, None if that is unknown. `cut`: whether its end is missing."""

    share: float | None
    why: str
    cut: bool | None = None


def validity(content_type: str, body: bytes, *, whole: bool) -> Validity:
    """Look at a body, or at its beginning if that is not the `whole`. Never raises."""
    kind, told = content_type.partition(";")[0].strip().lower(), media(content_type)
    if whole and not body:
        return _EMPTY.get(told.form, Validity(None, "it is empty"))
    if told.form == "binary":
        return _signature(kind, body, whole=whole)
    if told.form in ("any", "unknown"):
        return Validity(None, f"the type {kind} promises nothing that could be checked")
    if told.form != "msgpack" and (fault := _undecodable(body, told.charset, whole=whole)) is not None:
        return fault
    check = _CHECKS.get(kind) or _FORM_CHECKS.get("xml" if kind.endswith("+xml") else told.form)
    if check is None:
        return Validity(1.0, "its text decodes", _open_fence(body) if "markdown" in kind and whole else None)
    if not whole:
        return Validity(None, "it is too large to be parsed")
    try:
        return check(body)
    except (RecursionError, MemoryError):
        return Validity(None, "it is nested too deeply to be parsed")


def _undecodable(body: bytes, charset: str | None, *, whole: bool) -> Validity | None:
    name = charset or ("utf-16" if body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8")
    try:
        bytes(4).decode(name, "replace")  # refuses encodings of Python that are no charsets, such as base64
        codecs.getincrementaldecoder(name)().decode(body, final=whole)
    except UnicodeDecodeError as error:
        end = whole and error.end == len(body) and error.reason.startswith("unexpected end")
        return Validity(0.0, f"its text is not valid {name}: byte {error.start + 1:,}", True if end else None)
    except (LookupError, ValueError):
        return Validity(None, f"the charset {name} is not known here")
    return None


def _json(body: bytes) -> Validity:
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        cut = "truncated" in str(error)
        return Validity(0.0, "it is not JSON: " + ("its end is missing" if cut else _brief(error)), cut)
    return Validity(1.0, "it parses as JSON", cut=False)


def _lines(body: bytes) -> Validity:
    lines = [line for line in body.split(b"\n") if line.strip()]
    good = sum(_json(line).share == 1.0 for line in lines)
    cut = bool(lines) and not body.endswith(b"\n") and _json(lines[-1]).share != 1.0
    share = good / len(lines) if lines else 1.0
    return Validity(share, f"{good:,} of {len(lines):,} lines parse as JSON", cut)


def _msgpack(body: bytes) -> Validity:
    try:
        msgspec.msgpack.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        cut = "truncated" in str(error)
        return Validity(
            0.0, "it is not MessagePack: " + ("its end is missing" if cut else _brief(error)), cut
        )
    return Validity(1.0, "it parses as MessagePack", cut=False)


def _xml(body: bytes) -> Validity:
    parser = expat.ParserCreate()
    try:
        parser.Parse(body, True)
    except expat.ExpatError as error:
        cut = error.code in _XML_CUT
        return Validity(0.0, f"it is not XML: {expat.ErrorString(error.code)}, line {error.lineno}", cut)
    return Validity(1.0, "it parses as XML", cut=False)


def _toml(body: bytes) -> Validity:
    if len(body) > _SLOW_BYTES_MAX:
        return Validity(None, "it is too large to be parsed")
    try:
        tomllib.loads(body.decode("utf-8-sig"))
    except ValueError as error:
        return Validity(0.0, f"it is not TOML: {_brief(error)}")
    return Validity(1.0, "it parses as TOML")


def _yaml(body: bytes) -> Validity:
    if len(body) > _SLOW_BYTES_MAX:
        return Validity(None, "it is too large to be parsed")
    import yaml

    depth = 0
    try:
        for event in yaml.parse(
            body.decode("utf-8-sig"), Loader=yaml.SafeLoader if _deep(body) else yaml.CSafeLoader
        ):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEPTH_MAX:
                return Validity(None, "it is nested too deeply to be parsed")
    except yaml.YAMLError as error:
        return Validity(0.0, f"it is not YAML: {_brief(error)}")
    return Validity(1.0, "it parses as YAML")


def _deep(body: bytes) -> bool:
    """True of YAML that may be nested so deeply that the C library must not see it."""
    return body.count(b"[") + body.count(b"{") > 10_000


def _table(body: bytes) -> Validity:
    text = body.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    delimiter = max(",\t;|", key=first.count)
    try:
        rows = [
            row for row in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True) if row
        ]
    except csv.Error as error:
        return Validity(0.0, f"it is not a table: {_brief(error)}", "unexpected end" in str(error))
    good = sum(len(row) == len(rows[0]) for row in rows) if rows else 0
    share = good / len(rows) if rows else 1.0
    columns = len(rows[0]) if rows else 0
    return Validity(share, f"{good:,} of {len(rows):,} rows have the {columns:,} columns of the first")


def _signature(kind: str, body: bytes, *, whole: bool) -> Validity:
    signatures = _SIGNATURES.get(kind)
    if signatures is None:
        return Validity(None, f"the type {kind} is not checked")
    if not any(body[at : at + len(sign)] == sign for at, sign in signatures):
        return Validity(0.0, f"it does not begin as {kind} does")
    ending = _ENDINGS.get(kind)
    cut = None if ending is None or not whole else ending not in body[-_TAIL:]
    return Validity(1.0, f"it begins as {kind} does", cut)


def _open_fence(body: bytes) -> bool:
    """True of Markdown in which a block of code has no end, as in an answer that was cut off."""
    marks = (line.lstrip()[:3] for line in body.split(b"\n"))
    opened: bytes | None = None
    for mark in marks:
        if mark in (b"```", b"~~~"):
            opened = mark if opened is None else None if mark == opened else opened
    return opened is not None


def _brief(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


_XML_CUT: Final = frozenset({3, 5, 6, 20})  # no element, unclosed token, partial character, unclosed CDATA
_EMPTY: Final = MappingProxyType({
    "json": Validity(0.0, "an empty body is not JSON", True),
    "msgpack": Validity(0.0, "an empty body is not MessagePack", True),
    "markup": Validity(0.0, "it is empty", True), "binary": Validity(0.0, "it is empty", True),
})  # fmt: skip
_CHECKS: Final[Mapping[str, Callable[[bytes], Validity]]] = MappingProxyType({
    "application/toml": _toml, "text/toml": _toml, "application/x-toml": _toml,
    "application/yaml": _yaml, "application/x-yaml": _yaml, "text/yaml": _yaml, "text/x-yaml": _yaml,
    "text/csv": _table, "text/tab-separated-values": _table,
})  # fmt: skip
_FORM_CHECKS: Final[Mapping[str, Callable[[bytes], Validity]]] = MappingProxyType({
    "json": _json, "lines": _lines, "msgpack": _msgpack, "markup": _xml, "xml": _xml,
})  # fmt: skip
