"""Bodies of HTTP answers: unpacked, decoded, parsed. Pure, and run in a thread: a body may be large.

All work is linear in the size of the body, whatever a server writes into its headers: codings and
character sets come from lists of this module. Python's own codecs are asked for none but these: some
take minutes for a megabyte (`punycode`), and some are no character sets at all.
"""

import codecs
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from symphony.commons.cutting import beginning
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.kit.json_pieces import Stop, parsed
from symphony.ports.values import Value

ACCEPTED_CODINGS: Final = "gzip, deflate"
_TEXTUAL: Final = ("text/", "application/json", "application/xml", "application/javascript")
_PACKINGS: Final = ("gzip", "x-gzip", "deflate", "br", "zstd", "compress", "x-compress", "dcb", "dcz")
"""Known codings; what else stands in that header, such as a character set, packs nothing."""
_PIECE: Final = 64 * 1024
_UNPACKED_PIECE: Final = 1024 * 1024
_GZIP_BITS, _ZLIB_BITS, _RAW_BITS = 16 + zlib.MAX_WBITS, zlib.MAX_WBITS, -zlib.MAX_WBITS


def _character_sets() -> dict[str, str]:
    """Python's codecs by the labels that servers use for them; see the WHATWG Encoding Standard."""
    known = {f"iso-8859-{n}": f"iso8859-{n}" for n in (*range(1, 12), *range(13, 17))}
    known |= {f"{kind}{n}": f"cp{n}" for n in range(1250, 1259) for kind in ("windows-", "cp")}
    known |= {f"{kind}{n}": f"cp{n}" for n in (437, 850, 852, 866, 874, 932, 949) for kind in ("ibm", "cp")}
    known |= dict.fromkeys(("utf-8", "utf8", "unicode-1-1-utf-8"), "utf-8")
    known |= dict.fromkeys(("ascii", "us-ascii"), "ascii")
    known |= dict.fromkeys(("latin1", "latin-1", "l1", "iso8859-1", "iso88591"), "iso8859-1")
    known |= dict.fromkeys(("shift-jis", "sjis", "x-sjis"), "shift_jis")
    known |= dict.fromkeys(("euc-kr", "ks-c-5601-1987", "korean"), "euc_kr")
    return known | {
        "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be", "windows-31j": "cp932",
        "windows-874": "cp874", "windows-949": "cp949", "koi8-r": "koi8_r", "koi8-u": "koi8_u",
        "macintosh": "mac_roman", "x-mac-cyrillic": "mac_cyrillic", "tis-620": "tis_620",
        "euc-jp": "euc_jp", "iso-2022-jp": "iso2022_jp", "gb2312": "gb18030", "gbk": "gb18030",
        "gb18030": "gb18030", "big5": "big5", "big5-hkscs": "big5hkscs",
    }  # fmt: skip


CHARACTER_SETS: Final[Mapping[str, str]] = _character_sets()
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class Unpackable(ValueError):
    """The body is not compressed as its headers say."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a body. `remarks` say what was wrong with it."""

    text: str | None = None
    data: bytes | None = None
    json: Value = None
    remarks: tuple[str, ...] = ()


def content_of(
    body: bytes | bytearray, *, content_type: str, charset: str | None, coding: str, most: int, stop: Stop
) -> Content:
    """Return the content of a body as it came. Raises Unpackable, and OutputTooLarge above `most` bytes."""
    odd = [name for name in _codings(coding) if name not in ("identity", *_PACKINGS)]
    remarks = tuple(
        f"says that it is packed with {beginning(name, 40)!r}, which is not known" for name in odd
    )
    body = unpacked(body, coding, most, stop)
    kind = content_type.lower().partition(";")[0].strip()
    is_json = kind in ("application/json", "text/json") or kind.endswith("+json")
    if body and not (is_json or kind.startswith(_TEXTUAL) or kind.endswith("+xml")):
        return Content(data=bytes(body), remarks=remarks)
    text, more = decoded(body, charset, stop)
    remarks += more
    if not (is_json and text):
        return Content(text=text, remarks=remarks)
    try:
        return Content(text=text, json=parsed(text, stop), remarks=remarks)
    except InputRefused as error:
        why = error.message.removeprefix("input text, ").removeprefix("input text: ")
        said = f"says that it is JSON, but: {why}; the port json is null, the port text has the body"
        return Content(text=text, remarks=(*remarks, said))


def decoded(body: bytes | bytearray, charset: str | None, stop: Stop) -> tuple[str, tuple[str, ...]]:
    """Return the text in a body, with remarks. A mark at its beginning counts more than what the head
    says.
    """
    remarks: tuple[str, ...] = ()
    codec = "utf-8"
    if charset is not None:
        label = charset.strip().strip("\"'").lower().replace("_", "-")
        codec = CHARACTER_SETS.get(label, codec)
        if label not in CHARACTER_SETS:
            remarks = (
                f"says that its characters are {beginning(charset, 40)!r}, which is not known: read as UTF-8",
            )
    for mark, of_mark in _MARKS:
        if body.startswith(mark) and (of_mark == "utf-8" or codec in ("utf-8", "utf-16", of_mark)):
            codec, body = of_mark, body[len(mark) :]
            break
    # In pieces: between two of them other threads get their turn.
    decoder = codecs.getincrementaldecoder(codec)("replace")
    view = memoryview(body)
    pieces = []
    for at in range(0, len(body), _PIECE):
        pieces.append(decoder.decode(bytes(view[at : at + _PIECE])))
        stop()
    pieces.append(decoder.decode(b"", final=True))
    return "".join(pieces), remarks


def unpacked(body: bytes | bytearray, coding: str, most: int, stop: Stop) -> bytes | bytearray:
    """Return a body without its content codings (RFC 9110, 8.4). Raises Unpackable, OutputTooLarge."""
    codings = [name for name in _codings(coding) if name in _PACKINGS]
    if len(codings) > 2 and body:
        raise Unpackable("it is packed more than twice")
    for name in reversed(codings if body else []):
        if name in ("gzip", "x-gzip"):
            bits = _GZIP_BITS
        elif name == "deflate":  # meant as zlib's format, sent by some as what is inside it
            bits = _ZLIB_BITS if body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0 else _RAW_BITS
        else:
            raise Unpackable(f"it is packed with {name!r}, which was not asked for")
        grown = bytearray()
        for piece in _inflated(body, bits):
            grown += piece
            stop()
            if len(grown) > most:
                raise OutputTooLarge(f"it has more than {most:,} bytes", hint="raise max_bytes")
        body = grown
    return body


def _codings(coding: str) -> list[str]:
    return [name for name in (one.strip().lower() for one in coding.split(",")) if name]


def _inflated(packed: bytes | bytearray, bits: int) -> Iterator[bytes]:
    """Yield what was packed, in pieces; gzip may stand several times in a row (RFC 1952, 2.2)."""
    inflater = zlib.decompressobj(bits)
    view = memoryview(packed)
    try:
        for at in range(0, len(packed), _PIECE):
            rest = bytes(view[at : at + _PIECE])
            while rest:
                yield inflater.decompress(rest, _UNPACKED_PIECE)
                rest = inflater.unconsumed_tail
                if inflater.eof:
                    rest = inflater.unused_data
                    if bits != _GZIP_BITS or not rest.strip(b"\0"):
                        rest = b""  # padding, which all clients pass over
                    else:
                        inflater = zlib.decompressobj(bits)
        while not inflater.eof and (piece := inflater.decompress(b"", _UNPACKED_PIECE)):
            yield piece
    except zlib.error as error:
        raise Unpackable(f"it is not packed as its head says: {error}") from error
    if not inflater.eof:
        raise Unpackable("it ends before what is packed in it does")
