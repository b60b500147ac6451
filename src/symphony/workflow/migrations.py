"""Documents of earlier schema versions become documents of this one, version by version. Pure.

A release whose workflow files may have new keys has a new version. That is three things:
`SCHEMA_VERSION` in `model`, one function here that turns a document of the version before into one
of the new version, and one fixture (tests/data/migrations). Every function stays for ever: files
are older than programs. Which keys a version added is in `versions`.
"""

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from symphony.commons.version import __version__
from symphony.workflow.documents.tree import Tree
from symphony.workflow.model import SCHEMA_VERSION

Migration: TypeAlias = Callable[[dict[str, Tree]], dict[str, Tree]]
"""Turns a document of one version into one of the next. It leaves alone what is not as it should
be: reading reports that. It may change what it is given. The key `symphony` is not its business."""


def _as_it_is(document: dict[str, Tree]) -> dict[str, Tree]:
    """From a version to which the next one only added keys."""
    return document


OLDEST: Final = 1
MIGRATIONS: Final[Mapping[int, Migration]] = {1: _as_it_is}
"""By the version that each begins with: one for every version from `OLDEST` up to the one before this."""


def version_of(document: Mapping[str, Tree]) -> Tree:
    """Return the schema version that a document says; one that says none has version 1."""
    return document.get("symphony", 1)


def migrated(
    document: dict[str, Tree],
    migrations: Mapping[int, Migration] = MIGRATIONS,
    *,
    current: int = SCHEMA_VERSION,
) -> dict[str, Tree] | None:
    """Return `document` in the version `current`; None if it is of a version that nobody here knows."""
    version = version_of(document)
    if type(version) is not int or version > current:
        return None
    for step in range(version, current):
        if step not in migrations:
            return None
        document = migrations[step](dict(document))
    return document if version == current else {**document, "symphony": current}


def wanted(version: Tree) -> str:
    """Return what to do about a document of this version, which `migrated` refuses."""
    known = " or ".join(map(str, range(OLDEST, SCHEMA_VERSION + 1)))
    if type(version) is int and version > SCHEMA_VERSION:
        return f"install a newer Symphony: this is {__version__}, which reads version {known}"
    return f"write symphony: {known}, without quotes, or remove the key"
