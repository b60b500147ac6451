"""The fast way to read a plain CSV table: many records at a time.

`csv_text` reads one record at a time, so that it can name the line of any mistake. Most tables
are well-formed: the same text goes through the same parser in blocks, without running Python code for each
line or record.
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
    """The table needs `CsvReader`, which reads it again from the start and reports what is wrong."""


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
    """Yield the table in blocks of at most `rows` records; no block is empty.

    Raises UnusualTable, also while iterating, and what `CsvReader` raises for the beginning of a file.
    """
    reading = CsvReader(source, delimiter=delimiter, header=header, encoding=encoding)
    with reading.opened() as stream:
        sample, found = reading.begun(stream)
        # The empty line makes an empty record, unless the file ends inside quotes.
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
    """Yield all the text in pieces that end with a line, each as an iterable of its lines."""
    rest = sample
    while True:
        try:
            more = stream.read(_BLOCK_CHARS)
        except UnicodeError as error:
            raise UnusualTable from error
        if not more:
            yield io.StringIO(rest, newline="")
            return
        # Only the line that starts with `rest` can be too long: the others are shorter than a block.
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
    """Yield blocks of records without empty lines. `first` is what was already read of the table."""
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
