"""What is stored is what its content type says, and the value comes back from it as it was."""

import csv
import hashlib
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.values.codec import body_of, encode_value, value_digest
from symphony.pit.artifacts.values.media import in_utf8, media
from symphony.pit.artifacts.values.typed import typed_body, typed_value
from symphony.ports.values import ArtifactRef, Digest, Value

SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
DOCUMENTS = st.sampled_from(
    ['{"a": [1, 2]}', "[]", " 12 ", '{"a":\n', '{"a":1}\n{"a":2}\n', "# words", "<a>é</a>"]
)
VALUES: st.SearchStrategy[Value] = st.recursive(
    SCALARS | TEXTS | DOCUMENTS | st.binary(max_size=8) | DOCUMENTS.map(str.encode),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(TEXTS | st.sampled_from(["$bytes", "$artifact", "$$", "$"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TYPES = st.sampled_from(
    [
        "application/json", "Application/JSON; charset=utf-8", "application/geo+json", "text/json",
        "application/x-ndjson", "application/jsonl", "application/msgpack", "text/plain",
        "text/plain; charset=iso-8859-1", 'text/html; charset="UTF-16"', "text/plain; charset=klingon",
        "text/markdown", "text/csv", "application/xml", "image/svg+xml", "application/yaml",
        "application/toml", "image/png", "application/pdf", "application/octet-stream",
        "application/vnd.unheard.of", "nonsense",
    ]
)  # fmt: skip


def parsed(body: bytes, content_type: str, value: Value) -> None:
    """Raise if `body` is not what `content_type` says. Text and bytes of free types are their author's."""
    form, charset = media(content_type)
    if form == "json":
        json.loads(body.decode("utf-8"))
    elif form == "lines":
        for line in body.decode("utf-8").split("\n"):
            if line.strip():
                json.loads(line)
    elif form == "msgpack":
        msgspec.msgpack.decode(body)
    elif form == "binary":
        assert isinstance(value, bytes)
    elif form in ("text", "table", "markup") and not (isinstance(value, bytes) and charset is None):
        text = body.decode(charset or "utf-8")
        if form == "table":
            list(csv.reader(io.StringIO(text)))
            assert not isinstance(value, list | dict)
        if form == "markup":
            assert isinstance(value, str | bytes)


@given(VALUES, TYPES)
def test_a_body_is_what_its_type_says_and_gives_the_value_back(value: Value, content_type: str) -> None:
    made = typed_body(value, content_type)
    parsed(made.body, made.content_type, value)
    assert encode_value(typed_value(made.body, made.encoding)) == encode_value(value)
    if made.fits:
        assert made.content_type in (content_type, in_utf8(content_type))
    else:
        assert made.content_type != content_type
    encoded = None if isinstance(value, str | bytes) else encode_value(value)
    assert typed_body(value, content_type, encoded) == made


@given(VALUES, TYPES)
def test_a_value_has_one_digest_whatever_form_it_is_stored_in(value: Value, content_type: str) -> None:
    made, own = typed_body(value, content_type), body_of(value)

    def ref(body: bytes, encoding: str, form: str | None = None) -> ArtifactRef:
        digest = Digest(hashlib.sha256(body).hexdigest())
        return ArtifactRef(digest=digest, size=len(body), encoding=encoding, own=form)

    stored = ref(made.body, made.encoding, made.own)
    assert value_digest(stored) == value_digest(ref(own.body, own.encoding)) == value_digest(value)
    assert value_digest([stored]) == value_digest([ref(own.body, own.encoding)])


@given(VALUES)
def test_a_type_with_a_form_for_every_value_never_gives_way(value: Value) -> None:
    for content_type in ("application/json", "application/jsonl", "application/msgpack"):
        assert typed_body(value, content_type).fits


@pytest.mark.parametrize(
    ("value", "content_type", "body", "told"),
    [
        ({"a": 1}, "application/json", b'{\n  "a": 1\n}\n', "application/json"),
        ({"a": 1}, "text/markdown", b'{\n  "a": 1\n}\n', "text/markdown"),
        ({"a": 1}, "image/png", b'{\n  "a": 1\n}\n', "application/json"),
        ({"$a": [b"\0"]}, "application/jsonl", b'{"$$a":[{"$bytes":"AA=="}]}\n', "application/jsonl"),
        ([{"a": 1}, "x"], "application/jsonl", b'{"a":1}\n"x"\n', "application/jsonl"),
        ([[1]], "text/csv", b"[\n  [\n    1\n  ]\n]\n", "application/json"),
        (41, "text/csv", b"41\n", "text/csv"),
        ('{"a": 1}', "application/json", b'{"a": 1}', "application/json"),
        ("a", "application/json", b'"a"\n', "application/json"),
        ("é", "text/plain; charset=latin-1", b"\xe9", "text/plain; charset=latin-1"),
        ("€", "text/plain; charset=latin-1", "€".encode(), "text/plain; charset=utf-8"),
        ("<b>é</b>", "text/html", "<b>é</b>".encode(), "text/html"),
        ("a", "image/png", b"a", "text/plain; charset=utf-8"),
        (b"\x89PNG", "image/png", b"\x89PNG", "image/png"),
        (b"\xff", "text/plain; charset=utf-8", b"\xff", "application/octet-stream"),
        (b"\xff", "application/json", b'{\n  "$bytes": "/w=="\n}\n', "application/json"),
        (None, "application/octet-stream", b"null\n", "application/octet-stream"),
    ],
)  # fmt: skip
def test_a_value_takes_the_form_of_its_type_or_the_type_that_of_the_value(
    value: Value, content_type: str, body: bytes, told: str
) -> None:
    made = typed_body(value, content_type)
    assert (made.body, made.content_type) == (body, told)


def test_a_reference_inside_a_document_is_read_back_whole() -> None:
    digest = Digest("a" * 64)
    ref = ArtifactRef(
        digest=digest, size=1, name="n", encoding="msgpack", sealed=digest, own=f"text:{digest}"
    )
    value: Value = {"list": [ref], "plain": ref}  # type: ignore[dict-item, list-item]  # of a fan-out
    for content_type in ("application/json", "application/jsonl", "text/plain"):
        made = typed_body(value, content_type)
        assert typed_value(made.body, made.encoding) == value


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(b"{", "json"), (b"{}\n{", "lines"), (b"\xff", "text:utf-8"), (b"x", "text:klingon"), (b"x", "yaml"),
     (b'{"$artifact": 1}', "json"), (b'{"$bytes": "?"}', "json")],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_refused(body: bytes, encoding: str) -> None:
    with pytest.raises(SerializationFailed):
        typed_value(body, encoding)
