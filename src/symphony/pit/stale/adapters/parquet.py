"""Data sets in Parquet, with the extra `parquet`."""

from collections.abc import Iterator, Mapping
from typing import BinaryIO, Final

_ROWS: Final = 1_000
_CHARS: Final = 16 << 20


def write(rows: Iterator[Mapping[str, object]], stream: BinaryIO) -> None:
    """Write rows in groups, compressed with zstd, in the memory of one. Raises ImportError without the extra.

    A group has a thousand rows, or as many as have 16 Mi characters of text.

    The columns `versions`, `ratings` and `provenance` are JSON.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, number = pa.string(), pa.int64()
    schema = pa.schema(
        [
            ("digest", text), ("size", number), ("content_type", text), ("created_at", text), ("name", text),
            ("version", number), ("tags", pa.list_(text)), ("versions", text), ("quality", pa.float64()),
            ("ratings", text), ("run_id", text), ("node", text), ("operator", text), ("model", text),
            ("provenance", text), ("text", pa.large_string()), ("file", text),
        ]
    )  # fmt: skip
    with pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        for group in groups(rows):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def groups(rows: Iterator[Mapping[str, object]]) -> Iterator[list[Mapping[str, object]]]:
    """Yield the rows in groups of bounded size."""
    group, chars = list[Mapping[str, object]](), 0
    for row in rows:
        group.append(row)
        text = row["text"]
        chars += len(text) if isinstance(text, str) else 0
        if len(group) >= _ROWS or chars >= _CHARS:
            yield group
            group, chars = [], 0
    if group:
        yield group
