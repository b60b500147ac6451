"""What differs between two artifacts: by lines, by places in JSON, or by bytes; always bounded."""

import difflib
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.app import artifact_diffs
from symphony.app.artifact_diffs import ArtifactDiff, compare
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.artifacts.values.codec import encode_value


def compared(a: bytes, b: bytes, kind: str = "text/plain", *, text: bool = False) -> ArtifactDiff:
    store = MemoryArtifacts()
    for body in (a, b):
        store.put(body, content_type=kind, name="n")
    one, other = (store.find(store.put(body, content_type=kind, name="n").digest) for body in (a, b))
    return compare(store, one, other, text=text)


def places(a: object, b: object) -> list[tuple[str, str]]:
    found = compared(json.dumps(a).encode(), json.dumps(b).encode(), "application/json")
    return [(one.kind, one.place) for one in found.changes]


def test_the_same_content_does_not_differ() -> None:
    assert compared(b"a", b"a") == ArtifactDiff(True, "bytes")


@given(st.lists(st.sampled_from(["a", "b", "", "c c"]), max_size=30), st.data())
def test_a_unified_diff_is_that_of_the_whole_texts(a: list[str], data: st.DataObject) -> None:
    b = data.draw(st.lists(st.sampled_from(["a", "b", "", "c c"]), max_size=30))
    one, other = ("".join(f"{line}\n" for line in lines).encode() for lines in (a, b))
    found = compared(one, other)
    if a == b:
        assert found.same
        return
    assert found.kind == "text"
    assert applied(a, found.lines) == b


def applied(a: list[str], lines: object) -> list[str]:
    """What a unified diff makes of `a`."""
    made, at = list[str](), 0
    for line in lines:  # type: ignore[attr-defined]
        if line.startswith("@@"):
            begin, _, length = line.split(" ")[1][1:].partition(",")
            start = int(begin) - 1 if length != "0" else int(begin)
            made += a[at:start]
            at = start
        elif line[0] == "+":
            made.append(line[1:])
        else:
            assert a[at] == line[1:]
            at += 1
            if line[0] == " ":
                made.append(line[1:])
    return made + a[at:]


def test_lines_are_numbered_as_in_the_whole_text() -> None:
    a = [f"{number}" for number in range(100)]
    b = [*a[:50], "new", *a[51:]]
    found = compared("\n".join(a).encode(), "\n".join(b).encode())
    assert list(found.lines) == list(difflib.unified_diff(a, b, lineterm=""))[2:]


def test_places_in_documents_are_told() -> None:
    a = {"a": [1, 2, {"b": 3}], "x": 1, "odd key": None, "same": [1], "nan": float("nan")}
    b = {"a": [1, {"b": 4}], "y": [], "odd key": 1.0, "same": [1], "nan": float("nan")}
    assert places(a, b) == [
        ("changed", "a[1]"), ("removed", "a[2]"), ("removed", "x"), ("changed", '["odd key"]'),
        ("added", "y"),
    ]  # fmt: skip
    assert places(list(range(9)), [*range(3), *range(4, 9)]) == [("removed", "[3]")]
    assert places(1, True) == [("changed", "$")]
    assert places(1, 1.0) == [("changed", "$")]


def test_documents_that_are_spelled_differently_differ_and_it_is_told_how() -> None:
    found = compared(b'{"a": 1, "b": 2}', b'{"b":2,"a":1}', "application/json")
    assert (found.same, found.kind, list(found.changes)) == (False, "json", [])
    assert "order of keys" in found.why


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b"", b"nul"])
def test_what_is_no_document_is_compared_as_what_it_is(body: bytes) -> None:
    found = compared(body, b"[]", "application/json")
    assert not found.same
    assert found.kind in ("text", "bytes")


def test_documents_with_a_key_twice_are_compared_as_texts() -> None:
    found = compared(b'{"a": 1, "a": 2}', b'{"a": 2}', "application/json")
    assert (found.kind, list(found.lines)) == ("text", ["@@ -1 +1 @@", '-{"a": 1, "a": 2}', '+{"a": 2}'])


def test_values_of_earlier_versions_are_compared_as_json() -> None:
    found = compared(encode_value({"a": 1}), encode_value({"a": 2}), "application/json")
    assert [one.place for one in found.changes] == ["a"]


@pytest.mark.parametrize(
    ("a", "b", "first"), [(b"\0abc", b"\0abd", 3), (b"\0", b"\0\0", 1), (b"", b"\xff", 0)]
)
def test_of_bytes_the_first_that_differs_is_told(a: bytes, b: bytes, first: int) -> None:
    found = compared(a, b, "image/png")
    assert (found.same, found.kind, found.first) == (False, "bytes", first)


def test_texts_in_other_charsets_are_texts() -> None:
    found = compared("é\n".encode("latin-1"), "è\n".encode("latin-1"), "text/plain; charset=latin-1")
    assert list(found.lines) == ["@@ -1 +1 @@", "-é", "+è"]


def test_large_ones_are_compared_by_their_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifact_diffs, "BYTES_MAX", 1_000)
    body = b"x" * 3_000_000
    found = compared(body + b"a", body + b"b")
    assert (found.kind, found.first) == ("bytes", 3_000_000)
    assert found.why


def test_texts_that_differ_in_too_many_lines_are_not_matched() -> None:
    rng = random.Random(1)
    a, b = ("\n".join(str(rng.randrange(300)) for _ in range(30_000)).encode() for _ in range(2))
    assert "lines differ" in compared(a, b).why


def test_a_missing_last_newline_is_a_difference() -> None:
    found = compared(b"a\n", b"a")
    assert (found.same, list(found.lines), found.why) == (False, [], "only the ends of lines differ")
