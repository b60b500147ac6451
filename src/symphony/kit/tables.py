"""Tables as CSV: `csv.*`."""

import hashlib
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Final, Literal, TypeAlias, TypedDict

from symphony.commons.filesystem import write_atomic
from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.kit.csv_blocks import BLOCK_ROWS, UnusualTable, plain
from symphony.kit.csv_text import CsvReader, CsvSource, CsvWriter, Row, Table, check_delimiter, columns_of
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.fs import destination, make_parents
from symphony.ports.values import Value
from symphony.sdk import Context, operator

ROWS_MAX: Final = 1_000_000
CHARS_MAX: Final = 128 * 1024 * 1024
"""The characters of all fields that are returned, together."""
PROBLEMS_MAX: Final = 1_000
_CHECK_EVERY: Final = 1024
_INTEGER: Final = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?:0|[1-9][0-9]*)?\.[0-9]+|-0", re.ASCII)
_SHORT_INTEGER: Final = r"(?>0|-?[1-9][0-9]{0,14})"
_SHORT_DECIMAL: Final = r"(?=[^\n]{1,16}(?:\n|\Z))(?>-?(?:0|[1-9][0-9]*)?\.[0-9]+|-0)"
_INTEGER_LINES: Final = re.compile(rf"{_SHORT_INTEGER}(?:\n{_SHORT_INTEGER})*+", re.ASCII)
_DECIMAL_LINES: Final = re.compile(rf"{_SHORT_DECIMAL}(?:\n{_SHORT_DECIMAL})*+", re.ASCII)
"""Lines that are each an integer, or a decimal number, that a double holds for certain."""
_LOOK_ROWS: Final = 4_096
_USUAL_MAX: Final = 4_096
"""A column with more different texts than that has no usual ones."""
_EXACT_MAX: Final = 2**53
"""Up to here a double holds every integer."""
_BOOLEANS: Final = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}

Ragged: TypeAlias = Literal["fail", "fill", "skip"]


class BadRow(TypedDict):
    """A record that has another number of fields than the table."""

    line: int
    message: str


class Rows(TypedDict):
    """What `csv.read` returns."""

    rows: list[dict[str, Value]]
    columns: list[str]
    types: dict[str, str]
    delimiter: str
    truncated: bool
    problems: list[BadRow]


class WrittenTable(TypedDict):
    """What `csv.write` returns."""

    path: Path
    size: int
    rows: int
    digest: str


@operator("csv.read", version="2.0.0", pure=True)
def read(
    context: Context,
    path: Path | None = None,
    text: str | None = None,
    data: bytes | None = None,
    delimiter: str | None = None,
    header: bool = True,
    infer: bool = False,
    missing: list[str] = [""],  # noqa: B006
    limit: int | None = None,
    ragged: Ragged = "fail",
    encoding: str = "utf-8",
) -> Rows:
    """Read a table: each record becomes a map from the name of a column to a text.

    The file is read as a stream and only up to the limit, so that its size does not matter.
    Quotes, line ends inside fields and a byte order mark are understood; empty lines are passed
    over. A column without a name is called c1, c2, … by its place, a repeated name gets a number.

    path: a CSV file; give this, `text` or `data`
    text: the table itself
    data: the table as bytes
    delimiter: what stands between two fields; null finds out whether it is a semicolon, a tab, a comma
        or a bar, and prefers a semicolon or a tab where a comma fits as well
    header: whether the first record names the columns
    infer: turn a column whose every field is an integer, a number or true/false into such; a column
        stays text where a number would not be the same when written again: leading zeros, a plus, an
        exponent, more digits than 64 bits hold (zeros at the end of decimals do not count)
    missing: with `infer`, texts that stand for null
    limit: read so many records at most, up to 1,000,000; null reads all, and fails if there are more than
        1,000,000
    ragged: what to do with a record that has too few or too many fields: fail, fill it with nulls
        (surplus fields are dropped), or skip it; both are told in `problems`
    encoding: one that Python knows

    Returns:
        rows: the records
        columns: the names, in order
        types: by column: string, integer, number, boolean, or null for one without any field
        delimiter: what was found or given
        truncated: whether there are records beyond a given limit
        problems: maps of line and message; of very many the first 1,000
    """
    if limit is not None and not 0 <= limit <= ROWS_MAX:
        raise InputRefused(f"input limit must lie between 0 and {ROWS_MAX:,}", hint="change it")
    source = CsvSource.of(None if path is None else context.cwd / path, text, data)
    most = ROWS_MAX if limit is None else limit
    taken = _taken_plain(source, delimiter, header, encoding, most, context.cancelled)
    if taken is None:
        with CsvReader(source, delimiter=delimiter, header=header, encoding=encoding) as table:
            taken = _taken(Shaping(table, ragged, context.cancelled), most)
    if taken.more and limit is None:
        raise OutputTooLarge(
            f"{source.name} has more than {ROWS_MAX:,} records",
            hint="say limit to read the first ones, or use csv.profile, which keeps none",
        )
    kinds = dict.fromkeys(taken.columns, "string")
    if infer:
        nothing = frozenset(missing)
        for at, name in enumerate(taken.columns):
            kinds[name], taken.fields[at] = typed(taken.fields[at], nothing)
    return Rows(
        rows=[dict(zip(taken.columns, record)) for record in zip(*taken.fields)],  # noqa: B905  (as many)
        columns=taken.columns, types=kinds, delimiter=taken.delimiter, truncated=taken.more,
        problems=taken.problems,
    )  # fmt: skip


@dataclass(slots=True)
class _Taken:
    """The columns read so far. `more` tells whether there are more records."""

    delimiter: str
    columns: list[str]
    more: bool = False
    problems: list[BadRow] = field(default_factory=list)
    fields: list[list[Value]] = field(init=False)
    _usual: list[dict[str | None, str | None] | None] = field(init=False)

    def __post_init__(self) -> None:
        self.fields = [[] for _ in self.columns]
        self._usual = [{} for _ in self.columns]

    def add(self, records: Sequence[Sequence[str | None]]) -> None:
        """Take in some records.

        A text that a column has often is kept once: a table of a million records is a third smaller.
        """
        for at, some in enumerate(zip(*records, strict=True)):
            known = self._usual[at]
            if known is None:
                self.fields[at] += some
                continue
            self.fields[at] += [known.setdefault(text, text) for text in some]
            if len(known) > _USUAL_MAX:
                self._usual[at] = None


def _taken_plain(
    source: CsvSource,
    delimiter: str | None,
    header: bool,
    encoding: str,
    limit: int,
    cancelled: Callable[[], bool],
) -> _Taken | None:
    """Return the first `limit` records; None if only the general way can tell what they are, or what is
    wrong.
    """
    size = 0
    try:
        with plain(source, delimiter=delimiter, header=header, encoding=encoding) as table:
            taken = _Taken(table.delimiter, table.columns)
            for _, block in table.blocks:
                if cancelled():
                    raise Stopped("the node was cancelled")
                taken.more = len(block) > limit
                del block[limit:]
                limit -= len(block)
                size += sum(map(len, chain.from_iterable(block)))
                if size > CHARS_MAX:
                    return None
                taken.add(block)
                if taken.more:
                    break
            return taken
    except UnusualTable:
        return None


def _taken(shaping: "Shaping", limit: int) -> _Taken:
    """Return the first `limit` records. Raises OutputTooLarge."""
    table = shaping.table
    taken = _Taken(table.delimiter, table.columns, problems=shaping.problems)
    block: list[list[str | None]] = []
    size = 0
    for count, (line, fields) in enumerate(shaping):
        if count == limit:
            taken.more = True
            break
        size += sum(len(text) for text in fields if text is not None)
        if size > CHARS_MAX:
            raise OutputTooLarge(
                f"{table.source.name}:{line}: so much exceeds {CHARS_MAX // 2**20} Mi characters",
                hint="set a lower limit, or use csv.profile, which keeps no records",
            )
        block.append(fields)
        if len(block) == BLOCK_ROWS:
            taken.add(block)
            block = []
    taken.add(block)
    return taken


@dataclass(slots=True)
class Shaping:
    """The records of a table, each with as many fields as it has columns; iterate once."""

    table: Table
    ragged: Ragged
    cancelled: Callable[[], bool]
    problems: list[BadRow] = field(default_factory=list)
    problems_total: int = 0

    def __iter__(self) -> "Iterator[tuple[int, list[str | None]]]":
        """Raises InputRefused, naming the line, for one that does not fit if that is asked for."""
        wanted = len(self.table.columns)
        for count, (line, fields) in enumerate(self.table.rows):
            if count % _CHECK_EVERY == 0 and self.cancelled():
                raise Stopped("the node was cancelled")
            if len(fields) == wanted:
                whole: list[str | None] = [*fields]
                yield line, whole
            elif (fitted := self._fitted((line, fields), wanted)) is not None:
                yield line, fitted

    def _fitted(self, row: Row, wanted: int) -> list[str | None] | None:
        line, fields = row
        count = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        message = f"{count} where the table has {wanted} columns"
        if self.ragged == "fail":
            raise InputRefused(
                f"{self.table.source.name}:{line}: {message} (the delimiter is {self.table.delimiter!r})",
                hint="mend the line, name the delimiter, or say ragged: fill or skip",
            )
        self.problems_total += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(BadRow(line=line, message=message))
        if self.ragged == "skip":
            return None
        return [*fields[:wanted], *[None] * (wanted - len(fields))]


def kind_of(text: str) -> str:
    """Return the narrowest type that keeps one field's text: integer, long, number, boolean or string.

    A number can be written as it was but for zeros at the end of its decimals: no leading zeros, plus
    or exponent, which phone numbers, codes and article numbers have, and no digits that would be lost.
    A `long` is an integer that a double may not hold.
    """
    if _INTEGER.fullmatch(text):
        value = int(text)
        if abs(value) <= _EXACT_MAX:
            return "integer"
        return "long" if INTEGER_MIN <= value <= INTEGER_MAX else "string"
    if _DECIMAL.fullmatch(text):
        return "number" if _is_exact(text) else "string"
    return "boolean" if text in _BOOLEANS else "string"


def _is_exact(decimal: str) -> bool:
    """True if the double nearest to `decimal`, spelled in full, gives its digits again."""
    if len(decimal) <= 16:  # up to 15 digits always survive: IEEE 754, binary64
        return True
    number = float(decimal)
    return math.isfinite(number) and Decimal(repr(number)) == Decimal(decimal)


def widest(kinds: set[str]) -> str:
    """Return the type that fits fields of all `kinds`, as `kind_of` tells them; `null` for none."""
    if not kinds:
        return "null"
    if kinds <= {"integer", "long"}:
        return "integer"
    if len(kinds) == 1:
        return next(iter(kinds))
    return "number" if kinds == {"integer", "number"} else "string"


_PARSERS: Final[dict[str, Callable[[str], Value]]] = {
    "integer": int,
    "number": float,
    "boolean": _BOOLEANS.__getitem__,
}


def typed(column: Sequence[Value], missing: frozenset[str]) -> tuple[str, list[Value]]:
    """Return the type of one column, and its fields as values of that type. `missing`: texts that are
    null.
    """
    filled = [text for text in column if isinstance(text, str) and text not in missing]
    kind = _kind_of_all(filled)
    parse = _PARSERS.get(kind)
    values: Iterable[Value] = filled if parse is None else map(parse, filled)
    if len(filled) == len(column):
        return kind, list(values)
    each = iter(values)
    return kind, [next(each) if isinstance(text, str) and text not in missing else None for text in column]


def _kind_of_all(texts: Sequence[str]) -> str:
    """Return the `widest` kind of all the fields; most columns are settled by one look at many fields."""
    kinds: set[str] = set()
    for at in range(0, len(texts), _LOOK_ROWS):
        some = texts[at : at + _LOOK_ROWS]
        lines = "\n".join(some)
        whole = lines.count("\n") == len(some) - 1
        if whole and _INTEGER_LINES.fullmatch(lines):
            kinds.add("integer")
        elif whole and _DECIMAL_LINES.fullmatch(lines):
            kinds.add("number")
        else:
            for text in dict.fromkeys(some):
                kinds.add(kind_of(text))
                if "string" in kinds:
                    return "string"
    return widest(kinds)


@operator("csv.format", version="1.0.0", pure=True, output="text")
def format_table(
    rows: list[Value],
    columns: list[str] | None = None,
    delimiter: str = ",",
    header: bool = True,
    guard: bool = False,
) -> str:
    r"""Format records as the text of a CSV file.

    rows: maps from the name of a column to a value, or lists of values; null becomes nothing, lists
        and maps JSON
    columns: which, in order; null for all keys in order of first appearance
    delimiter: what stands between two fields
    header: whether the first line names the columns
    guard: put an apostrophe before texts that a spreadsheet would take for formulas (=, +, -, @, also
        their full-width forms, tab and line ends at the beginning; plain numbers are none)

    Returns:
        text: lines that end with \n
    """
    check_delimiter(delimiter)
    stream = io.StringIO(newline="")
    names = columns if columns is not None else columns_of(rows)
    writer = CsvWriter(stream, names, delimiter, guard=guard)
    if header and names:
        writer.head()
    for at, row in enumerate(rows):
        writer.row(row, at)
    return stream.getvalue()


@operator("csv.write", version="1.0.0", idempotent=True)
def write(
    path: str,
    rows: list[Value],
    context: Context,
    columns: list[str] | None = None,
    delimiter: str = ",",
    header: bool = True,
    parents: bool = True,
    guard: bool = False,
) -> WrittenTable:
    """Write records as a CSV file, durably and in one step: others see the old file or the whole new one.

    A relative path stays below the caller's directory, also through links; an absolute one goes
    anywhere. The text is UTF-8, its lines end with a line feed.

    path: where to
    rows: maps from the name of a column to a value, or lists of values; null becomes nothing, lists
        and maps JSON
    columns: which, in order; null for all keys in order of first appearance
    delimiter: what stands between two fields
    header: whether the first line names the columns
    parents: make missing folders
    guard: put an apostrophe before texts that a spreadsheet would take for formulas (=, +, -, @, also
        their full-width forms, tab and line ends at the beginning; plain numbers are none)

    Returns:
        path: the absolute path
        size: bytes in the file
        rows: how many records
        digest: SHA-256 of the file
    """
    body = format_table(rows, columns, delimiter, header, guard).encode()
    target = destination(path, context)
    if parents:
        make_parents(target)
    write_atomic(target, body)
    return WrittenTable(path=target, size=len(body), rows=len(rows), digest=hashlib.sha256(body).hexdigest())
