"""Claims that wait and claims that hold, as the machine keeps them. Pure."""

from collections import deque
from typing import TypeAlias

from symphony.pit.arbitration.core.supplies import Claim, Needs, NeedShape
from symphony.pit.arbitration.core.users import UserAccount, VirtualTime

LaneKey: TypeAlias = tuple[str, str, int, Needs]
"""User, run, priority and need."""


class SharedPlace:
    """A place that several claims share; it comes back with the last of them."""

    __slots__ = ("left", "members")

    def __init__(self, members: int) -> None:
        self.left = self.members = members


class HeldClaim:
    """A claim that holds. `counted_s`: up to when the reports know of it.

    `kept_s`: for so long, what it needs was kept for it before it was granted.
    """

    __slots__ = ("batch", "claim", "counted_s", "kept_s", "run", "shape", "share", "since_s", "user")

    def __init__(
        self, claim: Claim, shape: NeedShape, user: UserAccount, run: VirtualTime, now_s: float
    ) -> None:
        self.claim, self.shape, self.user, self.run = claim, shape, user, run
        self.since_s = self.counted_s = now_s
        self.share = shape.share
        self.kept_s = 0.0
        self.batch: SharedPlace | None = None


class Lane:
    """Claims that wait, of one run, priority and need: if the first does not fit, none does."""

    __slots__ = ("key", "priority", "queue", "run", "shape", "user")

    def __init__(self, key: "LaneKey", shape: NeedShape, user: UserAccount, run: VirtualTime) -> None:
        self.key, self.shape, self.user, self.run = key, shape, user, run
        self.priority = key[2]
        self.queue = deque[WaitingClaim]()


class WaitingClaim:
    """A claim that waits. `gone`: it was given up, and is passed over."""

    __slots__ = ("claim", "gone", "lane", "number", "since_s")

    def __init__(self, claim: Claim, lane: Lane, since_s: float, number: int) -> None:
        self.claim, self.lane, self.since_s, self.number = claim, lane, since_s, number
        self.gone = False
