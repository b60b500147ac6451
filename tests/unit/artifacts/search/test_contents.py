"""The text of bodies of all kinds."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.search.core.contents import text_of


@pytest.mark.parametrize(
    ("kind", "body", "text"),
    [
        ("text/plain", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9", "café"),
        ("text/plain", "﻿bom".encode(), "bom"),
        ("text/plain", "wide".encode("utf-16"), "wide"),
        ("text/plain", b"bad \xff byte", "bad \ufffd byte"),
        ("text/plain; charset=rot13", b"x", "x"),
        ("text/html", b"<style>p{}</style><p>One &amp; <b>two</b><!-- no --><script>no()", "  One &  two   "),
        ("text/html", b"<p>open <script>no", " open  "),
        ("application/xml", b"<a b='c'>x &lt; y &unknown;</a>", "<a b='c'>x < y &unknown;</a>"),
        ("application/json", b'{"a": "x\\ny \\u00e9 \\ud83c\\udf89 \\ud83c"}', '{"a": "x y é 🎉 �"}'),
        ("application/json", b'{"cut": "off\\u00', '{"cut": "off 00'),
        ("application/msgpack", msgspec.msgpack.encode({"key": ["one", 2, None]}), "key\none\n2"),
        ("application/msgpack", b"\xc1", None),
        ("application/octet-stream", b"looks like text\n", "looks like text\n"),
        ("application/octet-stream", b"\x00\x01\x02", None),
        ("application/octet-stream", bytes(range(1, 32)) * 10, None),
        ("application/octet-stream", b"", None),
        ("application/x-thing", b"made up", "made up"),
        ("image/png", b"text inside", None),
        ("application/pdf", b"%PDF-1.4 text", None),
    ],
)  # fmt: skip
def test_a_body_has_the_text_that_people_would_see(kind: str, body: bytes, text: str | None) -> None:
    assert text_of(kind, body, whole=True) == text


def test_a_character_that_the_beginning_of_a_body_cuts_is_left_out() -> None:
    assert text_of("text/plain", "aé".encode()[:2], whole=False) == "a"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/html", "application/json", "application/xml", "application/msgpack", "image/png",
     "a/b", "text/plain; charset=utf-7", "text/plain; charset=base64", "text/plain; charset=idna"],
)  # fmt: skip
@given(body=st.binary(max_size=100), whole=st.booleans())
def test_no_body_makes_it_fail(kind: str, body: bytes, whole: bool) -> None:
    text = text_of(kind, body, whole=whole)
    assert text is None or text.encode("utf-8") is not None
