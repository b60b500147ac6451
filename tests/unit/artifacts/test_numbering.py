"""The numbers of versions: in order, never given again, whatever is damaged and however often it is tried."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.metadata.numbering import Made, Newest, Numbering, number_for
from symphony.pit.artifacts.metadata.records import Gone, Linked, Put, Record, Tagged
from symphony.ports.artifacts import Provenance
from symphony.ports.values import Digest

A, B = Digest("a" * 64), Digest("b" * 64)
BY = Provenance(run_id="r", node="n", port="p", operator="o", version="1")


def put(digest: Digest = A, name: str | None = "n", note: str = "") -> Put:
    return Put(digest, 1, "text/plain", name, note=note)


def newest(number: int, digest: Digest = A, *, present: bool = True, damaged: int = 0) -> Newest:
    return Newest(number, digest, "text/plain", present, damaged)


def test_the_first_is_1_and_what_is_new_comes_after_the_newest() -> None:
    assert number_for(put(), None, 0) == 1
    assert number_for(put(B), newest(7), 0) == 8
    assert number_for(put(), newest(7), 0) == 7
    assert number_for(put(), newest(7, present=False), 0) == 8
    assert number_for(put(note="x"), newest(7), 0) == 8
    assert number_for(Put(A, 1, "text/html", "n"), newest(7), 0) == 8


def test_numbers_that_damaged_lines_may_have_had_are_left_out() -> None:
    assert number_for(put(B), newest(7, damaged=1), 3) == 10
    assert number_for(put(B), newest(7, damaged=3), 3) == 8
    assert number_for(put(B), newest(7, damaged=1)) == 8


def test_a_run_claims_what_its_puts_made_also_in_a_later_write() -> None:
    made: Made = {}
    first = Numbering(lambda _: None, 0, made)
    first.numbered((put(), put(B), put()))
    first.settle()
    assert made == {("n", A): [1, 3], ("n", B): [2]}
    second = Numbering(lambda _: newest(3), 0, made)
    (linked,) = second.numbered((Linked(A, BY, "n", 2),))
    assert isinstance(linked, Linked)
    assert linked.versions == (1, 3)
    assert made[("n", A)] == [1, 3]  # it has not been written
    second.settle()
    assert made == {("n", B): [2]}


def test_what_a_person_put_is_claimed_by_no_run() -> None:
    made: Made = {}
    numbering = Numbering(lambda _: None, 0, made)
    numbering.numbered((put(), Tagged("n", "best", A)), by_hand=True)
    _, linked = numbering.numbered((put(), Linked(A, BY, "n", 1)))
    assert isinstance(linked, Linked)
    assert linked.versions == ()


def test_a_tag_without_a_number_is_that_of_the_put_before_it() -> None:
    numbered = Numbering(lambda _: newest(4), 0, {}).numbered((put(B), Tagged("n", "best", B), Gone(A)))
    assert [record.version for record in numbered if isinstance(record, Put | Tagged)] == [5, 5]


@given(st.lists(st.tuples(st.sampled_from("nm"), st.sampled_from("abc"), st.booleans()), max_size=40))
def test_writes_in_any_pieces_give_the_numbers_of_one(puts: list[tuple[str, str, bool]]) -> None:
    records: list[Record] = [put(Digest(body * 64), name) for name, body, _ in puts]
    at_once = Numbering(lambda _: None, 0, {}).numbered(tuple(records))
    known: dict[str, Newest] = {}
    found = list[Record]()
    piece = list[Record]()
    for record, (_, _, ends) in zip(records, puts, strict=True):
        piece.append(record)
        if ends:
            found += _written(piece, known)
            piece = []
    assert (*found, *_written(piece, known)) == at_once
    numbers = [(record.name, record.version) for record in at_once if isinstance(record, Put)]
    for name in "nm":
        seen = [number for named, number in numbers if named == name]
        assert seen == sorted(number for number in seen if number is not None)


def _written(piece: list[Record], known: dict[str, Newest]) -> tuple[Record, ...]:
    numbered = Numbering(known.get, 0, {}).numbered(tuple(piece))
    for record in numbered:
        if isinstance(record, Put) and record.name is not None and record.version is not None:
            known[record.name] = newest(record.version, record.digest)
    return numbered
