"""What each user has had: virtual time for decisions, and a sliding window for reports. Pure."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zlib import crc32

from symphony.pit.arbitration.core.supplies import NeedShape
from symphony.ports.arbitration import FairnessReport, UserShare

QUANTUM_S: Final = 0.001
"""Every grant costs at least what it takes for so long: even grants that take no time take turns."""
PARTS: Final = 12
"""The sliding window moves in so many steps."""


class VirtualTime:
    """What one user, or one run of a user, has had for its weight: the lowest `key` has had least.

    `used` counts share-seconds: the dominant share of each grant times the seconds for which it is held.
    What is held now counts as it goes on. Its sums are kept so that every method is O(1):
    `held` is the sum of the shares held, `held_at` that of each share times the time of its grant.
    """

    __slots__ = ("held", "held_at", "holds", "turn", "used", "waiting", "weight")

    def __init__(self, weight: float) -> None:
        self.weight = weight
        self.used = self.held = self.held_at = 0.0
        self.holds = self.waiting = self.turn = 0

    def key(self, now_s: float, expected_s: float) -> float:
        """Return the virtual time: share-seconds for each unit of weight.

        What is held counts `expected_s` seconds ahead: places that come free at once go to several users.
        """
        return (self.used + self.held * (now_s + expected_s) - self.held_at) / self.weight

    def begin(self, share: float, now_s: float, charge: float = 0.0) -> None:
        """Begin to hold; `charge` is used at once."""
        self.used += charge
        self.held += share
        self.held_at += share * now_s
        self.holds += 1

    def end(self, share: float, since_s: float, charged_s: float) -> None:
        """Give back what was held since `since_s`, and charge it for `charged_s` seconds."""
        self.used += share * charged_s
        self.holds -= 1
        if self.holds:
            self.held -= share
            self.held_at -= share * since_s
        else:
            self.held = self.held_at = 0.0  # no rounding error survives

    def join(self, least: float, window_s: float, now_s: float, expected_s: float) -> float:
        """Catch up with the virtual time of the latest grant, `least`; return the key.

        What neither held nor wanted anything catches up with all of it, others to within the window.
        """
        if self.holds or self.waiting:
            least -= window_s
        key = self.key(now_s, expected_s)
        if key < least:
            self.used += (least - key) * self.weight
            return least
        return key


class UserAccount(VirtualTime):
    """One user's account, with those of its runs."""

    __slots__ = ("draw", "grants", "latest", "name", "parts", "runs", "taken", "waited_max_s")

    def __init__(self, name: str, weight: float, seed: int, supplies: int) -> None:
        super().__init__(weight)
        self.name = name
        self.draw = crc32(f"{seed}:{name}".encode())
        """Decides between users that are equal in everything else, by the seed."""
        self.runs: dict[str, VirtualTime] = {}
        self.latest = 0.0
        """The virtual time of the run that was granted something last."""
        self.grants = 0
        self.waited_max_s = 0.0
        self.taken = [0.0] * supplies
        """Amount-seconds of each supply, since the account was opened, up to when it was last counted."""
        self.parts: deque[tuple[list[float], int, float]] = deque(maxlen=PARTS + 1)

    @property
    def idle(self) -> bool:
        """True if the user had and wanted nothing in the whole window."""
        silent = len(self.parts) > PARTS and self.parts[0][1] == self.grants
        return silent and not self.holds and not self.waiting

    def run(self, name: str) -> VirtualTime:
        """Return the account of a run, all of which have the same weight."""
        account = self.runs.get(name)
        if account is None:
            account = self.runs[name] = VirtualTime(1.0)
        return account

    def roll(self) -> None:
        """Move the window by one part, and forget runs that neither hold nor want anything."""
        self.parts.append((list(self.taken), self.grants, self.waited_max_s))
        self.waited_max_s = 0.0
        for name, run in list(self.runs.items()):
            if not run.holds and not run.waiting and run.key(0.0, 0.0) <= self.latest:
                del self.runs[name]  # it would begin with the latest

    def count(self, shape: NeedShape, members: int, lasted_s: float) -> None:
        """Count what was held for the reports; `members` share one place."""
        for index, amount in shape.pairs:
            self.taken[index] += amount * lasted_s / members

    def had(self, parts: int) -> tuple[list[float], int, float]:
        """Return amount-seconds, grants and the longest wait in the window, which has so many parts."""
        before, grants, _ = self.parts[0] if self.parts and len(self.parts) >= parts else ([], 0, 0.0)
        taken = [now - (before[i] if i < len(before) else 0.0) for i, now in enumerate(self.taken)]
        waited_s = max(self.waited_max_s, *(part[2] for part in self.parts), 0.0)
        return taken, self.grants - grants, waited_s


def report(
    accounts: Iterable[UserAccount],
    amounts: Sequence[int],
    waits_s: Mapping[str, float],
    elapsed_s: float,
    parts: int,
) -> FairnessReport:
    """Return how users fared; `waits_s` has the longest wait of those who wait now, by user."""
    shown = list[UserShare]()
    for account in accounts:
        had, grants, waited_s = account.had(parts)
        share = max(
            (part / (amounts[i] * elapsed_s) for i, part in enumerate(had) if amounts[i] and elapsed_s > 0),
            default=0.0,
        )
        if grants or account.waiting or share > 0:
            shown.append(
                UserShare(
                    user=account.name,
                    weight=account.weight,
                    share=min(1.0, share),
                    grants=grants,
                    waiting=account.waiting,
                    waited_max_s=max(waited_s, waits_s.get(account.name, 0.0)),
                )
            )
    shown.sort(key=lambda one: (-one.share / one.weight, one.user))
    return FairnessReport(
        window_s=elapsed_s,
        users=tuple(shown),
        gini=gini([one.share / one.weight for one in shown]),
        waited_max_s=max((one.waited_max_s for one in shown), default=0.0),
    )


def gini(values: Sequence[float]) -> float:
    """Return the Gini coefficient of values of 0 or more, in [0, 1): 0 if all are equal, or there are none.

    Source: C. Gini, "Variabilità e mutabilità", 1912; as the sum over sorted values.
    """
    total = sum(values)
    if total <= 0:
        return 0.0
    count = len(values)
    ranked = sum(rank * value for rank, value in enumerate(sorted(values), start=1))
    return max(0.0, 2 * ranked / (count * total) - (count + 1) / count)
