"""Reads CSV as a stream of records, whatever the size of the file, and writes records as CSV.

The dialect is that of RFC 4180, read leniently: any line end, a configurable delimiter, quotes where needed.
This module defines no operators.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO, Final, TextIO, TypeAlias

import msgspec

from symphony.commons.errors import IoFailed
from symphony.commons.lines import line_number
from symphony.kit.encodings import encoding_named
from symphony.kit.errors import InputRefused
from symphony.ports.values import Value

LINE_CHARS_MAX: Final = 1 << 20
"""A longer line is not a table: it would be held in memory whole."""
COLUMNS_MAX: Final = 16_384
DELIMITERS: Final = (",", ";", "\t", "|")
_SAMPLE_CHARS: Final = 64 * 1024
_SNIFF_ROWS: Final = 200
_ZEROS_MAX: Final = 30
_FORMULA: Final = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
_SIGNED: Final = re.compile(r"[+-](?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)

Row: TypeAlias = tuple[int, list[str]]
"""The number of the line that a record begins in, from 1, and its fields."""


@dataclass(frozen=True, slots=True)
class CsvSource:
    """A source of CSV. `name` is used in messages; `open` returns its bytes from the start."""

    name: str
    open: Callable[[], BinaryIO]

    @classmethod
    def of(cls, path: Path | None, text: str | None, data: bytes | None) -> "CsvSource":
        """Return the input that was given.

        Raises InputRefused unless there is exactly one, a regular file.
        """
        if [path is None, text is None, data is None].count(False) != 1:
            raise InputRefused("give exactly one of path, text and data", hint="leave the others out")
        if path is None:
            body = data if data is not None else (text or "").encode("utf-8", "replace")
            return cls("input text" if data is None else "input data", lambda: io.BytesIO(body))
        if not path.is_file():
            what = "is not a file" if path.exists() else "is not there"
            raise InputRefused(f"input path: {path} {what}", hint="give the path of a CSV file")
        return cls(str(path), lambda: path.open("rb"))


@dataclass(slots=True)
class Table:
    """The records of a source, read once, one at a time."""

    source: CsvSource
    encoding: str
    delimiter: str
    header: bool
    columns: list[str]
    rows: Iterator[Row]


class CsvReader(AbstractContextManager[Table]):
    """Opens a source: `with CsvReader(source) as table`. Without a `delimiter`, it is detected.

    Raises InputRefused, naming file and line, for something that is not CSV text; IoFailed.
    """

    def __init__(
        self, source: CsvSource, *, delimiter: str | None = None, header: bool = True, encoding: str = "utf-8"
    ) -> None:
        self._source, self._delimiter, self._header = source, delimiter, header
        self._encoding = encoding_named(encoding)
        self._stream: TextIO | None = None
        if delimiter is not None:
            check_delimiter(delimiter)

    def __enter__(self) -> Table:
        stream = self.opened()
        try:
            return self._table(stream)
        except BaseException:
            stream.close()
            raise

    def opened(self) -> TextIO:
        """Return the text of the source from its start, with line ends as they are. Raises IoFailed."""
        try:
            stream = io.TextIOWrapper(self._source.open(), self._encoding, newline="")
        except OSError as error:
            raise IoFailed.of(error, f"read {self._source.name}") from error
        self._stream = stream  # also because a wrapper that nobody holds complains when it is collected
        return stream

    def _table(self, stream: TextIO) -> Table:
        sample, delimiter = self.begun(stream)
        rows = self._rows(_lines(sample, stream, self._source.name), delimiter)
        table = Table(self._source, self._encoding, delimiter, self._header, [], rows)
        first = next(rows, None)
        if first is not None:
            table.columns = self.names(first[1])
            if not self._header:
                table.rows = _after(first, rows)
        return table

    def begun(self, stream: TextIO) -> tuple[str, str]:
        """Return the beginning of `stream` without a byte order mark, and the delimiter.

        Raises InputRefused.
        """
        sample = self._sample(stream)
        return sample, self._delimiter or sniffed(sample)

    def names(self, first: Sequence[str]) -> list[str]:
        """Return the names of the columns, according to the first record."""
        return _names(first) if self._header else [f"c{i}" for i in range(1, len(first) + 1)]

    def __exit__(self, *how: object) -> None:
        if self._stream is not None:
            self._stream.close()

    def _sample(self, stream: TextIO) -> str:
        try:
            sample = stream.read(_SAMPLE_CHARS)
            while sample.endswith("\r") and (more := stream.read(1)):
                sample += more  # the second half of a line end, or the first character of the next line
        except UnicodeError as error:
            raise self._not_in_encoding(error) from error
        if "\0" in sample:
            raise _no_text(self._source.name)
        return sample.removeprefix("\ufeff")  # a byte order mark

    def _rows(self, lines: Iterable[str], delimiter: str) -> Iterator[Row]:
        ending = _Ending(lines)
        reader = csv.reader(ending, delimiter=delimiter)
        line = 1
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                why = str(error)
                hint = (
                    "look for a field whose closing quote is missing" if "limit" in why else "mend the line"
                )
                raise InputRefused(f"{self._source.name}:{line}: {why}", hint=hint) from error
            except UnicodeError as error:
                raise self._not_in_encoding(error) from error
            if ending.over:
                if not fields:
                    return
                raise InputRefused(
                    f"{self._source.name}:{line}: the file ends within a quoted field",
                    hint="it may be cut off; or look for a closing quote that is missing",
                )
            if len(fields) > COLUMNS_MAX:
                raise InputRefused(
                    f"{self._source.name}:{line}: more than {COLUMNS_MAX:,} fields",
                    hint="check the delimiter",
                )
            if fields:  # an empty line is not a record
                yield line, fields
            line = reader.line_num + 1

    def _not_in_encoding(self, error: UnicodeError) -> InputRefused:
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        return InputRefused(
            f"{self._source.name}:{self._bad_line()} is not {self._encoding}: {reason}",
            hint="say the file's encoding, for instance latin-1 or utf-16",
        )

    def _bad_line(self) -> int:
        """Return the line that cannot be decoded.

        It is read again: the error's offset is within some buffer.
        """
        decoder = codecs.getincrementaldecoder(self._encoding)()
        line, half = 1, ""  # the first half of a line end that may continue in the next chunk
        with self._source.open() as stream:
            while chunk := stream.read(_SAMPLE_CHARS):
                try:
                    text = half + decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    before = half.encode() + error.object[: error.start]
                    return line - 1 + line_number(before, len(before))
                half = "\r" if text.endswith("\r") else ""
                line += line_number(text, len(text) - len(half)) - 1
        return line


class _Ending:
    """Iterates over lines, and yields an empty one after the last.

    The csv module does not report an unclosed quote at the end of a file. The extra line reveals it: it
    becomes a record without fields, unless the file ended inside quotes.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self._lines = iter(lines)
        self.over = False

    def __iter__(self) -> Iterator[str]:
        yield from self._lines
        self.over = True
        yield ""


def check_delimiter(delimiter: str) -> None:
    """Raises InputRefused if `delimiter` cannot separate fields."""
    if len(delimiter) != 1 or delimiter in '\r\n"\0':
        raise InputRefused("input delimiter must be one character", hint=r'for instance ";" or "\t"')


def _no_text(name: str) -> InputRefused:
    return InputRefused(
        f"{name} is not text: it holds null characters",
        hint="give a CSV file; for UTF-16 say encoding: utf-16",
    )


def _lines(sample: str, rest: TextIO, name: str) -> Iterator[str]:
    """Yield the lines of `sample` and of what follows it. Raises InputRefused for a line too long to hold."""
    number, partial = 0, ""
    for line in io.StringIO(sample, newline=""):
        if partial:
            number += 1
            yield partial
        partial = line
    if partial.endswith("\n"):
        number += 1
        yield partial
        partial = ""
    while True:
        line = partial + rest.readline(LINE_CHARS_MAX)
        partial = ""
        number += 1
        if not line:
            return
        if len(line) >= LINE_CHARS_MAX:
            raise InputRefused(
                f"{name}:{number}: the line has more than {LINE_CHARS_MAX:,} characters",
                hint="give a CSV file, with a line for each record",
            )
        if "\0" in line:
            raise _no_text(f"{name}:{number}")
        yield line


def sniffed(sample: str) -> str:
    """Return the delimiter that splits most lines of `sample` into the same number of fields, more than one.

    Among equally good ones, a semicolon or a tab wins over a comma or a bar, because commas also occur in
    numbers and texts. Then the one that makes more fields wins. The answer is a comma if nothing splits the
    lines.
    """
    best = (0.0, False, 0, ",")
    for delimiter in DELIMITERS:
        if delimiter not in sample:
            continue
        counts: list[int] = []
        try:
            for fields in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter):
                if fields:
                    counts.append(len(fields))
                if len(counts) > _SNIFF_ROWS:
                    break
        except csv.Error:
            continue
        if len(counts) > 1:
            counts = counts[:-1]  # the last line may be cut off
        usual = max(counts, key=counts.count, default=1)
        if usual > 1:
            found = (counts.count(usual) / len(counts), delimiter in ";\t", usual, delimiter)
            best = max(best, found, key=lambda one: one[:3])
    return best[3]


def _names(fields: Sequence[str]) -> list[str]:
    """Return names for columns: empty names are numbered, repeated names get a number appended."""
    names: list[str] = []
    taken: set[str] = set()
    for at, field in enumerate(fields, start=1):
        wanted = name = field.strip() or f"c{at}"
        copy = 2
        while name in taken:
            name = f"{wanted}_{copy}"
            copy += 1
        taken.add(name)
        names.append(name)
    return names


def _after(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


class CsvWriter:
    """Writes records as CSV to a text stream; lines end with a line feed.

    With `guard`, each text that a spreadsheet would take for a formula gets an apostrophe in front.
    `csv.writer` is not used because with these line ends it leaves a lone carriage return unquoted.
    """

    def __init__(
        self, stream: TextIO, columns: Sequence[str], delimiter: str, *, guard: bool = False
    ) -> None:
        self._stream, self._columns, self._delimiter, self._guard = stream, columns, delimiter, guard

    def head(self) -> None:
        """Write the names of the columns."""
        self._write(self._columns)

    def _write(self, fields: Sequence[str]) -> None:
        if not fields:
            return
        if self._guard:
            fields = [f"'{text}" if _is_formula(text) else text for text in fields]
        special = ('"', "\n", "\r", self._delimiter)
        line = self._delimiter.join(
            '"' + text.replace('"', '""') + '"' if any(char in text for char in special) else text
            for text in fields
        )
        self._stream.write((line or '""') + "\n")  # an empty line would not be a record

    def row(self, record: Value, at: int) -> None:
        """Write one record, a map or a list. Raises InputRefused for anything else."""
        if isinstance(record, dict):
            unknown = [key for key in record if key not in self._columns]
            if unknown:
                raise InputRefused(
                    f"rows[{at}] has {unknown[0]!r}, which is not a column", hint="list it in `columns`"
                )
            self._write([cell(record.get(name)) for name in self._columns])
        elif isinstance(record, list):
            self._write([cell(value) for value in record])
        else:
            raise InputRefused(f"rows[{at}] is neither a map nor a list", hint="give records")


def _is_formula(text: str) -> bool:
    """True if a spreadsheet would evaluate this text. Plain numbers are not formulas. Source: OWASP,
    "CSV Injection".
    """
    return text[:1] in _FORMULA and text[:1] != "" and _SIGNED.fullmatch(text) is None


def cell(value: Value) -> str:
    """Return a value as the text of one field: empty for null, JSON for lists and maps."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        raise InputRefused("bytes cannot stand in a CSV file", hint="decode them, or leave the column out")
    if isinstance(value, float):
        return _positional(value)
    if isinstance(value, int):
        return str(value)
    return msgspec.json.encode(value).decode()


def _positional(number: float) -> str:
    """Return the shortest digits of `number`, without an exponent unless it would take very many zeros."""
    text = repr(number)
    _, _, exponent = text.partition("e")
    if not exponent or not -_ZEROS_MAX <= int(exponent) <= _ZEROS_MAX:
        return text
    whole = format(Decimal(text), "f")
    return whole if "." in whole else f"{whole}.0"


def columns_of(rows: Sequence[Value]) -> list[str]:
    """Return the keys of all maps among `rows`, in order of first appearance."""
    return list(dict.fromkeys(key for row in rows if isinstance(row, dict) for key in row))
