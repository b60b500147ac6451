"""Measures calls of short operators to decide how many go together, and which results are kept."""

from collections.abc import Callable
from typing import ClassVar, TypeAlias

import msgspec

from symphony.pit.artifacts.cache.results import CacheEntry

BATCH_S = 0.005
"""About how many seconds a batch should take."""
BATCH_MAX = 256
SLOW_S = 0.02
"""If a member takes more seconds, those behind it in its batch go to another thread."""
SLOW_BATCH_S = 0.1
"""The same happens if the members together take more seconds."""
CHEAP_S = 100e-6
"""The time that it takes to look a result up and to keep it: what is quicker is not kept.

Nor are results of calls that are quicker than making their keys, as with keys of short files.
"""
LONG_S = 0.5
"""A call that takes as long is worth keeping whatever others take: no accident lasts so long."""
SAMPLES_MIN = 16
"""The number of calls that suffice to tell whether the others are quick, too."""
_NEW_SHARE = 0.25
_WAITING_SHARE = 0.25
"""If this share of calls waits for a server or a library's own threads, the operator is one that waits."""

Kept: TypeAlias = tuple[str, CacheEntry]
"""A key and its result."""


class Pace(msgspec.Struct):
    """The time that an operator takes for one attempt in a batch, all told: a moving mean, in seconds.

    Batches that run at the same time compete for the processor and take too long. Their time counts only if
    it is below the mean so far: otherwise batches would get smaller and more numerous, and take longer yet.
    """

    mean_s: float | None = None
    found: bool = False
    """True if the results of all the last ones were taken from the cache."""

    def note(self, took_s: float, attempts: int, worked_s: float = 0.0, *, alone: bool = True) -> None:
        """Note that so many attempts took so long together, and the processor for `worked_s` of that."""
        each = took_s / attempts
        if self.mean_s is not None and not alone and each > self.mean_s:
            each = max(worked_s / attempts, self.mean_s)
        self.mean_s = each if self.mean_s is None else self.mean_s + _NEW_SHARE * (each - self.mean_s)

    @property
    def size(self) -> int:
        """Return how many attempts go together: one, until one has been measured."""
        if self.mean_s is None:
            return 1
        return max(1, min(BATCH_MAX, int(BATCH_S / max(self.mean_s, 1e-9))))


class Worth(msgspec.Struct):
    """Tells whether results of one fan-out are worth keeping, by what its calls took.

    Until that is known, results are held back. If a call waited and others did not, it waited for other
    threads or programs, so only its processor time counts.

    Several threads may use it. A sample or a cheap result that is lost between two of them does no harm.
    """

    always: bool = False
    """True if results are kept however quick the calls are."""
    calls: int = 0
    took_s: float = 0.0
    """How long they took; of those that waited, only how long they had the processor."""
    waited: int = 0
    keys: int = 0
    keys_took_s: float = 0.0
    cheap: bool = False
    """True if it is quicker to run again than to look up."""
    held: list[Kept] = msgspec.field(default_factory=list)
    of_nodes: ClassVar[bool] = False
    """True if each result belongs to a node, which tells that it was not kept."""

    def needs_key(self, found: Callable[[], bool]) -> bool:
        """True if a call needs a key before it. `found` tells whether any result of the operator is kept."""
        return not self.cheap

    def note(self, took_s: float, worked_s: float | None = None) -> None:
        """Note that a call took so long, and had the processor for `worked_s` of that."""
        self.calls += 1
        if worked_s is None or took_s >= LONG_S:
            worked_s = took_s
        self.took_s += worked_s
        self.waited += worked_s < CHEAP_S <= took_s
        self.cheap = (
            not self.always
            and self.calls >= SAMPLES_MIN
            and self.took_s < self._least_s * self.calls
            and self.waited < _WAITING_SHARE * self.calls
        )

    def note_key(self, took_s: float) -> None:
        """Note that making a key took so long."""
        self.keys += 1
        self.keys_took_s += took_s

    def keeps(self, took_s: float, worked_s: float) -> bool:
        """True if the result of such a call, which has been noted, may be kept."""
        return not self.cheap

    @property
    def _least_s(self) -> float:
        """Return the least time of a call whose result is worth keeping."""
        return max(CHEAP_S, self.keys_took_s / self.keys) if self.keys else CHEAP_S

    def kept(self, result: Kept, took_s: float = 0.0) -> list[Kept]:
        """Return the results to keep, now that a call with this result has ended after `took_s` seconds."""
        if self.always:
            return [result]
        held, self.held = [*self.held, result], []
        if self.took_s >= self._least_s * max(self.calls, SAMPLES_MIN) or (
            self.calls >= SAMPLES_MIN and not self.cheap
        ):
            return held
        if self.calls < SAMPLES_MIN:
            self.held = held
        return []

    def untold(self) -> list[Kept]:
        """Return, at the run's end, the results held back for lack of measurements: they are to be kept."""
        held, self.held = self.held, []
        return held if self.calls < SAMPLES_MIN else []


class NodesWorth(Worth):
    """Tells whether results of the nodes that call one operator with small inputs are worth keeping.

    Unlike elements of a fan-out, these nodes may have little in common. So kept results of their operator are
    looked up, and the result of a long call is kept, however quick the other calls are.
    """

    of_nodes = True

    def needs_key(self, found: Callable[[], bool]) -> bool:
        """True also where calls are cheap, if there may be something to find."""
        return not self.cheap or found()

    def keeps(self, took_s: float, worked_s: float) -> bool:
        """True also for a cheap operator, if the call took long."""
        return not self.cheap or took_s >= LONG_S

    def kept(self, result: Kept, took_s: float = 0.0) -> list[Kept]:
        """Return the result of a long call at once."""
        return [result] if took_s >= LONG_S else Worth.kept(self, result)


class LargeWorth(Worth):
    """Tells by its own call whether a result is worth keeping, where inputs are large or name files.

    All are kept until calls with small inputs (`others`) have shown that the operator is cheap.
    """

    others: Worth = msgspec.field(default_factory=Worth)
    of_nodes = True

    def note(self, took_s: float, worked_s: float | None = None) -> None:
        """Do nothing: the call tells nothing of others."""

    def keeps(self, took_s: float, worked_s: float) -> bool:
        """True if this result should be kept: the other calls are not cheap, or this one took long itself."""
        return not self.others.cheap or worked_s >= CHEAP_S or took_s >= SLOW_S

    def kept(self, result: Kept, took_s: float = 0.0) -> list[Kept]:
        """Return the result."""
        return [result]
