"""Checksums of rows: whether what is read is what was written. Pure. No protection against intent."""

import zlib


def row_sum(table: str, *fields: object) -> int:
    """Return the checksum of a row: CRC-32, of zlib, over its table and fields. Bytes count as they are.

    Example: `row_sum("names", "report", 7) != row_sum("names", "report", 8)`.
    """
    found = zlib.crc32(table.encode())
    for field in fields:
        if isinstance(field, bytes):
            found = zlib.crc32(field, zlib.crc32(b"b\0", found))
        else:
            found = zlib.crc32(f"{field!r}\0".encode("utf-8", "surrogatepass"), found)
    return found
