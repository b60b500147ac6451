"""What a person stores as a version: its name, what they say of it, and its tags. Pure."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from symphony.pit.artifacts.base.naming import check_note, new_name, new_tag
from symphony.pit.artifacts.base.rules import check_labels
from symphony.pit.artifacts.metadata.records import Put, Record, Tagged
from symphony.ports.values import Digest


class NewVersion(NamedTuple):
    """A version that is to be stored."""

    name: str
    content_type: str
    note: str
    parents: tuple[Digest, ...]
    tags: tuple[str, ...]

    def records(self, digest: Digest, size: int, at: float) -> list[Record]:
        """Return what the log says of it, with this body."""
        put = Put(
            digest, size, self.content_type, self.name, at, note=self.note, parents=self.parents, given=True
        )
        return [put, *(Tagged(self.name, tag, digest, at=at) for tag in self.tags)]


def new_version(
    name: str, content_type: str, note: str, parents: Sequence[Digest], tags: Sequence[str]
) -> NewVersion:
    """Return a version of valid parts, in the form in which they are stored. Raises ValidationFailed."""
    check_labels(None, content_type)
    check_note(note)
    return NewVersion(
        new_name(name), content_type, note, tuple(dict.fromkeys(parents)),
        tuple(dict.fromkeys(map(new_tag, tags))),
    )  # fmt: skip


def number_of(logged: Iterable[Record]) -> int:
    """Return the number that the version of the first put got."""
    put = next(record for record in logged if isinstance(record, Put))
    assert put.version is not None
    return put.version
