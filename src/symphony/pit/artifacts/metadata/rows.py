"""Queries of an index's tables, whose rows carry checksums."""

import sqlite3
from pathlib import Path
from typing import TypeVar

import msgspec

from symphony.pit.artifacts.base.database import DatabaseBroken, database_errors

T = TypeVar("T")
S = TypeVar("S", bound=tuple[object, ...])


def require_sound(sound: object) -> None:
    """Raises DatabaseBroken unless the comparison of a checksum gave 1; it is null where there is none."""
    if sound != 1:
        raise DatabaseBroken("a row does not match its checksum")


class IndexRows:
    """The tables of one connection. Not thread-safe.

    Every method raises `DatabaseBroken` if the file turns out to be damaged; StorageFull, IoFailed.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path | None) -> None:
        self.connection, self._path = connection, path

    def all(self, kind: type[T], query: str, *arguments: str | int | float | bytes) -> list[T]:
        """Return the rows of a query, each converted to `kind`."""
        with database_errors(f"read {self._path}"):
            rows = self.connection.execute(query, arguments).fetchall()
            return [msgspec.convert(row, kind) for row in rows]

    def sound(self, kind: type[S], query: str, *arguments: str | int | float | bytes) -> list[S]:
        """Return rows whose last column says whether they match their checksums. Raises DatabaseBroken."""
        found = self.all(kind, query, *arguments)
        for row in found:
            require_sound(row[-1])
        return found

    def write(self, statement: str, *arguments: str | int | float | bytes | None) -> int:
        """Run a statement; return how many rows it changed. Its errors are the caller's transaction's."""
        return self.connection.execute(statement, arguments).rowcount
