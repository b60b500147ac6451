"""In which order claims that wait are looked at. Pure.

Each strategy is a sort key of the first claim of each lane; a lane holds claims of one run, priority
and need, in the order in which they came.

- `queue`: first come, first served.
- `priority`: by priority. Each `ageing_s` of waiting is worth one step of it.
- `round-robin`: the user whose turn was longest ago, at the highest level; of its runs, the one whose turn
  was longest ago.
- `fair`: the user with the least virtual time, at the highest level: start-time fair queueing (Goyal,
  Vin and Cheng 1996), for many places at once as SFQ(D) (Jin, Chase and Kaur 2004). A grant costs its
  dominant share of what there is (dominant resource fairness, Ghodsi et al. 2011), for as long as it is
  held, divided by the user's weight, as virtual time in stride scheduling (Waldspurger and Weihl 1995).
  Runs of one user share what is the user's in the same way, all with the same weight.
- `collaborative`: as `fair`, and claims with the same needs ride along in one place of a model.

The level of a claim is its priority, raised by one for each `ageing_s` of waiting, but not above the
highest priority that waits. Claims that have waited long enough are thus equals of the most urgent ones,
and never more: an old flood of requests of one user gains nothing over a new request of another.
"""

from typing import Final, Literal, TypeAlias

import msgspec

Strategy: TypeAlias = Literal["fair", "priority", "round-robin", "collaborative", "queue"]
PRIORITY_MAX: Final = 100
"""Priorities beyond this, up or down, count as this: so the wait for the highest level is bounded."""
OrderKey: TypeAlias = tuple[float, float, int, float, int]


class ArbiterPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How the arbiter decides. Times are seconds; `weights` by user, 1 for those who are not in it."""

    strategy: Strategy = "fair"
    weights: dict[str, float] = {}
    ageing_s: float = 10.0
    window_s: float = 60.0
    """The length of the sliding window, and the most that a user can be ahead of another by not having
    been served, in share-seconds for each unit of weight."""


def bounded(priority: int) -> int:
    """Return the priority as far as it counts."""
    return max(-PRIORITY_MAX, min(PRIORITY_MAX, priority))


def level(priority: int, waited_s: float, ageing_s: float, top: int) -> int:
    """Return the level of a claim: its priority, aged, but not above `top`."""
    return min(top, priority + int(waited_s / ageing_s))
