"""The records of a table in which nothing is unusual, many at a time.

`csv_text` reads a record at a time, so that it can name the line of whatever is wrong. Most tables
have nothing wrong: here the same text goes through the same parser in blocks, without a step of
Python for a line or a record.
"""

import csv
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, TextIO, TypeAlias

from symphony.kit.csv_text import COLUMNS_MAX, LINE_CHARS_MAX, CsvReader, CsvSource

if TYPE_CHECKING:
    from _csv import Reader

BLOCK_ROWS: Final = 4_096
_BLOCK_CHARS: Final = 256 * 1024


class UnusualTable(Exception):
    """The table needs `CsvReader`, which goes through it from its start and says what is wrong."""


Block: TypeAlias = tuple[int | None, list[list[str]]]
"""Some records, and the line that the first begins in if each is one line, and none between is empty."""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """A table whose records all have as many fields as it has columns. `blocks` raises UnusualTable."""

    delimiter: str
    columns: list[str]
    blocks: Iterator[Block]


@contextmanager
def plain(
    source: CsvSource, *, delimiter: str | None, header: bool, encoding: str, rows: int = BLOCK_ROWS
) -> Iterator[PlainTable]:
    """The table in blocks of at most so many `rows`, none of them empty.

    Raises UnusualTable, also from within, and for the beginning of the file what `CsvReader` raises.
    """
    reading = CsvReader(source, delimiter=delimiter, header=header, encoding=encoding)
    with reading.opened() as stream:
        sample, found = reading.begun(stream)
        # The empty line makes an empty record, unless the file ends within quotes.
        reader = csv.reader(chain(chain.from_iterable(_texts(sample, stream)), [""]), delimiter=found)
        try:
            first = next(filter(None, reader), None)
        except csv.Error as error:
            raise UnusualTable from error
        columns = [] if first is None else reading.names(first)
        if len(columns) > COLUMNS_MAX:
            raise UnusualTable
        yield PlainTable(found, columns, _blocks(reader, first or [], header, rows))


def _texts(sample: str, stream: TextIO) -> Iterator[io.StringIO]:
    """All the text in pieces that end with a line, as what gives its lines."""
    rest = sample
    while True:
        try:
            more = stream.read(_BLOCK_CHARS)
        except UnicodeError as error:
            raise UnusualTable from error
        if not more:
            yield io.StringIO(rest, newline="")
            return
        # Only the line that `rest` begins can be too long: the others are shorter than a block.
        if "\0" in more or len(rest) + more.find("\n") + 1 >= LINE_CHARS_MAX:
            raise UnusualTable
        text = rest + more
        end = text.rfind("\n") + 1
        if not end and len(text) >= LINE_CHARS_MAX:
            raise UnusualTable
        rest = text[end:]
        if end:
            yield io.StringIO(text[:end], newline="")


def _blocks(reader: "Reader", first: list[str], header: bool, rows: int) -> Iterator[Block]:
    """Blocks of records, without those of empty lines. `first`: what was read of the table already."""
    begun = [] if header or not first else [first]
    line, last, wanted = reader.line_num + 1 - len(begun), first, len(first)
    while True:
        try:
            block = begun + list(islice(reader, rows - len(begun)))
        except csv.Error as error:
            raise UnusualTable from error
        if not block:
            break
        at = line if reader.line_num + 1 - line == len(block) else None
        begun, line, last = [], reader.line_num + 1, block[-1]
        sizes = set(map(len, block))
        if 0 in sizes:
            if not all(block[: len(block) if last else -1]):
                at = None
            block = [record for record in block if record]
        if not sizes <= {0, wanted}:
            raise UnusualTable
        if block:
            yield at, block
    if last:
        raise UnusualTable
