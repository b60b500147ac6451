"""csv.read, csv.format and csv.write."""

import csv
import io
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.filesystem import PathEscapes
from symphony.kit import csv_text
from symphony.kit.csv_text import CsvReader, CsvSource, sniffed
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.tables import kind_of, widest


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
        ("Preis, EUR;Gewicht, kg\n1,5;2,5\n3,25;4,75\n", ";"),  # a comma cuts as evenly, and more
        ("1,5;2,5\n3,25;4,75\n5,0;6,5\n", ";"),
        ("1,5\t2,5\t3,5\n3,25\t4,75\t1,0\n", "\t"),
        ("a,b\nx;y,1\nz,2\n", ","),  # a semicolon here and there is none between columns
        ("a|b,c|d\n1|2,3|4\n", "|"),
    ],
)
def test_the_delimiter_is_the_one_that_cuts_evenly(sample: str, delimiter: str) -> None:
    assert sniffed(sample) == delimiter


def test_types_are_inferred_by_column(run: Any) -> None:
    text = "id,size,share,open,zip,empty,price\n1,-2,.5,true,01234,,12.50\n3,,2,false,1,,0.00\n"
    found = run("csv.read", text=text, infer=True)
    assert found["types"] == {
        "id": "integer", "size": "integer", "share": "number", "open": "boolean", "zip": "string",
        "empty": "null", "price": "number",
    }  # fmt: skip
    assert found["rows"][1] == {
        "id": 3, "size": None, "share": 2.0, "open": False, "zip": "1", "empty": None, "price": 0.0
    }  # fmt: skip


@pytest.mark.parametrize(
    "column",
    [
        ["12345678901234567890", "98765432109876543210"],  # beyond 64 bits
        ["9223372036854775808"], ["-9223372036854775809"], ["1", "12345678901234567890"],
        ["9007199254740993", "0.5"], ["0.5", "-9007199254740993"],  # a double would lose the last digit
        ["+491701234567", "+14155550100"], ["+1"], ["+0.5"],
        ["12E3", "34E5"], ["1e5"], ["2e3", "1"], ["1.5e-3"], ["1E400"],
        ["007"], ["-01"], ["00"], ["00.5"], ["1.", "2."], ["-"], ["."], ["-."],
        ["0.1000000000000000055511151231257827"], ["3.14159265358979323846"], ["1234567890123456.75"],
        ["1_000"], ["1,000"], ["１２"], ["0x10"], ["inf"], ["nan"], ["1 "], [" 1"], ["--1"], ["1-2"],
        ["true", "1"], ["yes", "no"],
    ],
)  # fmt: skip
def test_a_column_stays_text_where_a_number_would_not_be_written_the_same(
    run: Any, column: list[str]
) -> None:
    text = "a\n" + "".join(f'"{field}"\n' for field in column)
    found = run("csv.read", text=text, infer=True)
    assert found["types"] == {"a": "string"}
    assert [row["a"] for row in found["rows"]] == column


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (["9223372036854775807", "-9223372036854775808"], [2**63 - 1, -(2**63)]),
        (["9007199254740993", "1"], [2**53 + 1, 1]),
        (["9007199254740992", "0.5"], [2.0**53, 0.5]),
        (["12.50", "3", "-0.10"], [12.5, 3.0, -0.1]),
        (["0", "-7"], [0, -7]),
        (["0.00001", "100000000000000.5"], [0.00001, 100000000000000.5]),
    ],
)
def test_numbers_that_keep_their_digits_are_numbers(run: Any, column: list[str], values: list[float]) -> None:
    found = run("csv.read", text="a\n" + "".join(f"{field}\n" for field in column), infer=True)
    assert [row["a"] for row in found["rows"]] == values
    assert [type(row["a"]) for row in found["rows"]] == list(map(type, values))


@given(
    st.lists(
        st.one_of(
            st.from_regex(r"[+-]?[0-9]{0,22}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?", fullmatch=True),
            st.integers().map(str),
            st.floats(allow_nan=False).map(str),
            st.decimals(allow_nan=False, allow_infinity=False).map(str),
        ).filter(bool),
        min_size=1,
        max_size=4,
    )
)
def test_what_is_read_as_numbers_has_the_value_that_was_written(column: list[str]) -> None:
    kinds = {kind_of(field) for field in column}
    if widest(kinds) in ("integer", "number"):
        convert = int if widest(kinds) == "integer" else float
        for field in column:
            assert Fraction(field) == Fraction(repr(convert(field)))


@pytest.mark.parametrize("at", range(65_530, 65_542))
@pytest.mark.parametrize("end", ["\r", "\r\n", "\n", "\r\r", "\n\r"])
def test_a_line_may_end_anywhere_also_where_the_sample_does(run: Any, at: int, end: str) -> None:
    head = "a,b" + end
    filler = "x" * (at - len(head) - 2)
    found = run("csv.read", text=f"{head}{filler},1{end}3,4{end}5,6{end}")
    assert [row["b"] for row in found["rows"]] == ["1", "4", "6"]


def test_texts_that_a_spreadsheet_would_work_out_are_guarded_when_that_is_asked_for(run: Any) -> None:
    texts = [
        "=1+1",
        "+A1",
        "-cmd|' /C calc'!A0",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1",
        "-1",
        "+49 30",
        "-1,5",
        "a=b",
        "",
    ]
    rows = [{"a": text} for text in texts]
    assert run("csv.format", rows=rows)["text"] == run("csv.format", rows=rows, guard=False)["text"]
    written = run("csv.format", rows=[*rows, {"a": -5}, {"a": -0.5}], guard=True, header=False)["text"]
    guarded = [fields[0] for fields in csv.reader(io.StringIO(written, newline=""))]
    expected = [f"'{text}" if text not in ("-1", "-1,5", "a=b", "") else text for text in texts]
    assert guarded == [*expected, "-5", "-0.5"]


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (1e-05, "0.00001"),
        (1e16, "10000000000000000.0"),
        (1.5e22, "15000000000000000000000.0"),
        (1e300, "1e+300"),
    ],
)
def test_numbers_are_written_without_an_exponent_where_that_is_short(
    run: Any, number: float, text: str
) -> None:
    assert run("csv.format", rows=[{"a": number}], header=False)["text"] == f"{text}\n"


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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_a_byte_order_mark_belongs_to_no_column_in_any_encoding(run: Any, encoding: str) -> None:
    data = "\ufeffa,b\n1,2\n".encode(encoding)
    assert run("csv.read", data=data, encoding=encoding)["columns"] == ["a", "b"]


def test_null_characters_are_no_text_wherever_they_stand(run: Any) -> None:
    for rows in (1, 100_000):
        body = b"a,b\n" + b"1,2\n" * rows + b"x\0y,3\n"
        with pytest.raises(InputRefused, match="null characters"):
            run("csv.read", data=body, limit=1_000_000)


def test_what_is_not_in_the_encoding_is_told_by_its_line(run: Any) -> None:
    body = b"a,b\n" + b"1,2\n" * 10_000 + b"caf\xe9,3\n" + b"4,5\n" * 10_000
    with pytest.raises(InputRefused, match=r"input data:10002 is not utf-8"):
        run("csv.read", data=body)
    assert run("csv.read", data=body, encoding="latin-1")["rows"][10_000]["a"] == "café"


def test_what_is_no_table_is_refused(run: Any, tmp_path: Path) -> None:
    with pytest.raises(InputRefused, match="not text"):
        run("csv.read", data=b"\x7fELF\0\0\0")
    with pytest.raises(InputRefused, match="is not a file"):
        run("csv.read", path=tmp_path)
    with pytest.raises(InputRefused, match="is not there"):
        run("csv.read", path=tmp_path / "nowhere.csv")
    with pytest.raises(InputRefused, match="exactly one"):
        run("csv.read")
    with pytest.raises(InputRefused, match="one character"):
        run("csv.read", text="a", delimiter="::")
    for encoding in (
        "klingon",
        "base64",
        "nul\0",
        "punycode",
        "idna",
        "unicode_escape",
        "Raw-Unicode-Escape",
    ):
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
    with CsvReader(CsvSource("huge.csv", lambda: io.BufferedReader(endless))) as table:
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
    writer = csv_text.CsvWriter(stream, [], delimiter)
    for at, row in enumerate(table):
        writer.row(list(row), at)
    body = stream.getvalue().encode()
    with CsvReader(CsvSource.of(None, None, body), header=False, delimiter=delimiter) as found:
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
