"""What is known of an artifact besides its body, and what the index has of it. Pure values."""

from collections.abc import Mapping, Sequence

import msgspec

from symphony.ports.artifacts import ArtifactRecord, ArtifactVersion
from symphony.ports.search import Quality
from symphony.ports.values import Digest


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an artifact.

    `uses`: how many later runs read it; None if that is unknown. `ended`: the runs that made it and have
    ended, with whether they succeeded.
    """

    record: ArtifactRecord
    versions: Sequence[ArtifactVersion] = ()
    uses: int | None = None
    ended: Mapping[str, bool] = {}

    @property
    def tags(self) -> list[str]:
        """Return the tags of all versions that are this body, each once."""
        return sorted({tag for one in self.versions for tag in one.tags})


class StoredHit(msgspec.Struct, frozen=True, array_like=True):
    """What the index gives back of an artifact that was found."""

    record: ArtifactRecord
    quality: Quality
    tags: Sequence[str] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact as the index has it. `print` changes whenever anything else here would.

    `told` is a StoredHit in MessagePack.
    """

    digest: Digest
    texts: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[str]]
    numbers: Mapping[str, float | None]
    told: bytes
    print: int

    @property
    def bytes(self) -> int:
        """Return about how much text it has."""
        return sum(len(text) for texts in self.texts.values() for text in texts)
