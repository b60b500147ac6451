"""csv.read, csv.format and csv.write."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.filesystem import PathEscapes
from symphony.kit import csv_text
from symphony.kit.csv_text import Reading, Source, sniffed
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped


def test_each_record_becomes_a_map_of_texts(run: Any) -> None:
    found = run("csv.read", text='name,note\nAda,"one, ""two""\nthree"\n\nBob,\n')
    assert found["rows"] == [{"name": "Ada", "note": 'one, "two"\nthree'}, {"name": "Bob", "note": ""}]
    assert found["columns"] == ["name", "note"]
    assert (found["truncated"], found["problems"], found["delimiter"]) == (False, [], ",")


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("a;b\n1,5;2,5\n", ";"),
        ("a\tb\nx, y\tz\n", "\t"),
        ("a|b|c\n1|2|3\n", "|"),
        ("a\nb\n", ","),
        ("", ","),
        ('"x;y","z"\n"1;2;3","4"\n', ","),
        ("a,b", ","),
    ],
)
def test_the_delimiter_is_the_one_that_cuts_evenly(sample: str, delimiter: str) -> None:
    assert sniffed(sample) == delimiter


def test_types_are_inferred_by_column_and_leading_zeros_stay_texts(run: Any) -> None:
    text = "id,size,share,open,zip,empty,big\n1,-2,.5,true,01234,,9223372036854775808\n3,,2e3,false,1,,1\n"
    found = run("csv.read", text=text, infer=True)
    assert found["types"] == {
        "id": "integer", "size": "integer", "share": "number", "open": "boolean", "zip": "string",
        "empty": "null", "big": "number",
    }  # fmt: skip
    assert found["rows"][1] == {
        "id": 3, "size": None, "share": 2000.0, "open": False, "zip": "1", "empty": None, "big": 1.0
    }  # fmt: skip


def test_texts_that_stand_for_nothing_are_null_where_types_are_inferred(run: Any) -> None:
    found = run("csv.read", text="a\n1\nNA\n", infer=True, missing=["NA"])
    assert found["rows"] == [{"a": 1}, {"a": None}]


def test_without_a_header_columns_are_numbered_and_repeated_names_too(run: Any) -> None:
    assert run("csv.read", text="1,2\n3,4\n", header=False)["rows"] == [
        {"c1": "1", "c2": "2"}, {"c1": "3", "c2": "4"}
    ]  # fmt: skip
    assert run("csv.read", text="a,,a,a_2\n1,2,3,4\n")["columns"] == ["a", "c2", "a_2", "a_2_2"]


def test_a_record_of_another_length_fails_with_file_and_line_or_is_filled_or_skipped(
    run: Any, tmp_path: Path
) -> None:
    file = tmp_path / "päivä 1.csv"
    file.write_text('a,b\n"1\n2",3\nlonely\n4,5,6\n', encoding="utf-8")
    with pytest.raises(InputRefused, match=r"päivä 1\.csv:4: 1 field where the table has 2 columns"):
        run("csv.read", path=file, delimiter=",")
    filled = run("csv.read", path=file, delimiter=",", ragged="fill")
    assert filled["rows"][1:] == [{"a": "lonely", "b": None}, {"a": "4", "b": "5"}]
    assert [problem["line"] for problem in filled["problems"]] == [4, 5]
    assert run("csv.read", path=file, delimiter=",", ragged="skip")["rows"] == [{"a": "1\n2", "b": "3"}]


@pytest.mark.parametrize("body", [b"", b"\n\n", b"\xef\xbb\xbf", b"a,b\n", b"\xef\xbb\xbfa,b\r\n"])
def test_an_empty_table_is_no_error(run: Any, body: bytes) -> None:
    found = run("csv.read", data=body)
    assert found["rows"] == []
    assert found["columns"] in ([], ["a", "b"])


def test_old_line_ends_and_other_encodings_are_read(run: Any) -> None:
    assert run("csv.read", data=b"a,b\r1,2\r3,4\r")["rows"][1] == {"a": "3", "b": "4"}
    assert run("csv.read", data="é;b\n1;2\n".encode("utf-16"), encoding="utf-16")["columns"] == ["é", "b"]


def test_what_is_not_in_the_encoding_is_told_by_its_line(run: Any) -> None:
    body = b"a,b\n" + b"1,2\n" * 10_000 + b"caf\xe9,3\n" + b"4,5\n" * 10_000
    with pytest.raises(InputRefused, match=r"input data:10002 is not utf-8"):
        run("csv.read", data=body)
    assert run("csv.read", data=body, encoding="latin-1")["rows"][10_000]["a"] == "café"


def test_what_is_no_table_is_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="no text"):
        run("csv.read", data=b"\x7fELF\0\0\0")
    with pytest.raises(InputRefused, match="is no file"):
        run("csv.read", path=tmp_path)
    with pytest.raises(InputRefused, match="is not there"):
        run("csv.read", path=tmp_path / "nowhere.csv")
    with pytest.raises(InputRefused, match="exactly one"):
        run("csv.read")
    with pytest.raises(InputRefused, match="one character"):
        run("csv.read", text="a", delimiter="::")
    for encoding in ("klingon", "base64", "nul\0"):
        with pytest.raises(InputRefused, match="encoding"):
            run("csv.read", text="a", encoding=encoding)


def test_a_quote_that_never_ends_does_not_take_the_rest_of_the_file_along(run: Any) -> None:
    with pytest.raises(InputRefused, match=r"input data:2: field larger than field limit"):
        run("csv.read", data=b'a,b\n"1,2\n' + b"3,4\n" * 100_000)


@pytest.mark.parametrize("end", ['"cut o', '"', '"cut\n', 'x,"cut', '"a ""b'])
def test_a_file_that_is_cut_off_within_quotes_is_refused(run: Any, end: str) -> None:
    with pytest.raises(InputRefused, match=r"input text:3: the file ends within a quoted field"):
        run("csv.read", text=f"a,b\n1,2\n{end}")


@pytest.mark.parametrize("end", ["", "\n", '"x"', '"x\n"\n', '""', '"x"y', "\n\n\n", 'a"b'])
def test_any_other_end_is_the_end(run: Any, end: str) -> None:
    run("csv.read", text=f"a\n{end}")


def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_text, "LINE_CHARS_MAX", 200_000)
    with pytest.raises(InputRefused, match=r"input data:2: the line has more than 200,000 characters"):
        run("csv.read", data=b"a,b\n" + b"1," * 200_000)


class Endless(io.RawIOBase):
    """A file of any size: it counts what is read of it."""

    def __init__(self) -> None:
        self.given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        line = b"1,2\n" * (len(buffer) // 4)
        buffer[: len(line)] = line
        self.given += len(line)
        return len(line)


def test_of_a_huge_file_only_the_beginning_is_read() -> None:
    endless = Endless()
    with Reading(Source("huge.csv", lambda: io.BufferedReader(endless))) as table:
        assert [fields for _, (_, fields) in zip(range(3), table.rows, strict=False)] == [["1", "2"]] * 3
    assert endless.given < 1 << 20


def test_the_limit_cuts_and_says_so(run: Any) -> None:
    found = run("csv.read", text="a\n1\n2\n3\n", limit=2)
    assert ([row["a"] for row in found["rows"]], found["truncated"]) == (["1", "2"], True)
    assert not run("csv.read", text="a\n1\n2\n", limit=2)["truncated"]
    with pytest.raises(InputRefused, match="limit"):
        run("csv.read", text="a", limit=-1)


def test_too_much_text_is_refused_and_cancelling_stops(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from symphony.kit import tables

    monkeypatch.setattr(tables, "CHARS_MAX", 10)
    with pytest.raises(OutputTooLarge, match="input text:4: so much exceeds"):
        run("csv.read", text="a\n" + "xxxx\n" * 4)
    run.cancelled = lambda: True
    with pytest.raises(Stopped):
        run("csv.read", text="a\n1\n")


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(
    st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(cells, min_size=n, max_size=n), min_size=1)),
    st.sampled_from(csv_text.DELIMITERS),
)
def test_what_is_written_is_read_back(table: list[list[str]], delimiter: str) -> None:
    stream = io.StringIO(newline="")
    writer = csv_text.Writer(stream, [], delimiter)
    for at, row in enumerate(table):
        writer.row(list(row), at)
    body = stream.getvalue().encode()
    with Reading(Source.of(None, None, body), header=False, delimiter=delimiter) as found:
        assert [fields for _, fields in found.rows] == table


def test_values_become_fields_and_columns_follow_first_appearance(run: Any) -> None:
    rows = [{"a": None, "b": True}, {"b": 1.5, "c": [1, {"x": "é"}]}, {"a": 'say "hi"', "b": -3}]
    text = run("csv.format", rows=rows)["text"]
    assert text == 'a,b,c\n,true,\n,1.5,"[1,{""x"":""é""}]"\n"say ""hi""",-3,\n'
    assert list(csv.reader(io.StringIO(run("csv.format", rows=[[1, 2]], delimiter=";")["text"]))) == [["1;2"]]
    assert run("csv.format", rows=[])["text"] == ""


def test_records_that_do_not_fit_their_columns_are_named(run: Any) -> None:
    with pytest.raises(InputRefused, match=r"rows\[1\] has 'b'"):
        run("csv.format", rows=[{"a": 1}, {"b": 2}], columns=["a"])
    with pytest.raises(InputRefused, match=r"rows\[0\] is neither"):
        run("csv.format", rows=["a"])
    with pytest.raises(InputRefused, match="bytes"):
        run("csv.format", rows=[{"a": b"x"}])


def test_a_table_is_written_whole_below_the_callers_folder(run: Any, tmp_path: Path) -> None:
    written = run("csv.write", path="out/t.csv", rows=[{"a": 1, "b": "é"}])
    target = tmp_path / "out" / "t.csv"
    assert target.read_text(encoding="utf-8") == "a,b\n1,é\n"
    assert (written["path"], written["size"], written["rows"]) == (str(target), 9, 1)
    with pytest.raises(InputRefused, match="bytes"):
        run("csv.write", path="out/t.csv", rows=[{"a": b"x"}])
    assert target.read_text(encoding="utf-8") == "a,b\n1,é\n"
    with pytest.raises(PathEscapes):
        run("csv.write", path="../t.csv", rows=[])
    with pytest.raises(InputRefused, match="folder"):
        run("csv.write", path="out", rows=[])
