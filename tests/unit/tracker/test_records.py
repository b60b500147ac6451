"""Records are told by name in memory; on disk they are the arrays that they were from the first."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.pit.tracker.core.records import (
    AgainRecord,
    AskedRecord,
    BegunRecord,
    CancelledRecord,
    CancelRecord,
    EndedRecord,
    ExpandedRecord,
    ExpiredRecord,
    FailedRecord,
    FinishedFullyRecord,
    FinishedRecord,
    OpenedRecord,
    ParkedRecord,
    PausedRecord,
    Record,
    ResumedRecord,
    RetryDueRecord,
    SkippedRecord,
    StartedFullyRecord,
    StartedRecord,
    SuspendedRecord,
    decode_batch,
    encode_batch,
)

_encode = msgspec.msgpack.encode
numbers = st.integers(0, 2**32)
moments = st.floats(0, 1e11)
texts = st.text(max_size=5)
perhaps_text = st.none() | texts
bodies = st.binary(max_size=5)
changes = st.just((["a", 1], [b"x"]))
errors = st.tuples(texts, texts, perhaps_text)
usages = st.tuples(*[numbers] * 4, perhaps_text, perhaps_text, st.booleans())
KINDS: dict[int, tuple[type[Any], tuple[st.SearchStrategy[Any], ...]]] = {
    0: (BegunRecord, (numbers,)),
    1: (StartedRecord, (numbers,)),
    2: (FinishedRecord, (moments, st.none() | bodies | changes, perhaps_text, perhaps_text)),
    3: (FailedRecord, (moments, errors, st.integers(0, 2))),
    4: (SkippedRecord, (st.none() | errors,)),
    5: (RetryDueRecord, ()),
    6: (ExpandedRecord, (numbers,)),
    7: (SuspendedRecord, (errors,)),
    8: (AgainRecord, ()),
    9: (CancelRecord, ()),
    10: (CancelledRecord, ()),
    11: (ResumedRecord, (numbers,)),
    12: (EndedRecord, (texts, st.none() | bodies, st.none() | st.just({"code": "x"}))),
    13: (OpenedRecord, (st.none() | numbers, bodies | changes)),
    14: (ParkedRecord, (moments,)),
    15: (AskedRecord, (texts, st.none() | moments)),
    16: (ExpiredRecord, ()),
    17: (PausedRecord, ()),
}
LATER: dict[int, tuple[type[Any], tuple[st.SearchStrategy[Any], ...]]] = {
    1: (StartedFullyRecord, (st.none() | usages,)),
    2: (FinishedFullyRecord, (st.none() | usages, st.none() | st.just(True), perhaps_text)),
    3: (FailedRecord, (st.none() | usages, st.none() | bodies, perhaps_text)),
    6: (ExpandedRecord, (st.none() | st.lists(perhaps_text, max_size=3),)),
    10: (CancelledRecord, (st.none() | usages,)),
    17: (PausedRecord, (perhaps_text, st.none() | st.lists(numbers, min_size=1, max_size=3))),
}
"""What kinds may have beyond the fields that they had from the first."""


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Record, tuple[object, ...]]:
    """A record, and the array that it must be."""
    code = draw(st.sampled_from([*KINDS]))
    kind, fields = KINDS[code]
    values = (draw(numbers), draw(moments), *map(draw, fields))
    if code not in LATER or draw(st.booleans()):
        return kind(*values), (code, *values)
    kind, fields = LATER[code]
    more = [*map(draw, fields)]
    record = kind(*values, *more)
    while more and more[-1] is None:
        more.pop()
    return record, (code, *values, *more)


@given(st.lists(pairs(), max_size=5))
def test_records_are_the_bytes_that_they_were_as_arrays(
    made: list[tuple[Record, tuple[object, ...]]],
) -> None:
    body = _encode([array for _, array in made])
    assert encode_batch([record for record, _ in made]) == body
    assert encode_batch([*decode_batch(body)]) == body
    assert all(isinstance(b, type(a)) for (a, _), b in zip(made, decode_batch(body), strict=True))


@given(pairs())
def test_fields_that_a_later_version_adds_are_passed_over(made: tuple[Record, tuple[object, ...]]) -> None:
    record, array = made
    later = LATER.get(int(str(array[0])), (None, ()))[1]
    rest = (None,) * (3 + len(KINDS[int(str(array[0]))][1]) + len(later) - len(array))
    [found] = decode_batch(_encode([(*array, *rest, "new", 1)]))
    assert encode_batch([found]) == encode_batch([record])


class EarlierPause(msgspec.Struct, array_like=True, tag=17):
    """A pause as versions read it that knew no stop."""

    slot: int
    at: float


def test_versions_that_know_no_stop_read_one_as_a_pause() -> None:
    body = encode_batch([PausedRecord(0, 1.5, "SIGTERM", [3])])
    assert msgspec.msgpack.decode(body, type=list[EarlierPause]) == [EarlierPause(0, 1.5)]


@pytest.mark.parametrize(
    "array",
    [
        (),
        (2,),
        (2, 0, 2.0, 1.0, b""),
        (0, 0, 1.0),
        (0, "a", 1.0, 1),
        (2, 0, "now", 1.0, b"", None, None),
        (99, 0, 1.0),
    ],
)
def test_a_record_that_is_cut_short_or_of_other_types_is_refused(array: tuple[object, ...]) -> None:
    with pytest.raises(SerializationFailed, match="damaged"):
        list(decode_batch(_encode([array])))
