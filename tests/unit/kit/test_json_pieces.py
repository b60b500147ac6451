"""JSON cut into pieces is read as it is in one: the same value, or an error."""

import json
import threading

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from symphony.kit import json_pieces
from symphony.kit.errors import InputRefused
from symphony.kit.json_pieces import parsed
from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.values import Value

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ['"', "\\", "],", '",', '":', "{", "}", "[]", '\\"', "a,b"]
)
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(TEXTS, inner, max_size=8),
    max_leaves=60,
)
PIECES_OF_JSON = ["", ",", "]", "}", "[", "{", '"', ":", "1", " ", "null", "\\", "\n", ",,", "[]", "{}"]


@pytest.fixture(autouse=True, params=[1, 7, 40])
def small_pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_pieces, "PIECE_BYTES", request.param)


def read(text: str) -> Value:
    return parsed(text, lambda: None)


@given(value=VALUES, indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans())
def test_what_json_says_is_read_as_it_was(value: Value, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    found = read(text)
    assert repr(found) == repr(msgspec.json.decode(text))


@given(
    value=VALUES,
    at=st.integers(0, 400),
    more=st.sampled_from(PIECES_OF_JSON),
    cut=st.integers(0, 3),
)  # fmt: skip
@example(value=[[1], [2]], at=4, more="", cut=1)
@example(value=[1, 2], at=1, more=",", cut=0)
@example(value={"a": [1]}, at=5, more="", cut=1)
def test_what_is_no_json_is_refused_and_nothing_else(value: Value, at: int, more: str, cut: int) -> None:
    text = json.dumps(value)
    at %= len(text) + 1
    text = text[:at] + more + text[at + cut :]
    try:
        expected = msgspec.json.decode(text)
    except msgspec.DecodeError:
        with pytest.raises(InputRefused, match=r"line \d+, column \d+|input text"):
            read(text)
    else:
        assert repr(read(text)) == repr(expected)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('{"a": [1, 18446744073709551616, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}', "64 bits"),
        ("[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, NaN, 14, 15, 16, 17]", "line 1"),
        ("[1, 2,\n 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,\n 13, x, 14, 15, 16]", "line 3"),
        ("[" * 201 + "]" * 201, "200 deep"),
        ("[" * 100_000, "200 deep"),
        ('{"a":' * 201 + "1" + "}" * 201, "200 deep"),
        ('["\ud800", 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]', "input text"),
    ],
)  # fmt: skip
def test_an_error_has_its_place(text: str, why: str) -> None:
    with pytest.raises(InputRefused, match=why):
        read(text)


def test_the_deepest_value_is_one_that_can_be_kept() -> None:
    deepest = read("[" * 200 + "]" * 200)
    encode_value(deepest)


def test_whoever_is_not_waited_for_stops() -> None:
    gone = threading.Event()
    gone.set()

    def stop() -> None:
        if gone.is_set():
            raise InterruptedError

    with pytest.raises(InterruptedError):
        parsed("[" + "1," * 10_000 + "1]", stop)
