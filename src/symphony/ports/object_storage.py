"""The seam to object storage: files that never change, under names, in a directory or in a bucket.

A user names such a place by its address: a path (`/archive/symphony`) or `s3://BUCKET/PREFIX`.
`symphony.app.object_storage.storage_at(address, config)` opens it. Packs that leave the home go there, whole:

    storage.put("packs/0123.pack", stream)       # create if absent; durable when it returns
    storage.read("packs/0123.pack", 4096, 512)   # a part of it
    storage.size("packs/0123.pack")              # None if it is absent
    storage.list("packs")                        # every name below packs/, with sizes
    storage.delete("packs/0123.pack")            # no error if it is absent
    storage.check()                              # raises what is wrong with the place

There is no way to change a file, so several homes may share a place as long as each deletes only what is its
own. Give files names that nobody else gives.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple, Protocol

from symphony.commons.errors import IoFailed, SymphonyError, ValidationFailed

NAME_CHARS_MAX: Final = 200
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*", re.ASCII)


class ObjectMissing(SymphonyError):
    """The place has no file of this name."""

    code = "object-missing"


class ObjectExists(SymphonyError):
    """The place has another file of this name. It was not changed."""

    code = "object-exists"


class StorageUnreachable(IoFailed):
    """The place did not answer, or answered that it cannot now. The same call may succeed later."""

    code = "storage-unreachable"


class StorageRefused(IoFailed):
    """The place is not there, or does not let us in. Until somebody changes that, every call fails."""

    code = "storage-refused"


class StoredObject(NamedTuple):
    """A file in a place, and its bytes."""

    name: str
    size: int


class ObjectStorage(Protocol):
    """Files that never change. Every adapter passes tests/contracts/test_object_storage.py.

    Blocking and thread-safe. Names are letters, digits, `.`, `_`, `-`, in folders separated by `/`; see
    `check_object_name`. A call that fails for a moment is tried again within it. Errors of every call:
    StorageUnreachable, StorageRefused; ValidationFailed for names.
    """

    @property
    def address(self) -> str:
        """What the user calls the place, without secrets."""
        ...

    def put(self, name: str, stream: BinaryIO) -> None:
        """Store all of `stream`, which can seek, from its beginning. Durable when this returns.

        Until then there is no such file, or all of it is there: never a part. The same bytes again are no
        error, so a put whose answer was lost can be repeated. Raises ObjectExists, StorageFull, IoFailed.
        """
        ...

    def read(self, name: str, start: int, length: int) -> bytes:
        """Return the bytes from `start` on, fewer only where the file ends. Raises ObjectMissing."""
        ...

    def size(self, name: str) -> int | None:
        """Return the bytes of a file, or None if it is absent."""
        ...

    def list(self, folder: str = "") -> Iterator[StoredObject]:
        """Yield every file below a folder, or of the place, in the order of names."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file. It is no error if it is absent."""
        ...

    def check(self) -> None:
        """Raise what is wrong with the place, if anything. Writes nothing."""
        ...


def check_object_name(name: str) -> str:
    """Return `name` if a file in object storage can have it. Raises ValidationFailed."""
    if len(name) > NAME_CHARS_MAX or _NAME.fullmatch(name) is None:
        raise ValidationFailed(
            f"{name[:NAME_CHARS_MAX]!r} cannot be the name of a stored object",
            details={"field": "name"},
            hint=f"use at most {NAME_CHARS_MAX} letters, digits, '.', '_' and '-', with '/' between folders; "
            "no part begins with '.'",
        )
    return name


def absent_object(address: str, name: str) -> ObjectMissing:
    """Return the error that there is no such file."""
    return ObjectMissing(
        f"{address} has no {name}",
        details={"address": address, "name": name},
        hint="somebody deleted it, or this is another place than the one it was stored in",
    )


def object_exists(address: str, name: str) -> ObjectExists:
    """Return the error that the name is taken."""
    return ObjectExists(
        f"{address} has another {name} already: it was not changed",
        details={"address": address, "name": name},
        hint="store it under another name",
    )
