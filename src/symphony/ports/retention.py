"""What stays in a home and what goes: facts about artifacts, verdicts, and a store that has a trash."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol

import msgspec

from symphony.ports.artifacts import ArtifactMissing, ArtifactRecord, ArtifactStore, Collected
from symphony.ports.values import Digest


class ArtifactTrashed(ArtifactMissing):
    """The artifact is in the trash. Its body is there until the trash is swept."""

    code = "artifact-trashed"


class Tier(StrEnum):
    """How an artifact lies: as it was stored, compressed together with others, or that and outside."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class StoredName(msgspec.Struct, frozen=True):
    """One name of an artifact. `newer`: how many other artifacts got this name later.

    `given`: somebody outside of any run gave it. `version`: the number of its newest version that the
    artifact is; 0 if that is not known.
    """

    name: str
    given: bool = False
    newer: int = 0
    version: int = 0

    @property
    def label(self) -> str:
        """Return `NAME@NUMBER`."""
        return f"{self.name}@{self.version}" if self.version else self.name


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one artifact that bears on its retention. Times are seconds since the epoch.

    `put_at`: when it was last put. `uses`: how often it was read, once an hour at most, since
    `counted_since`. None where something is not known: nobody has counted, nobody has judged it.
    """

    digest: Digest
    size: int = 0
    content_type: str = "application/octet-stream"
    put_at: float = 0.0
    names: Sequence[StoredName] = ()
    runs: frozenset[str] = frozenset()
    """Runs that refer to it."""
    pinned: bool = False
    uses: int | None = None
    used_at: float | None = None
    counted_since: float | None = None
    tags: frozenset[str] | None = None
    quality: float | None = None
    tier: Tier = Tier.HOT
    trashed_at: float | None = None
    restored_at: float | None = None

    @property
    def needed(self) -> bool:
        """True if a run refers to it, it has a tag, or somebody outside of a run has named it."""
        return bool(self.runs or self.tags) or any(name.given for name in self.names)

    @property
    def kept(self) -> bool:
        """True if it is needed or pinned: it stays unless a rule says otherwise."""
        return self.pinned or self.needed


class TierVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """In which tier an artifact should be, and the rule that decided, with the reason in words."""

    standing: Standing
    tier: Tier
    rule: str
    why: str

    @property
    def moves(self) -> bool:
        """True if it is in another one."""
        return self.tier is not self.standing.tier


class Tiering(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a look at the tiers of all artifacts, or, if `dry_run`, what it would be.

    `verdicts`: on those that should move, or, if `dry_run`, on all.
    `moved`: those that are in another tier now. `before` and `after`: bytes on the disk by tier. `damaged`:
    lines of the store's records that cannot be read; nothing is moved then.
    """

    verdicts: Sequence[TierVerdict] = ()
    moved: Collected = Collected(0, 0)
    before: Mapping[Tier, int] = msgspec.field(default_factory=dict[Tier, int])
    after: Mapping[Tier, int] = msgspec.field(default_factory=dict[Tier, int])
    damaged: int = 0
    dry_run: bool = False


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an artifact stays, and the rule that decided, with the reason in words."""

    digest: Digest
    stays: bool
    rule: str
    why: str
    value: float
    """From 0 to 1: how much it is worth keeping."""


class Standings(NamedTuple):
    """The facts about all artifacts of a store.

    `damaged`: lines of its records that cannot be read. What refers to artifacts may be among them.
    """

    all: Sequence[Standing]
    damaged: int = 0


class StandingPages(msgspec.Struct, frozen=True):
    """The facts about all artifacts of a store, page by page, in the order of their digests.

    `pages` may be called several times, as long as the look at the store is open. `damaged` is as in
    `Standings`.
    """

    pages: Callable[[], Iterator[Sequence[Standing]]]
    damaged: int = 0


class RetainedStore(ArtifactStore, Protocol):
    """An artifact store whose artifacts go through a trash. Adapters pass tests/contracts/test_trash.py.

    What is in the trash is neither found nor listed. It comes back when it is put again, read through
    its digest, or when a run refers to it.
    """

    def standings(self) -> Standings:
        """Return what is known of every artifact. Changes nothing."""
        ...

    def look(self, *, writes: bool = False) -> AbstractContextManager[StandingPages]:
        """Open a look at all artifacts that needs little memory, however many there are.

        It changes nothing unless it `writes`: then it is quicker if something is to be changed afterwards.
        """
        ...

    def about(self, digest: Digest) -> ArtifactRecord:
        """Return what is known of an artifact, which may be in the trash. Raises ArtifactMissing."""
        ...

    def trash(self, found: Iterable[tuple[Standing, str]], *, min_age_s: float = 3600.0) -> Collected:
        """Move artifacts to the trash, each with the reason.

        What has changed since `found`, or was put less than `min_age_s` ago, stays where it is.
        """
        ...

    def restore(self, digests: Iterable[Digest] | None = None) -> Collected:
        """Take artifacts out of the trash; None: all."""
        ...

    def sweep(self, found: Iterable[Standing], *, min_age_s: float = 3600.0) -> Collected:
        """Delete artifacts that are in the trash; what `trash` would leave alone stays in it."""
        ...

    def pin(self, digest: Digest, *, pinned: bool = True) -> bool:
        """Pin an artifact: it stays whatever rules say. Return whether that changed anything.

        Raises ArtifactMissing.
        """
        ...

    def move(
        self,
        found: Sequence[tuple[Standing, Tier, str]],
        *,
        out_of_time: Callable[[], bool] = lambda: False,
    ) -> Collected:
        """Move artifacts to these tiers, each with the reason. Return those that are there now and were not.

        Nothing of them changes but how they lie. Once `out_of_time`, the rest is left. Raises StorageFull,
        IoFailed.
        """
        ...

    def tier_of(self, digest: Digest) -> Tier:
        """Return the tier of an artifact, hot if it is not there."""
        ...

    def tier_sizes(self) -> Mapping[Tier, int]:
        """Return how many bytes are stored in each tier, as they are: compressed, each part once."""
        ...

    def is_pinned(self, digest: Digest) -> bool:
        """Return whether an artifact is pinned."""
        ...

    def make_ready(self) -> None:
        """Ask now for what will be needed to put, such as a passphrase. Reading may need nothing."""
        ...

    def log_reads(self, *, forget: bool = False) -> None:
        """Record the reads of this process that are not recorded yet, and make hot what was read.

        With `forget` they count as no use: somebody has looked through many.
        """
        ...


class Fate(StrEnum):
    """What a clearing does with an artifact."""

    STAYS = "stays"
    TRASHED = "to the trash"
    WAITS = "in the trash"
    RESTORED = "back from the trash"
    DELETED = "deleted"


class Judged(msgspec.Struct, frozen=True):
    """One artifact, the verdict on it, and what follows."""

    standing: Standing
    verdict: Verdict
    fate: Fate


class Clearing(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a look at all artifacts, or, if `dry_run`, what it would be.

    `judged` has every artifact if that was asked for. `waiting` are in the trash, and `stayed` not in it.
    `damaged`: lines of the store's records that cannot be read; nothing is moved or deleted then.
    `complete` is False if the time that was given was over before all was done.
    """

    judged: Sequence[Judged] = ()
    trashed: Collected = Collected(0, 0)
    deleted: Collected = Collected(0, 0)
    restored: Collected = Collected(0, 0)
    waiting: int = 0
    stayed: int = 0
    grace_s: float = 0.0
    damaged: int = 0
    dry_run: bool = False
    complete: bool = True
