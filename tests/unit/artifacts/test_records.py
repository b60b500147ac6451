"""The log of a store: whole lines, and what is made of torn and damaged ones."""

from pathlib import Path

import pytest

from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.metadata.records import (
    Gone,
    Linked,
    Marked,
    Opened,
    Put,
    Record,
    RecordLog,
    Tagged,
    Unlinked,
    Untagged,
    line_of,
    record_of,
)
from symphony.ports.artifacts import Provenance
from symphony.ports.values import Digest

BY = Provenance(run_id="r", node="n\n", port="p", operator="o", version="1.0.0", inputs={"é": "d"})
RECORDS: list[Record] = [
    Opened("id"),
    Put(Digest("a" * 64), 5, "text/plain", "a name\u2028", 1.5, 2),
    Linked(Digest("a" * 64), BY, "a name", 1),
    Put(
        Digest("b" * 64),
        5,
        "a/b",
        "n",
        version=3,
        note="a\nb",
        parents=(Digest("a" * 64),),
        run="r",
        node="n",
    ),
    Linked(Digest("a" * 64), BY, "a name", 1, (3,), "c" * 64),
    Tagged("n", "best", Digest("a" * 64), 3, 2.5),
    Untagged("n", "best"),
    Unlinked("r"),
    Gone(Digest("a" * 64)),
]


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_one_line_and_comes_back(record: Record) -> None:
    line = line_of(record)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert record_of(line[:-1]) == record


def test_a_line_changed_anywhere_is_no_record() -> None:
    line = line_of(RECORDS[1])[:-1]
    for i in range(len(line)):
        assert record_of(line[:i]) is None
        assert record_of(line[:i] + bytes([line[i] ^ 1]) + line[i + 1 :]) in (None, RECORDS[1])
    assert record_of(line_of(RECORDS[3])[:9] + b"{}") is None


def test_a_log_gives_its_records_back_from_any_line_on(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "log")
    assert not log.attach(write=False)
    assert log.attach(write=True)
    log.append(map(line_of, RECORDS[1:]), durable=True)
    first, mark, *reads = log.read(0)
    assert (first.record, mark.record) == (Opened(log.id), Marked(log.format))
    assert [read.record for read in reads] == RECORDS[1:]
    assert [read.record for read in log.read(reads[1].end)] == RECORDS[3:]
    log.close()


def test_a_torn_line_at_the_end_can_be_cut(tmp_path: Path) -> None:
    log = RecordLog(tmp_path / "log")
    log.attach(write=True)
    log.append([line_of(RECORDS[1]), line_of(RECORDS[2])[:30]], durable=False)
    reads = list(log.read(0))
    assert [read.record for read in reads][2:] == [RECORDS[1], None]
    log.cut(reads[2].end)
    assert [read.record for read in log.read(0)][2:] == [RECORDS[1]]
    log.close()


def test_another_log_in_its_place_is_noticed(tmp_path: Path) -> None:
    one, two = RecordLog(tmp_path / "log"), RecordLog(tmp_path / "log")
    one.attach(write=True)
    two.attach(write=True)
    before = two.id
    one.replace(RECORDS[1:2])
    two.attach(write=True)
    assert two.id != before
    assert [read.record for read in two.read(0)][2:] == RECORDS[1:2]
    one.close()
    two.close()


def test_a_log_behind_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "log").symlink_to("elsewhere")
    with pytest.raises(IoFailed):
        RecordLog(tmp_path / "log").attach(write=True)
    assert (tmp_path / "elsewhere").read_text() == "precious"
