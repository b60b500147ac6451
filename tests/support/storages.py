"""A stand-in for object storage: in memory, can be away, and tells what was asked of it."""

import threading
from collections.abc import Iterator
from typing import BinaryIO

from symphony.ports.object_storage import (
    StorageUnreachable,
    StoredObject,
    absent_object,
    check_object_name,
    object_exists,
)


class FakeStorage:
    """`symphony.ports.object_storage.ObjectStorage` in memory.

    `away`: every call raises StorageUnreachable. `calls`: what was asked, as `put packs/1`.
    """

    address = "s3://fake/place"

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.calls: list[str] = []
        self.away = False
        self._mutex = threading.Lock()

    def put(self, name: str, stream: BinaryIO) -> None:
        self._called("put", name)
        stream.seek(0)
        body = stream.read()
        with self._mutex:
            if self.objects.setdefault(name, body) != body:
                raise object_exists(self.address, name)

    def read(self, name: str, start: int, length: int) -> bytes:
        self._called("read", name)
        try:
            return self.objects[name][start : start + length]
        except KeyError:
            raise absent_object(self.address, name) from None

    def size(self, name: str) -> int | None:
        self._called("size", name)
        found = self.objects.get(name)
        return None if found is None else len(found)

    def list(self, folder: str = "") -> Iterator[StoredObject]:
        if folder:
            check_object_name(folder)
        self._called("list")
        prefix = f"{folder}/" if folder else ""
        yield from [
            StoredObject(name, len(body))
            for name, body in sorted(self.objects.items())
            if name.startswith(prefix)
        ]

    def delete(self, name: str) -> None:
        self._called("delete", name)
        self.objects.pop(name, None)

    def check(self) -> None:
        self._called("check")

    def _called(self, what: str, name: str | None = None) -> None:
        self.calls.append(what if name is None else f"{what} {check_object_name(name)}")
        if self.away:
            raise StorageUnreachable(f"{self.address} does not answer", hint="try again")
