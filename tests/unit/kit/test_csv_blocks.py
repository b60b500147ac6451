"""Tables read many records at a time: the same as one at a time, or not at all."""

import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.kit import csv_blocks, profiling, tables
from symphony.kit.csv_blocks import UnusualTable, plain
from symphony.kit.csv_text import LINE_CHARS_MAX, CsvReader, CsvSource
from symphony.kit.errors import InputRefused, OutputTooLarge
from symphony.kit.tables import kind_of, typed, widest

# Pieces that meet at every seam: quotes, all line ends, delimiters, marks, null, what is not UTF-8.
PIECES = [b"a", b"1", b'"', b'""', b",", b";", b"\n", b"\r\n", b"\r", b"\0", b"\xff", "é".encode(), b"  "]


def one_by_one(body: bytes, *, header: bool) -> tuple[list[str], list[list[str]]] | None:
    """Columns and records; None for a table in which something is wrong, or ragged."""
    try:
        with CsvReader(CsvSource.of(None, None, body), header=header) as table:
            rows = [fields for _, fields in table.rows]
    except InputRefused:
        return None
    return (table.columns, rows) if {len(row) for row in rows} <= {len(table.columns)} else None


def in_blocks(body: bytes, *, header: bool, rows: int) -> tuple[list[str], list[list[str]]] | None:
    source = CsvSource.of(None, None, body)
    try:
        with plain(source, delimiter=None, header=header, encoding="utf-8", rows=rows) as table:
            return table.columns, [record for _, block in table.blocks for record in block]
    except (UnusualTable, InputRefused):
        return None


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.booleans(), st.integers(1, 4))
def test_a_table_is_the_same_in_blocks_and_what_is_wrong_with_it_is_left_to_the_general_way(
    body: bytes, header: bool, rows: int
) -> None:
    assert in_blocks(body, header=header, rows=rows) == one_by_one(body, header=header)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("fault", ["", '"open', "1,2,3", "\0", "x" * LINE_CHARS_MAX])
def test_whatever_stands_behind_the_first_blocks_is_seen(end: str, fault: str) -> None:
    lines = [f'{n},"two\n""{n}"" "' for n in range(30_000)]
    lines.insert(25_000, fault)
    body = end.join(["a,b", *lines, ""]).encode()
    assert in_blocks(body, header=True, rows=4_096) == one_by_one(body, header=True)
    assert (one_by_one(body, header=True) is None) == bool(fault)


def test_a_text_without_a_line_feed_is_left_to_the_general_way() -> None:
    body = b"a,b\r" + b"1,2\r" * 400_000
    assert in_blocks(body, header=True, rows=4_096) is None
    assert in_blocks(body[: 1 << 17], header=True, rows=4_096) == one_by_one(body[: 1 << 17], header=True)


@pytest.mark.parametrize("limit", [None, 0, 1, 4_095, 4_096, 4_097, 9_000])
@pytest.mark.parametrize("infer", [False, True])
def test_both_ways_give_one_result(run: Any, tmp_path: Path, limit: int | None, infer: bool) -> None:
    lines = [f"{n},{n}.5,{'' if n % 7 else 'x'},{n % 2 == 0},-{n}" for n in range(9_000)]
    (tmp_path / "plain.csv").write_text("\n".join(["a,b,c,d,e", *lines, ""]))
    # What a line end alone makes unusual is the same table.
    (tmp_path / "unusual.csv").write_text("\r".join(["a,b,c,d,e", *lines, ""]), newline="")
    source = CsvSource.of(tmp_path / "unusual.csv", None, None)
    most = 1_000_000 if limit is None else limit
    with CsvReader(source) as table:
        general = tables._taken(tables.Shaping(table, "fail", lambda: False), most)
    found = run("csv.read", path="plain.csv", infer=infer, limit=limit)
    columns = [typed(column, frozenset({""}))[1] if infer else column for column in general.fields]
    assert found["rows"] == [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]
    assert found["truncated"] is general.more


fields = st.one_of(
    st.from_regex(r"-?[0-9]{0,20}(\.[0-9]{0,20})?", fullmatch=True),
    st.sampled_from(["", "NA", "true", "FALSE", "007", "-0", "1e5", "+1", "1\n2", ".5", "9007199254740993"]),
    st.text(max_size=3),
)


@given(st.lists(st.none() | fields, max_size=30))
def test_the_type_of_a_column_is_that_of_its_fields_one_by_one(column: list[str | None]) -> None:
    missing = frozenset({"", "NA"})
    filled = [text for text in column if text is not None and text not in missing]
    kind, values = typed(column, missing)
    assert kind == widest({kind_of(text) for text in filled})
    assert [value is None for value in values] == [text is None or text in missing for text in column]
    parse = {"integer": int, "number": float, "boolean": lambda text: text.lower() == "true"}.get(kind, str)
    assert [value for value in values if value is not None] == [parse(text) for text in filled]


@given(
    st.lists(
        st.tuples(st.sampled_from(["1", " 2", "3.5", "NA", "", "1e3"]), fields.map(str.strip)), max_size=60
    ),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([["", "NA"], ["1"], []]),
)
def test_a_profile_is_the_same_both_ways(rows: list[tuple[str, str]], end: str, missing: list[str]) -> None:
    text = "a,b" + end + "".join(f'{a},"{b.replace(chr(34), "")}"{end}' for a, b in rows)
    source = CsvSource.of(None, text, None)
    given_ = profiling._Given(source, True, "utf-8", frozenset(missing), "fill", lambda: False)
    general = profiling._profile(given_, None, given_.general)
    try:
        assert profiling._profile(given_, None, given_.plain) == general
    except UnusualTable:
        assert any("\n" in b or "\r" in b or "\0" in b for _, b in rows)


def test_a_profile_of_several_blocks_is_the_same_both_ways_and_knows_the_lines() -> None:
    lines = [
        f"{n % 97},{'x' if n % 5 else 'NA'},{n * n % 1009}.5,2024-01-{n % 28 + 1:02}" for n in range(9_000)
    ]
    lines[8_500] = "1,x,99999999.5,2024-01-01"
    source = CsvSource.of(None, "a,b,c,d\n" + "\n".join(lines), None)
    given_ = profiling._Given(source, True, "utf-8", frozenset({"", "NA"}), "fill", lambda: False)
    found = profiling._profile(given_, None, given_.plain)
    assert found == profiling._profile(given_, None, given_.general)
    assert found["columns"][2]["farthest"][0] == {"line": 8_502, "value": 99_999_999.5}


def test_more_records_than_may_be_are_an_error_unless_a_limit_was_given(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ROWS_MAX", 3)
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n4\n")
    for name in ("csv.read", "data.read"):
        with pytest.raises(OutputTooLarge, match="more than 3 records") as caught:
            run(name, path="a.csv")
        assert "limit" in str(caught.value.hint)
    assert run("csv.read", path="a.csv", limit=3)["truncated"]
    (tmp_path / "a.csv").write_text("a\n1\n2\n3\n")
    assert not run("csv.read", path="a.csv")["truncated"]


def test_a_block_costs_the_calls_of_a_block_not_of_its_records(run: Any, tmp_path: Path) -> None:
    """Calls of Python functions, counted by the interpreter."""

    def calls(rows: int) -> int:
        (tmp_path / "a.csv").write_text("a,b,c\n" + "1,x,2.5\n" * rows)
        count = 0

        def counted(frame: object, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call"

        sys.setprofile(counted)
        try:
            tables.read.original(run.context(), path=tmp_path / "a.csv", infer=True)
        finally:
            sys.setprofile(None)
        return count

    calls(10)
    assert calls(40_000) - calls(20_000) < 20_000 / csv_blocks.BLOCK_ROWS * 60
