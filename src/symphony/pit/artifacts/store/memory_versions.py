"""The versions and tags of a store in memory."""

from collections.abc import Callable

import msgspec

from symphony.commons.integers import INTEGER_MAX
from symphony.pit.artifacts.metadata.numbering import Made, Newest, Numbering
from symphony.pit.artifacts.metadata.records import Linked, Put
from symphony.ports.artifacts import ArtifactVersion, Provenance
from symphony.ports.retention import StoredName
from symphony.ports.values import Digest


class MemoryVersions:
    """Versions by name, counted from 1. Not thread-safe.

    `present` tells whether a body is there, `findable` whether it is there and not in the trash.
    """

    def __init__(self, present: Callable[[Digest], bool], findable: Callable[[Digest], bool]) -> None:
        self._present, self._findable = present, findable
        self._names: dict[str, list[ArtifactVersion]] = {}
        self._of_bodies: dict[Digest, dict[tuple[str, int], None]] = {}  # what was put last is the last
        self._tags: dict[str, dict[str, int]] = {}
        self._made: Made = {}

    def put(self, put: Put, *, by_hand: bool) -> int:
        """Take in a put under a name, before its body is there; return the number of its version."""
        numbering = Numbering(self._newest, 0, self._made)
        (numbered,) = numbering.numbered((put,), by_hand=by_hand)
        numbering.settle()
        assert isinstance(numbered, Put)
        assert put.name is not None
        assert numbered.version is not None
        versions = self._names.setdefault(put.name, [])
        if numbered.version > len(versions):
            versions.append(
                ArtifactVersion(
                    name=put.name, number=numbered.version, digest=put.digest, size=put.size,
                    content_type=put.content_type, created_at=put.at, note=put.note, parents=put.parents,
                )
            )  # fmt: skip
        of_body = self._of_bodies.setdefault(put.digest, {})
        of_body.pop((put.name, numbered.version), None)
        of_body[put.name, numbered.version] = None
        return numbered.version

    def claim(self, name: str, digest: Digest, by: Provenance) -> None:
        """Have the run make the versions that its puts have made."""
        numbering = Numbering(self._newest, 0, self._made)
        (linked,) = numbering.numbered((Linked(digest, by, name, 1),))
        numbering.settle()
        assert isinstance(linked, Linked)
        for number in linked.versions or ():
            version = self._names[name][number - 1]
            self._names[name][number - 1] = msgspec.structs.replace(
                version, run_id=by.run_id, node=by.node, port=by.port
            )

    def tag(self, name: str, number: int, tag: str) -> int | None:
        """Give a version a tag; return the version that had it before, if another one had it."""
        tags = self._tags.setdefault(name, {})
        before, tags[tag] = tags.get(tag), number
        return None if before == number else before

    def untag(self, name: str, tag: str) -> None:
        """Take a tag away."""
        del self._tags[name][tag]

    def tags_of(self, digest: Digest) -> frozenset[str]:
        """Return the tags that versions with this body have."""
        found = self._of_bodies.get(digest, {})
        return frozenset(
            tag
            for name, number in found
            for tag, tagged in self._tags.get(name, {}).items()
            if tagged == number
        )

    def names_of(self, digest: Digest, given: Callable[[str], bool]) -> tuple[StoredName, ...]:
        """Return the names of a body; `given` tells which of them somebody outside of a run gave."""
        newest = dict[str, int]()
        for name, number in self._of_bodies.get(digest, {}):
            newest[name] = max(number, newest.get(name, 0))
        return tuple(
            StoredName(
                name, given(name),
                len({one.digest for one in self._names[name][number:] if self._present(one.digest)}), number,
            )
            for name, number in newest.items()
        )  # fmt: skip

    # -- questions, as `finding.KnownVersions` has them

    def of_name(self, name: str, limit: int, before: int = INTEGER_MAX) -> list[ArtifactVersion]:
        """Return versions of a name, the newest first."""
        found = reversed(self._names.get(name, [])[: max(before - 1, 0)])
        return [self._shown(version) for version, _ in zip(found, range(limit), strict=False)]

    def of_body(self, digest: Digest, limit: int) -> list[ArtifactVersion]:
        """Return the versions that have a body, those put last first."""
        found = list(reversed(self._of_bodies.get(digest, {})))[:limit]
        return [self._shown(self._names[name][number - 1]) for name, number in found]

    def children(self, parent: Digest) -> list[ArtifactVersion]:
        """Return the versions whose parent a person said this body is."""
        every = (version for versions in self._names.values() for version in versions)
        return [self._shown(version) for version in every if parent in version.parents]

    def newest_of(self, name: str, digest: Digest) -> int:
        """Return the newest version of a name that has this body."""
        return max(number for named, number in self._of_bodies[digest] if named == name)

    def newest_present(self, name: str) -> ArtifactVersion | None:
        """Return the newest version of a name whose body is there, and not in the trash."""
        versions = reversed(self._names.get(name, []))
        found = (version for version in versions if self._findable(version.digest))
        return next(map(self._shown, found), None)

    def one(self, name: str, number: int) -> ArtifactVersion | None:
        """Return one version, if it was ever made."""
        versions = self._names.get(name, [])
        return self._shown(versions[number - 1]) if 0 < number <= len(versions) else None

    def tags(self, name: str) -> dict[str, int]:
        """Return the tags of a name, each with the number of the version that has it."""
        return dict(self._tags.get(name, {}))

    def _newest(self, name: str) -> Newest | None:
        versions = self._names.get(name)
        if not versions:
            return None
        last = versions[-1]
        return Newest(last.number, last.digest, last.content_type, self._present(last.digest), 0)

    def _shown(self, version: ArtifactVersion) -> ArtifactVersion:
        tags = sorted(tag for tag, number in self.tags(version.name).items() if number == version.number)
        deleted = not self._present(version.digest)
        return msgspec.structs.replace(version, tags=tuple(tags), deleted=deleted)
