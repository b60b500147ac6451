"""Artifacts as they are typed: a digest, the beginning of one, or a name."""

from collections.abc import Callable, Sequence
from typing import Final, cast

from symphony.commons.errors import SymphonyError
from symphony.ports.artifacts import (
    ArtifactFilter,
    ArtifactMissing,
    ArtifactOrder,
    ArtifactRecord,
    ArtifactStore,
    ArtifactVersion,
)
from symphony.ports.retention import ArtifactTrashed
from symphony.ports.values import Digest

_NAMES_MAX: Final = 1000


def versions_of(store: ArtifactStore, name: str, limit: int) -> Sequence[ArtifactVersion]:
    """Return versions of a name, the newest first. Raises ArtifactMissing, with a name that is near."""
    return store.versions(name, limit=limit) or store.versions(_named(store, name), limit=limit)


def _named(store: ArtifactStore, typed: str) -> str:
    """Return the name in `NAME@NUMBER`. Raises ArtifactMissing also for a digest."""
    version = found(store, typed).version
    if version is None:
        raise ArtifactMissing(
            f"{typed} is no name", hint="versions are of names: symphony artifacts show tells them"
        )
    return version.name


def found(store: ArtifactStore, typed: str) -> ArtifactRecord:
    """Return the artifact that was meant.

    Raises ArtifactMissing, with a name that is near if there is one, and as `ArtifactStore.find`.
    """
    try:
        return store.find(typed)
    except ArtifactMissing as missing:
        if "name" in missing.details or isinstance(
            missing, ArtifactTrashed
        ):  # it is known, and the hint says what there is of it
            raise
        from symphony.workflow.problems import did_you_mean

        otherwise = missing.hint or ""
        try:
            known = dict.fromkeys(name for record in store.records(limit=_NAMES_MAX) for name in record.names)
        except SymphonyError:
            raise missing from None
        missing.hint = did_you_mean(typed, known, otherwise)
        raise


def in_trash(store: ArtifactStore, typed: str) -> Digest:
    """Return the artifact of the trash that was meant.

    Raises ArtifactMissing, and SymphonyError `not-trashed`.
    """
    try:
        found(store, typed)
    except ArtifactTrashed as trashed:
        return Digest(str(trashed.details["digest"]))
    raise SymphonyError(f"{typed} is not in the trash", code="not-trashed", hint="it is stored as ever")


def chosen(
    *,
    names: Sequence[str],
    tags: Sequence[str],
    types: Sequence[str],
    runs: Sequence[str],
    since: str | None,
    until: str | None,
    order: str,
    now: Callable[[], float],
) -> ArtifactFilter | None:
    """Return what a list is to show; None for everything, newest first. Raises BadUsage."""
    from symphony.cli.arguments.choosing import moment_s

    found = ArtifactFilter(
        names=names, tags=tags, types=types, runs=runs,
        since_s=None if since is None else moment_s(since, "--since", now),
        until_s=None if until is None else moment_s(until, "--until", now, end=True),
        order=cast(ArtifactOrder, order),
    )  # fmt: skip
    plain = not (names or tags or types or runs or since or until) and order == "newest"
    return None if plain else found
