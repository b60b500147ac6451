"""Bodies of HTTP answers: unpacked whole or refused, decoded in known character sets, parsed."""

import gzip
import zlib

import pytest

from symphony.kit.http_bodies import Content, content_of
from symphony.kit.retry_after import asked_wait_s


def content(
    body: bytes, *, kind: str = "text/plain", charset: str | None = None, coding: str = ""
) -> Content:
    return content_of(
        body, content_type=kind, charset=charset, coding=coding, most=10_000_000, stop=lambda: None
    )


def test_what_is_packed_is_unpacked_whole() -> None:
    text = "".join(f"{i} ü\n" for i in range(100_000))
    raw = zlib.compressobj(wbits=-15)
    packed = {
        "gzip": gzip.compress(text.encode()),
        "x-gzip": b"".join(gzip.compress(line.encode()) for line in text.splitlines(keepends=True)[:50]),
        "GZIP": gzip.compress(text.encode()) + bytes(100),
        "deflate": zlib.compress(text.encode()),
        "Deflate": raw.compress(text.encode()) + raw.flush(),
        "deflate, gzip": gzip.compress(zlib.compress(text.encode())),
        "identity": text.encode(),
    }
    for coding, body in packed.items():
        expected = "".join(text.splitlines(keepends=True)[:50]) if coding == "x-gzip" else text
        assert content(body, coding=coding).text == expected, coding


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("utf-8", "ü".encode(), "ü"),
        ("UTF8", "ü".encode(), "ü"),
        ("latin-1", b"\xfc", "ü"),
        ("ISO-8859-15", b"\xa4", "€"),
        ("windows-1252", b"\x80", "€"),
        ("Shift_JIS", "日本".encode("shift_jis"), "日本"),
        ("euc-jp", "日本".encode("euc_jp"), "日本"),
        ("iso-2022-jp", "日本".encode("iso2022_jp"), "日本"),
        ("GBK", "中".encode("gbk"), "中"),
        ("big5", "中".encode("big5"), "中"),
        ("koi8-r", "я".encode("koi8_r"), "я"),
        ("utf-16", "ü".encode("utf-16"), "ü"),
        ("utf-16le", "ü".encode("utf-16-le"), "ü"),
        ("latin-1", "ü".encode("utf-8-sig"), "ü"),
        ("ascii", b"a\xff", "a\ufffd"),
        ("utf-8", b"a\xff\xc3", "a\ufffd\ufffd"),
    ],
)
def test_a_character_set_that_is_known_is_read(charset: str, body: bytes, text: str) -> None:
    assert content(body, charset=charset) == Content(text=text)


@pytest.mark.parametrize(
    "charset",
    ["punycode", "idna", "utf-7", "unicode_escape", "raw_unicode_escape", "base64", "rot13", "zlib", "uu",
     "bz2", "hex", "mbcs", "undefined", "nonsense", "../x", "utf-8-sig-x"],
)  # fmt: skip
def test_any_other_character_set_is_read_as_utf_8_and_told(charset: str) -> None:
    found = content("café-abc".encode(), charset=charset)
    assert found.text == "café-abc"
    assert charset in found.remarks[0]


@pytest.mark.parametrize("coding", ["UTF-8", "none", "binary", "x" * 100])
def test_a_coding_that_is_none_packs_nothing_and_is_told(coding: str) -> None:
    found = content(b'{"a": 1}', kind="application/json", coding=coding)
    assert found.json == {"a": 1}
    assert coding[:40].lower() in found.remarks[0]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("Fri, 31 Dec 1999 23:59:59 GMT", 86_399.0),
        ("Friday, 31-Dec-99 23:59:59 GMT", 86_399.0),
        ("Fri Dec 31 23:59:59 1999", 86_399.0),
        ("Thu, 30 Dec 1999 23:59:59 GMT", 0.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("2.5", 2.5),
        ("-5", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("1e999", float("inf")),
        ("Fri, 99 Foo 1999", None),
    ],
)
def test_retry_after_is_read_as_rfc_9110_has_it(header: str | None, seconds: float | None) -> None:
    """The first, and 120, are the samples of section 10.2.3; the three forms those of 5.6.7."""
    midnight_before_s = 946_598_400.0  # 1999-12-31T00:00:00Z
    assert asked_wait_s(header, midnight_before_s) == seconds
