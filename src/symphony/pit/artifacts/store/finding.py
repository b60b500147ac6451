"""Which version a text means, given what is known of versions: one rule for every store. Pure."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from symphony.pit.artifacts.base.naming import VersionedName, normal, parsed
from symphony.pit.artifacts.base.rules import deleted, missing, no_version, tags_known, trashed
from symphony.ports.artifacts import ArtifactMissing, ArtifactVersion
from symphony.ports.values import Digest

_TRASHED_MAX: Final = 100
"""So many versions of a name are looked at for one that is in the trash."""


class KnownVersions(Protocol):
    """The versions and tags of a store."""

    def of_name(self, name: str, limit: int) -> Sequence[ArtifactVersion]:
        """Return versions of a name, the newest first."""
        ...

    def newest_present(self, name: str) -> ArtifactVersion | None:
        """Return the newest version of a name whose body is there, and not in the trash."""
        ...

    def one(self, name: str, number: int) -> ArtifactVersion | None:
        """Return one version, if it was ever made."""
        ...

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a name, each with the number of the version that has it."""
        ...


def called(known: KnownVersions, name: str) -> str:
    """Return a name as it is stored: as it is given if there is one, else in its normal form."""
    return name if known.of_name(name, 1) else normal(name)


def meant(
    known: KnownVersions, text: str, is_trashed: Callable[[Digest], bool] = lambda _: False
) -> ArtifactVersion:
    """Return the version that `text` means, whose body is there. Raises ArtifactMissing, ArtifactTrashed."""
    for named in parsed(text):
        version = _version(known, named)
        if version is None and named.number is None and named.tag is None:
            versions = known.of_name(named.name, _TRASHED_MAX)
            version = next((one for one in versions if not one.deleted and is_trashed(one.digest)), None)
        if version is not None and not version.deleted and is_trashed(version.digest):
            raise trashed(version.label, version.digest)
        if version is not None and version.deleted:
            raise deleted(version.label)
        if version is not None:
            return version
    raise _unknown(known, text)


def numbered(known: KnownVersions, name: str, number: int) -> ArtifactVersion:
    """Return a version of `name`, whose body is there. Raises ArtifactMissing."""
    version = known.one(called(known, name), number)
    if version is None:
        raise _unknown(known, f"{name}@{number}")
    if version.deleted:
        raise deleted(version.label)
    return version


def tagged(known: KnownVersions, name: str, tag: str) -> int:
    """Return the version of `name`, as it is stored, that has a tag. Raises ArtifactMissing."""
    tags = known.tags(name)
    if tag not in tags:
        raise no_version(name, tag, tags_known(tags)) if known.of_name(name, 1) else missing(name)
    return tags[tag]


def _version(known: KnownVersions, named: VersionedName) -> ArtifactVersion | None:
    name, number, tag = named
    if number is None and tag is None:
        return known.newest_present(name)
    if tag is not None:
        number = known.tags(name).get(tag)
    return None if number is None else known.one(name, number)


def _unknown(known: KnownVersions, text: str) -> ArtifactMissing:
    """Return the error for what no artifact is called: if its name is known, with what there is of it."""
    for name, number, tag in parsed(text):
        newest = known.of_name(name, 1)
        if newest and number is None and tag is None:
            return deleted(newest[0].label)
        if newest and number is not None:
            return no_version(name, str(number), f"its newest version is {newest[0].number}")
        if newest and tag is not None:
            return no_version(name, tag, tags_known(known.tags(name)))
    return missing(text)
