"""One piece of state, kept equal on two sides: the rules. Pure.

The primary numbers the versions of its incarnation (its epoch) and sends each as a patch on the
one before. The secondary applies them in order and asks for what it missed; who is too far behind
gets a snapshot. What the secondary changes it proposes as a patch on the version that it has, one
proposal at a time. The primary accepts it if that is still its version, and passes it over
otherwise: then a version is on its way that the secondary does not know, and it is there that
both changes meet. The secondary settles them by its policy and proposes what came of it.

Messages may be lost, doubled and reordered. Nothing is accepted twice, since an accepted proposal
changes the version. A side that waits for something says so again in `remind`.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, TypeAlias

import msgspec

from symphony.bus.core.patches import Patch, apply, difference, same
from symphony.commons.errors import SerializationFailed, ValidationFailed

if TYPE_CHECKING:
    from symphony.ports.values import Value
else:
    Value = object  # msgspec cannot tell text from bytes in a union; the codecs check values themselves

KEPT_MAX: Final = 1000
KEPT_BYTES_MAX: Final = 4 * 1024 * 1024


_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Stamp(NamedTuple):
    """When the state was last written, and by which side.

    Nanoseconds since the Unix epoch, or just after the latest that this side has seen: a clock
    that is set back does not make an edit older than what it was made on.
    """

    time_ns: _Count
    site: str


class Mark(NamedTuple):
    """A proposal: the incarnation of the secondary, and its number there."""

    epoch: str
    number: _Count


NO_MARK: Final = Mark("", 0)


class Head(msgspec.Struct, frozen=True, array_like=True, tag="head"):
    """From the primary: this is my version."""

    epoch: str
    version: _Count


class Have(msgspec.Struct, frozen=True, array_like=True, tag="have"):
    """From the secondary: I have this version. `wants`: and I miss something; `ask` marks the answer."""

    epoch: str
    version: _Count
    ask: Mark
    wants: bool


class Delta(msgspec.Struct, frozen=True, array_like=True, tag="delta"):
    """From the primary: `patch` makes `version` of the one before. `accepted`: whose proposal it was."""

    epoch: str
    version: _Count
    patch: Value
    stamp: Stamp
    accepted: Mark


class Snapshot(msgspec.Struct, frozen=True, array_like=True, tag="snapshot"):
    """From the primary: the whole state, as `ask` wanted. `accepted`: the last proposal in it.

    Without `stamp` nothing has ever been written.
    """

    epoch: str
    version: _Count
    state: Value
    stamp: Stamp | None
    ask: Mark
    accepted: Mark


class Proposal(msgspec.Struct, frozen=True, array_like=True, tag="proposal"):
    """From the secondary: `patch` on `version`, please."""

    epoch: str
    version: _Count
    patch: Value
    stamp: Stamp
    mark: Mark


Message: TypeAlias = Head | Have | Delta | Snapshot | Proposal

_TAGS: Final[dict[type[Message], str]] = {
    Head: "head", Have: "have", Delta: "delta", Snapshot: "snapshot", Proposal: "proposal",
}  # fmt: skip


def written(message: Message) -> Value:
    """Return the message as a value that every codec carries. Large parts are not copied."""
    fields = msgspec.structs.astuple(message)
    return [_TAGS[type(message)], *(list(one) if isinstance(one, tuple) else one for one in fields)]


def read(value: Value) -> Message:
    """Read what `written` wrote. Raises SerializationFailed."""
    try:
        found: Message = msgspec.convert(value, Message)
    except (msgspec.ValidationError, RecursionError) as error:
        raise SerializationFailed(f"this is not a synchronisation message: {error}") from error
    return found


class SyncStep(NamedTuple):
    """The result of a step: what to send, and how the state changed because of the other side."""

    send: tuple[Message, ...] = ()
    patch: Patch | None = None
    conflict: bool = False


@dataclass(frozen=True, slots=True)
class Conflict:
    """Both sides changed `base`. Without a common `base`, after a restart, it is None and not `related`."""

    base: Value
    related: bool
    theirs: Value
    theirs_stamp: Stamp | None
    ours: Value
    ours_stamp: Stamp | None


class Winner(StrEnum):
    """The side whose change remains when both changed the state. A side that never wrote never wins."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    LAST_WRITER = "last-writer"
    """By `Stamp`: the later time, then the greater site."""


Resolve: TypeAlias = Winner | Callable[[Conflict], Value]


def resolved(conflict: Conflict, policy: Resolve) -> Value:
    """Return the state to agree on; `theirs` is the primary's."""
    if conflict.ours_stamp is None:
        return conflict.theirs
    if conflict.theirs_stamp is None:
        return conflict.ours
    if not isinstance(policy, Winner):
        return policy(conflict)
    ours = policy is Winner.SECONDARY or (
        policy is Winner.LAST_WRITER and conflict.ours_stamp > conflict.theirs_stamp
    )
    return conflict.ours if ours else conflict.theirs


class Primary:
    """The side that numbers the versions."""

    def __init__(
        self,
        state: Value,
        *,
        site: str,
        epoch: str,
        stamp: Stamp | None = None,
        kept_max: int = KEPT_MAX,
        kept_bytes_max: int = KEPT_BYTES_MAX,
    ) -> None:
        """`epoch`: an id that no other incarnation had. `stamp`: of `state`; None: it is only a beginning.

        At most `kept_max` versions of `kept_bytes_max` bytes together are kept for a secondary
        that missed them.
        """
        self.state, self.stamp, self.version = state, stamp, 0
        self._site, self._epoch = site, epoch
        self._kept: deque[tuple[Delta, int]] = deque()
        self._kept_bytes, self._kept_max, self._kept_bytes_max = 0, kept_max, kept_bytes_max
        self._accepted = NO_MARK
        self._peer_has = -1

    @property
    def settled(self) -> bool:
        """True if the secondary has the latest version, as far as this side knows."""
        return self._peer_has == self.version

    def edit(self, patch: Patch, now_ns: int) -> SyncStep:
        """Change the state. Raises ValidationFailed, and nothing happens, for a patch that does not fit."""
        stamp = _stamp(self.stamp, now_ns, self._site)
        return SyncStep((self._advance(patch, stamp, NO_MARK),))

    def handle(self, message: Message) -> SyncStep:
        """Take a message of the secondary. Others are passed over."""
        match message:
            case Have():
                return SyncStep(self._asked(message))
            case Proposal():
                return self._proposed(message)
            case _:
                return SyncStep()

    def remind(self) -> tuple[Message, ...]:
        """Return what to say again while not `settled`."""
        return () if self.settled else (Head(self._epoch, self.version),)

    def _asked(self, have: Have) -> tuple[Message, ...]:
        known = have.epoch == self._epoch and 0 <= have.version <= self.version
        if known:
            self._peer_has = max(self._peer_has, have.version)
        if not have.wants:
            return () if known else (Head(self._epoch, self.version),)
        if known and have.version == self.version:
            return (Head(self._epoch, self.version),)
        if known and self._kept and self._kept[0][0].version <= have.version + 1:
            missed = (delta for delta, _ in self._kept if delta.version > have.version)
            return (*missed, Head(self._epoch, self.version))
        return (Snapshot(self._epoch, self.version, self.state, self.stamp, have.ask, self._accepted),)

    def _proposed(self, proposal: Proposal) -> SyncStep:
        if proposal.epoch != self._epoch or proposal.version != self.version:
            return SyncStep((Head(self._epoch, self.version),))
        self._peer_has = max(self._peer_has, proposal.version)
        try:
            delta = self._advance(proposal.patch, proposal.stamp, proposal.mark)
        except ValidationFailed:
            return SyncStep((Head(self._epoch, self.version),))
        assert isinstance(delta.patch, list)
        return SyncStep((delta,), delta.patch)

    def _advance(self, patch: Value, stamp: Stamp, mark: Mark) -> Delta:
        self.state = apply(self.state, patch)
        self.version += 1
        self.stamp = stamp
        if mark != NO_MARK:
            self._accepted = mark
        delta = Delta(self._epoch, self.version, patch, stamp, mark)
        size = _size(patch)
        self._kept.append((delta, size))
        self._kept_bytes += size
        while len(self._kept) > self._kept_max or self._kept_bytes > self._kept_bytes_max:
            self._kept_bytes -= self._kept.popleft()[1]
        return delta


class Secondary:
    """The side that proposes."""

    def __init__(
        self,
        state: Value,
        *,
        site: str,
        epoch: str,
        stamp: Stamp | None = None,
        policy: Resolve = Winner.PRIMARY,
    ) -> None:
        """A secondary takes the arguments of `Primary`; `policy` settles what both sides changed."""
        self.state, self.stamp = state, stamp
        self._site, self._policy = site, policy
        self._base, self._base_stamp = state, stamp
        self._primary_epoch, self._version = "", 0
        self._ask, self._mark = Mark(epoch, 1), Mark(epoch, 0)
        self._flying: Proposal | None = None
        self._missing = True

    @property
    def version(self) -> int:
        """The last version of the primary that is known here."""
        return self._version

    @property
    def settled(self) -> bool:
        """True if the primary has all that changed here, and nothing is known to be missing."""
        return not self._missing and self._flying is None

    def edit(self, patch: Patch, now_ns: int) -> SyncStep:
        """Change the state. Raises ValidationFailed, and nothing happens, for a patch that does not fit."""
        clean = self.state is self._base
        self.state = apply(self.state, patch)
        self.stamp = _stamp(self.stamp, now_ns, self._site)
        return SyncStep(self._propose(patch if clean else None))

    def handle(self, message: Message) -> SyncStep:
        """Take a message of the primary. Others are passed over."""
        match message:
            case Head():
                return SyncStep(self._told(message))
            case Delta():
                return self._delta(message)
            case Snapshot():
                return self._snapshot(message)
            case _:
                return SyncStep()

    def remind(self) -> tuple[Message, ...]:
        """Return what to say again while not `settled`."""
        if self._missing:
            return (self._have(wants=True),)
        return () if self._flying is None else (self._flying,)

    def _have(self, *, wants: bool) -> Have:
        return Have(self._primary_epoch, self._version, self._ask, wants)

    def _told(self, head: Head) -> tuple[Message, ...]:
        if head.epoch == self._primary_epoch and head.version <= self._version:
            if head.version < self._version:
                return ()  # said before something that has come already
            found, self._missing = self._missing, False
            return (self._have(wants=False), *(self._propose() if found else ()))
        self._missing = True
        return (self._have(wants=True),)

    def _delta(self, delta: Delta) -> SyncStep:
        known = delta.epoch == self._primary_epoch
        if known and delta.version <= self._version:
            return SyncStep()
        try:
            if not known or delta.version > self._version + 1:
                raise ValidationFailed("a version is missing")
            ours = self._flying is not None and delta.accepted == self._flying.mark
            untouched = ours and self.stamp == delta.stamp  # nothing was changed since it was proposed
            theirs = self.state if untouched else apply(self._base, delta.patch)
        except ValidationFailed:
            asked, self._missing = self._missing, True
            return SyncStep(
                () if asked else (self._have(wants=True),)
            )  # once for each gap; then `remind` does
        assert isinstance(delta.patch, list)
        self._version = delta.version
        before, self._flying = self._base, None
        if ours:
            self._base, self._base_stamp = theirs, delta.stamp
            return SyncStep((self._have(wants=False), *self._propose()))
        if self.state is before:
            self._base = self.state = theirs
            self._base_stamp = self.stamp = delta.stamp
            return SyncStep((self._have(wants=False),), delta.patch)
        return self._met(theirs, delta.stamp, related=True)

    def _snapshot(self, shot: Snapshot) -> SyncStep:
        related = shot.epoch == self._primary_epoch
        if shot.ask != self._ask or (related and shot.version < self._version):
            return SyncStep()  # an answer to what was answered before, maybe of a primary that is gone
        self._ask = self._ask._replace(number=self._ask.number + 1)
        flying, self._flying = self._flying, None
        if related and flying is not None and shot.accepted == flying.mark:
            self._base, self._base_stamp = apply(self._base, flying.patch), flying.stamp
            if self.stamp == flying.stamp:
                self.state = self._base
        self._primary_epoch, self._version = shot.epoch, shot.version
        self._missing = False
        if related and self.state is self._base:
            patch = difference(self.state, shot.state)
            self._base = self.state = shot.state
            self._base_stamp = self.stamp = shot.stamp
            return SyncStep((self._have(wants=False),), patch)
        return self._met(shot.state, shot.stamp, related=related)

    def _met(self, theirs: Value, theirs_stamp: Stamp | None, *, related: bool) -> SyncStep:
        """Both sides changed the state: settle it, and propose what differs from the primary's."""
        before = self.state
        conflict = Conflict(
            self._base if related else None, related, theirs, theirs_stamp, self.state, self.stamp
        )
        after = before if same(before, theirs) else resolved(conflict, self._policy)
        self._base, self._base_stamp = theirs, theirs_stamp
        if same(after, theirs):
            self.state, self.stamp = theirs, theirs_stamp
        else:
            self.state = after
            if theirs_stamp is not None and (self.stamp is None or self.stamp <= theirs_stamp):
                self.stamp = Stamp(theirs_stamp.time_ns + 1, self._site)
        patch = difference(before, self.state)
        send = (self._have(wants=False), *self._propose())
        return SyncStep(send, patch, conflict=not same(before, theirs))

    def _propose(self, patch: Patch | None = None) -> tuple[Message, ...]:
        if self._flying is not None or self._missing or self.state is self._base:
            return ()
        patch = patch or difference(self._base, self.state)
        if patch is None:
            self.state, self.stamp = self._base, self._base_stamp
            return ()
        assert self.stamp is not None
        self._mark = self._mark._replace(number=self._mark.number + 1)
        self._flying = Proposal(self._primary_epoch, self._version, patch, self.stamp, self._mark)
        return (self._flying,)


def _stamp(latest: Stamp | None, now_ns: int, site: str) -> Stamp:
    return Stamp(now_ns if latest is None else max(now_ns, latest.time_ns + 1), site)


def _size(patch: Value) -> int:
    return len(msgspec.msgpack.encode(patch))
