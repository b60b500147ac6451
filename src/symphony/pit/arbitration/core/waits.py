"""How long a claim waits at most, and why. Pure.

Let a claim of run r of user u with priority p come. Let H be the longest time for which any claim is held,
or a supply takes to fill again, and a millisecond; D the number of the smallest claims that fit at once; A
`ageing_s`; P the highest priority of those that come meanwhile; w the weights; n the claims of r, waiting
or held, that came before it. One supply is contended.

While a claim waits, some claim is promised what it needs (`machine`): it is itself promised, for at most H
as it then waits for nothing but what is held, or another is. So it waits for at most H, an H for what is
promised when it comes (or when it reaches the highest level, below), and the times for which others are
promised before it, each at most H. How many, depends on the strategy:

- `queue`: those that came before it.
- `priority`: those that came before it, and those of priority q > p that come less than (q - p) A after it.
- `round-robin`: after (P - p) A it is at the highest level, and stays among the first there. Then users,
  and runs of a user, take turns: of n + 1 turns of r, each other user or run has as many.
- `fair`, `collaborative`: after (P - p) A it is at the highest level, where users go by virtual time. A claim
  is charged to its user, at a share of at least 1 / D, for the time for which it was promised or held,
  whichever is longer. Another user i is promised something before it only while its virtual time is below
  that of u: for at most D w_i times the distance, plus D H for what i holds and has not paid for yet, plus
  one last H. The distance is at most 2 H / w_u when the claim comes, because u was granted what it
  holds when it was not ahead, and that is charged H and expected to last H. It grows by at most 2 H / w_u for
  each claim of u that goes before. With m such claims that is H (1 + D + D (2 m + 2) w_i / w_u) for each i.
  Runs of u are to r what users are to u, with equal weights; so m = n + (R - 1) (1 + D (2 n + 3)) for R runs.

A user who had nothing lately is not ahead: then the distance is 0, and n too; each i comes to H (1 + D).
If users contend for several supplies, a user may be behind by
what it could not get elsewhere, at most `window_s` share-seconds for each unit of weight: D w_i `window_s`
comes to the sum for each i.
"""

from collections.abc import Sequence


def longest_wait_s(
    *,
    held_s: float,
    at_once: int,
    ageing_s: float = 0.0,
    levels: int = 0,
    before: int = 0,
    runs: int = 1,
    weight: float = 1.0,
    others: Sequence[float] = (),
    ahead: bool = True,
) -> float:
    """Return the longest wait of a claim under `fair` and `collaborative`, in seconds.

    `held_s` is H, `at_once` D, `levels` P - p, `before` n, `runs` R, and `others` has the weights of the
    other users. `ahead` is False if its user had nothing lately and wants nothing else.
    """
    own = before + (runs - 1) * (1 + at_once * (2 * before + 3))
    distance = 2 * own + 2 if ahead else 0
    theirs = sum(1 + at_once + at_once * distance * other / weight for other in others)
    return levels * ageing_s + held_s * (2 + own + theirs)


def longest_turn_s(
    *, held_s: float, ageing_s: float = 0.0, levels: int = 0, before: int = 0, runs: int = 1, others: int = 0
) -> float:
    """Return the longest wait of a claim under `round-robin`, in seconds, with `others` other users."""
    own = before + (runs - 1) * (before + 1)
    return levels * ageing_s + held_s * (2 + own + others * (own + 1))
