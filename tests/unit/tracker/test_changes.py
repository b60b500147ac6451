"""Differences give back what they were made of, and are short where little has changed."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.pit.tracker.core.changes import Base, difference, restored, size_of

encode = msgspec.msgpack.Encoder().encode
ITEM = {"role": "user", "text": "words that are said in a conversation, some of them new each time"}


def messages(count: int) -> list[dict[str, object]]:
    return [{**ITEM, "number": number, "more": str(number * 7919)} for number in range(count)]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"items": messages(300)}, {"result": [*messages(300), ITEM]}),
        ({"items": messages(15)}, {"items": messages(16)}),
        (lambda: {"items": messages(65_535)}, lambda: {"items": messages(65_536)}),
        ({"items": messages(300)}, {"items": [ITEM, *messages(300)]}),
        ({"text": "line\n" * 4_000}, {"text": "line\n" * 4_000 + "another"}),
        (
            {"a": {"log": messages(200), "n": 1}, "z": "x" * 900},
            {"a": {"log": messages(201), "n": 2}, "z": "y"},
        ),
        ({"by": {str(n): n for n in range(900)}}, {"by": {**{str(n): n for n in range(900)}, "new": True}}),
        ({"kept": messages(300), "turn": 8}, {"kept": messages(300), "turn": 9}),
    ],
)
def test_what_grew_takes_as_much_room_as_what_is_new(before: object, after: object) -> None:
    base, body = (encode(one() if callable(one) else one) for one in (before, after))
    found = difference(base, body)
    assert found is not None
    assert size_of(found) < 300
    assert restored(base, found) == body


def test_what_became_of_it_altogether_is_no_difference() -> None:
    assert difference(encode(messages(100)), encode(list(range(5_000)))) is None
    assert difference(b"", b"x" * 10_000) is None
    turned = messages(400)
    assert difference(encode(turned), encode([{**one, "number": -1} for one in turned])) is None


@given(
    st.binary(max_size=3_000), st.lists(st.tuples(st.integers(0, 3_000), st.binary(max_size=40)), max_size=6)
)
def test_a_difference_gives_back_what_it_was_made_of(base: bytes, edits: list[tuple[int, bytes]]) -> None:
    body = base
    for at, put in edits:
        body = body[:at] + put + body[at + len(put) // 2 :]
    found = difference(base, body)
    if found is not None:
        assert restored(base, found) == body
        assert size_of(found) <= len(body) // 2 + 64


def test_a_difference_from_other_bytes_is_refused() -> None:
    base, body = encode(messages(40)), encode(messages(41))
    found = difference(base, body)
    assert found is not None
    for other, told in ((base[:-1] + b"x", found), (base, found[:-1]), (base, ()), (base, (1, "a", 2, b""))):
        with pytest.raises(SerializationFailed):
            restored(other, told)


def test_a_state_is_written_whole_when_its_differences_outgrow_it() -> None:
    base, whole, count = Base(encode([ITEM] * 10), {}, lambda ref: b""), 0, 1_000
    for number in range(11, count):
        body = encode([ITEM] * number)
        change, spent = base.change(body)
        whole += change is None
        base = Base(body, {}, lambda ref: b"", spent=spent, before=base)
    assert 3 <= whole <= 12
