"""Data sets in Parquet, with the extra `parquet`."""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import BinaryIO, Final

_ROWS: Final = 1_000


def write(rows: Iterator[Mapping[str, object]], stream: BinaryIO) -> None:
    """Write rows in groups of a thousand, compressed with zstd. Raises ImportError without the extra.

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
        while group := list(islice(rows, _ROWS)):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))
