"""The artifact seam: bodies by content, what refers to them, and where they came from."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import BinaryIO, Final, Literal, NamedTuple, Protocol, Self, TypeAlias

import msgspec

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.integers import INTEGER_MAX
from symphony.ports.values import ArtifactRef, Digest

LABEL_CHARS_MAX: Final = 200
LABEL_HINT: Final = f"use 1 to {LABEL_CHARS_MAX} characters without control characters"
NAME_HINT: Final = f"{LABEL_HINT} or @: report@2 is version 2 of report"
LATEST: Final = "latest"
"""In the place of a tag: the newest version."""
_CONTROL: Final = r"[\x00-\x1f\x7f\ud800-\udfff]"


def is_label(text: str) -> bool:
    """True if `text` can be the content type of an artifact, or the name that an earlier version gave it."""
    return 0 < len(text) <= LABEL_CHARS_MAX and re.search(_CONTROL, text) is None


def is_name(text: str) -> bool:
    """True if an artifact may be given this name. Earlier versions allowed `@`: such names can be read."""
    return is_label(text) and "@" not in text


class ArtifactMissing(SymphonyError):
    """No stored body has this digest, digest prefix or name."""

    code = "artifact-missing"


class ArtifactCorrupt(SymphonyError):
    """The body stored under a digest is not the one that was put there."""

    code = "artifact-corrupt"


class ArtifactTampered(ArtifactCorrupt):
    """The body is encrypted, and somebody has changed what is stored of it. No accident looks like that."""

    code = "artifact-tampered"


class ArtifactAmbiguous(SymphonyError):
    """Several stored bodies begin with this digest prefix; `details["digests"]` lists some."""

    code = "artifact-ambiguous"


class ArtifactDeleted(ArtifactMissing):
    """This version was stored once, and its body has been deleted since. Its number is not given again."""

    code = "artifact-deleted"


class StorageFull(IoFailed):
    """No room is left, or a quota or limit of the system is reached. Nothing half-written stays."""

    code = "storage-full"


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """The origin of one output. `inputs` maps input names to digests of their values.

    `parameters` says what else made it, for people, secrets hidden: the command, the settings of the operator
    or model under their names, literal inputs as `inputs.NAME`. Earlier versions recorded none.
    """

    run_id: str
    node: str
    port: str
    operator: str
    version: str
    inputs: Mapping[str, str] = {}
    model: str | None = None
    parameters: Mapping[str, str] = {}
    created_at: float = 0.0


class Rating(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How good somebody (`by`) finds an artifact, from 0 to 1. `name` is how they named the artifact.

    Only the newest rating of each rater counts. A `score` of None withdraws what they said before.
    """

    score: float | None
    by: str = ""
    note: str = ""
    name: str = ""
    at: float = 0.0


class ArtifactVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a name: `number` counts from 1, is never given again, and always means one body.

    `run_id`, `node` and `port` tell which run made it; they are None and empty if a person did. `parents` are
    the artifacts that a person said it was made of. `tags` can move from one version of the name to another.
    """

    name: str
    number: int
    digest: Digest
    size: int
    content_type: str
    created_at: float = 0.0
    run_id: str | None = None
    node: str = ""
    port: str = ""
    note: str = ""
    parents: Sequence[Digest] = ()
    tags: Sequence[str] = ()
    deleted: bool = False
    """Whether the body is gone."""

    @property
    def label(self) -> str:
        """Return `NAME@NUMBER`."""
        return f"{self.name}@{self.number}"


RECORDED_MAX: Final = 1_000
"""So many links and names of one body are in its record."""


class ArtifactRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The record of one artifact in the index: the newest name first, provenance, ratings by rater.

    A body that many runs have made has the provenance of the first `RECORDED_MAX` links, and as many of its
    newest names. What keeps a body, and what a run has made, counts all of them.

    `labels` are the names with the number of the newest version that is this body, such as `report@3`.
    `version` is the one that was asked for, if it was asked for by a name.
    """

    digest: Digest
    size: int
    content_type: str
    names: Sequence[str] = ()
    created_at: float = 0.0
    provenance: Sequence[Provenance] = ()
    ratings: Sequence[Rating] = ()
    labels: Sequence[str] = ()
    version: ArtifactVersion | None = None


ArtifactOrder: TypeAlias = Literal["newest", "oldest", "largest", "smallest", "name"]


class ArtifactFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which artifacts a list shows: those with one of `names`, all `tags`, one of `types` and one of `runs`.

    Names and types are patterns with `*`, `?` and `[…]`, where `*` also means slashes. A type without
    parameters fits one with some. `since_s` and `until_s` are when the content was first stored, in seconds
    since the epoch.
    """

    names: Sequence[str] = ()
    tags: Sequence[str] = ()
    types: Sequence[str] = ()
    runs: Sequence[str] = ()
    since_s: float | None = None
    until_s: float | None = None
    order: ArtifactOrder = "newest"


class Derivation(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact, `digest`, that was made of another one.

    `by` says which node made it, and `inputs` which of its inputs the other one was. Where a person said so,
    `by` is None and `version` the one that was stored then.
    """

    digest: Digest
    by: Provenance | None = None
    inputs: Sequence[str] = ()
    version: ArtifactVersion | None = None


class Collected(NamedTuple):
    """The objects and bytes that a collection has deleted."""

    objects: int
    bytes: int


class ArtifactWriter(Protocol):
    """A body that arrives piece by piece, of any length. Until `commit`, nothing of it is in the store.

    Leaving its `with` block without a commit discards it. One thread at a time.
    """

    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def write(self, chunk: bytes) -> None: ...
    def commit(self) -> ArtifactRef:
        """Store what was written, durably, under its digest. Once only."""
        ...


class ArtifactRanges(Protocol):
    """Reads parts of one body, of `size` bytes, in any order. One thread at a time."""

    @property
    def size(self) -> int: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *error: object) -> None: ...
    def read(self, start: int, length: int) -> bytes:
        """Return the bytes from `start` on, `length` of them or as many as there are. Raises
        ArtifactCorrupt.
        """
        ...


class ArtifactStore(Protocol):
    """Bytes by content. Every adapter passes tests/contracts/test_artifact_store.py.

    Blocking and thread-safe: the engine calls it from worker threads. A body is durable when `put`
    returns, or, without `durable`, when `settle` does, which serves many bodies and links at once; this
    process may read it in between. Reads are verified: a body that no longer matches its digest raises
    `ArtifactCorrupt`; one that is not there, `ArtifactMissing`.

    How and where a body is kept is up to the adapter: there is no path to it. A caller that needs a
    file copies the body into one.
    """

    def put(
        self,
        body: bytes,
        *,
        content_type: str,
        name: str | None = None,
        encoding: str = "bytes",
        durable: bool = True,
    ) -> ArtifactRef: ...
    def put_stream(self, stream: BinaryIO, *, content_type: str, name: str | None = None) -> ArtifactRef:
        """Store all that `stream` yields, in little memory."""
        ...

    def writer(self, *, content_type: str, name: str | None = None) -> ArtifactWriter:
        """Return a writer for a body that arrives in pieces: from the network, from an asynchronous
        iterator.
        """
        ...

    def add_version(
        self,
        stream: BinaryIO,
        *,
        name: str,
        content_type: str,
        note: str = "",
        parents: Sequence[Digest] = (),
        tags: Sequence[str] = (),
    ) -> ArtifactVersion:
        """Store all that `stream` yields as a version of `name`, with what a person says of it, and tag it.

        Raises ArtifactMissing if a parent is not there.
        """
        ...

    def versions(self, name: str, *, limit: int = 100, before: int = INTEGER_MAX) -> list[ArtifactVersion]:
        """Return versions of a name, the newest first, those with a number less than `before`.

        A put of what the newest version already is, by body and content type, adds none, unless it has a note
        or parents. Versions whose body was deleted are among them. Unknown names have none.
        """
        ...

    def versions_of(self, digest: Digest, *, limit: int = 100) -> list[ArtifactVersion]:
        """Return the versions, of any name, that have this body, the newest first."""
        ...

    def derived(self, digest: Digest, *, limit: int = 100) -> list[Derivation]:
        """Return what was made of a body directly: by nodes that had it as an input, and as people said.

        A part of it, or a text with it inside, is another value, and what is made of that is not found.
        """
        ...

    def sources(self, value: str) -> list[Digest]:
        """Return the bodies that are this value, by the digest that provenance has of an input."""
        ...

    def sources_of(self, values: Collection[str]) -> set[Digest]:
        """Return the bodies that are any of these values: quicker than `sources` for each of them."""
        ...

    def users(self, digest: Digest, *, limit: int = 100) -> set[str]:
        """Return runs in which something was made of a body directly, the body's own run too; up to `limit`.

        In a body of which more than 10,000 others were made, those are looked at that were made first.
        """
        ...

    def made_by(self, run_id: str, *, limit: int = 1000) -> list[Derivation]:
        """Return what a run refers to, each with how it was made."""
        ...

    def tag(self, name: str, number: int, tag: str) -> int | None:
        """Give a version a tag, durably; return the version of the name that had it before, if any.

        A body with a tag is kept. Raises ArtifactMissing.
        """
        ...

    def untag(self, name: str, tag: str) -> int:
        """Take a tag away, durably; return the version that had it. Raises ArtifactMissing."""
        ...

    def get(self, digest: Digest) -> bytes: ...
    def open(self, digest: Digest) -> BinaryIO:
        """Return a body from its beginning to its end, in little memory."""
        ...

    def peek(self, digest: Digest, length: int) -> bytes:
        """Return the first `length` bytes of a body, or all of it, verified then.

        A look does not count as use: it neither keeps the body nor takes it out of the trash.
        """
        ...

    def ranges(self, digest: Digest) -> ArtifactRanges:
        """Return a body to be read in parts, in little memory. Raises ArtifactCorrupt here or where it
        is read.
        """
        ...

    def size(self, digest: Digest) -> int | None:
        """Return the bytes of a body, or None if it is not there. Neither verifies nor keeps it."""
        ...

    def holds(self, ref: ArtifactRef) -> bool:
        """True if the body is there; it is then kept from collection for a while."""
        ...

    def require_room(self) -> None:
        """Raise StorageFull if there is no room for any further body."""
        ...

    def find(self, digest_or_name: str) -> ArtifactRecord:
        """Find an artifact by digest, by unambiguous digest prefix (8 or more digits), by name (its newest),
        or by `NAME@NUMBER`, `NAME@TAG` or `NAME@latest`: in this order, which finds old names with an `@`.
        """
        ...

    def records(self, *, limit: int = 100, where: ArtifactFilter | None = None) -> Iterator[ArtifactRecord]:
        """Return the records, what was put last first. `where` chooses and orders them."""
        ...

    def link(self, ref: ArtifactRef, provenance: Provenance, *, durable: bool = True) -> None:
        """Record that a run refers to `ref`, its sealed body included, and how it came to be."""
        ...

    def settle(self) -> None:
        """Return once all that was put and linked before is durable. Raises StorageFull, IoFailed."""
        ...

    def rate(self, digest: Digest, rating: Rating) -> None:
        """Record, durably, how good somebody finds a body. Raises ArtifactMissing, ValidationFailed."""
        ...

    def unlink_run(self, run_id: str) -> None:
        """Forget the references of a deleted run; bodies without any are collected later."""
        ...

    def collect(self, min_age_s: float = 3600.0) -> Collected:
        """Delete bodies that nobody refers to and that were last put `min_age_s` seconds ago or more.

        The age protects a body between its `put` and its `link`, in any process.
        """
        ...
