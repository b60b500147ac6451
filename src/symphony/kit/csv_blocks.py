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
from typing import Final, TextIO

from symphony.kit.csv_text import COLUMNS_MAX, LINE_CHARS_MAX, Reading, Source

BLOCK_ROWS: Final = 4_096
_BLOCK_CHARS: Final = 256 * 1024


class Unusual(Exception):
    """The table needs `Reading`, which goes through it from its start and says what is wrong."""


@dataclass(frozen=True, slots=True)
class PlainTable:
    """A table whose records all have as many fields as it has columns. `blocks` raises Unusual."""

    delimiter: str
    columns: list[str]
    blocks: Iterator[list[list[str]]]


@contextmanager
def plain(
    source: Source, *, delimiter: str | None, header: bool, encoding: str, rows: int = BLOCK_ROWS
) -> Iterator[PlainTable]:
    """The table in blocks of at most so many `rows`, none of them empty.

    Raises Unusual, also from within, and for the beginning of the file what `Reading` raises.
    """
    reading = Reading(source, delimiter=delimiter, header=header, encoding=encoding)
    with reading.opened() as stream:
        sample, found = reading.begun(stream)
        # The empty line makes an empty record, unless the file ends within quotes.
        reader = csv.reader(chain(chain.from_iterable(_texts(sample, stream)), [""]), delimiter=found)
        records = _records(reader, rows)
        first = next(records, None)
        if first is None:
            yield PlainTable(found, [], iter(()))
            return
        if len(first[0]) > COLUMNS_MAX:
            raise Unusual
        columns = reading.names(first[0])
        if header:
            del first[0]
        yield PlainTable(found, columns, _fitting(chain([first], records), len(columns)))


def _texts(sample: str, stream: TextIO) -> Iterator[io.StringIO]:
    """All the text in pieces that end with a line, as what gives its lines."""
    rest = sample
    while True:
        try:
            more = stream.read(_BLOCK_CHARS)
        except UnicodeError as error:
            raise Unusual from error
        if not more:
            yield io.StringIO(rest, newline="")
            return
        # Only the line that `rest` begins can be too long: the others are shorter than a block.
        if "\0" in more or len(rest) + more.find("\n") + 1 >= LINE_CHARS_MAX:
            raise Unusual
        text = rest + more
        end = text.rfind("\n") + 1
        if not end and len(text) >= LINE_CHARS_MAX:
            raise Unusual
        rest = text[end:]
        if end:
            yield io.StringIO(text[:end], newline="")


def _records(reader: "Iterator[list[str]]", rows: int) -> Iterator[list[list[str]]]:
    """Blocks of records, without those of empty lines."""
    last: list[str] = []
    while True:
        try:
            block = list(islice(reader, rows))
        except csv.Error as error:
            raise Unusual from error
        if not block:
            break
        last = block[-1]
        if not all(block):
            block = [record for record in block if record]
        if block:
            yield block
    if last:
        raise Unusual


def _fitting(blocks: Iterator[list[list[str]]], wanted: int) -> Iterator[list[list[str]]]:
    for block in blocks:
        if not set(map(len, block)) <= {wanted}:
            raise Unusual
        if block:
            yield block
