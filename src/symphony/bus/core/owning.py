"""How a process finds out who owns what all processes of a home share: itself, another, or nobody it reaches.

Pure. The owner holds a lock that the operating system frees when its process ends, and answers as an
endpoint. The process that gets the lock is the owner, so that there are never two. Any other asks for the
endpoint, again and again, for a time.
"""

from enum import StrEnum
from typing import Final

from symphony.commons.components import RetryPolicy

PATIENCE_S: Final = 5.0
"""How long the owner may neither answer nor free its lock until this process goes on without it."""
AGAIN: Final = RetryPolicy(initial_s=0.02, max_s=0.2)
"""The pauses between two looks for the owner. The number of looks is bounded by the patience alone."""
LOOK_AGAIN_S: Final = 1.0
"""How often a process that goes on alone looks whether the owner is back."""


class OwnerRole(StrEnum):
    """What this process is with regard to something that all processes of a home share."""

    SEEKING = "seeking"
    """It does not know yet, or no longer."""
    OWNER = "owner"
    """It holds the lock, and serves the others."""
    MEMBER = "member"
    """Another process is the owner, and has answered."""
    ALONE = "alone"
    """Another process holds the lock and does not answer, or cannot: this one makes do without it."""


class OwnerSearch:
    """The standing of this process, and when to look again. Times are monotonic seconds, given by the caller.

    `tenure` counts the owners that were found: what is heard late of an earlier one changes nothing.
    """

    def __init__(self, *, patience_s: float = PATIENCE_S, again: RetryPolicy = AGAIN) -> None:
        self.standing = OwnerRole.SEEKING
        self.tenure = 0
        self.holder: int | None = None
        """The process id of the owner, or of the holder of the lock that does not answer, where known."""
        self.why = ""
        """Why the owner could not be reached, the last time that it could not."""
        self._patience_s, self._again = patience_s, again
        self._missed_since_s: float | None = None
        self._misses = 0

    @property
    def over(self) -> bool:
        """True if there is nothing to look for now."""
        return self.standing in (OwnerRole.OWNER, OwnerRole.MEMBER)

    def took(self) -> None:
        """This process got the lock."""
        self._found(OwnerRole.OWNER, None)

    def reached(self, holder: int | None) -> None:
        """The owner, process `holder`, has answered."""
        if self.standing is not OwnerRole.OWNER:
            self._found(OwnerRole.MEMBER, holder)

    def missed(self, why: str, holder: int | None, now_s: float, chance: float = 1.0) -> float:
        """`holder` has the lock and could not be asked. Return in how many seconds to look again.

        `chance` is drawn from [0, 1] by the caller.
        """
        self.why, self.holder = why, holder
        if self._missed_since_s is None:
            self._missed_since_s = now_s
        self._misses += 1
        if now_s - self._missed_since_s >= self._patience_s:
            self.standing = OwnerRole.ALONE
        if self.standing is OwnerRole.ALONE:
            return LOOK_AGAIN_S
        return self._again.delay_s(self._misses, chance)

    def refused(self, why: str, holder: int | None) -> float:
        """The owner answers, and cannot serve this process. Return in how many seconds to look again."""
        self.standing, self.why, self.holder = OwnerRole.ALONE, why, holder
        return LOOK_AGAIN_S

    def lost(self, tenure: int) -> None:
        """The owner of that tenure is gone, stops, or does not answer."""
        if tenure == self.tenure and self.standing is OwnerRole.MEMBER:
            self.standing = OwnerRole.SEEKING
            self._missed_since_s, self._misses = None, 0

    def _found(self, standing: OwnerRole, holder: int | None) -> None:
        self.standing, self.holder, self.why = standing, holder, ""
        self.tenure += 1
        self._missed_since_s, self._misses = None, 0
