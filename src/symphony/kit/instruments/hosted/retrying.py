"""When to ask again, and how long to wait before. Pure.

Source: RFC 9110, section 10.2.3 (Retry-After).
"""

from symphony.commons.backoff import backoff_s
from symphony.kit.retry_after import asked_wait_s

RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""Statuses that may be gone the next time; 529 is Anthropic's word for overloaded."""
OVERLOADED = frozenset({429, 503, 529})
"""Statuses that say that the provider has too much to do, or that one asks too often."""
BASE_S = 0.5
CAP_S = 60.0
"""No wait is longer, whatever the server asks for."""


def retry_after_s(header: str | None, now_s: float) -> float | None:
    """Seconds that a Retry-After header asks to wait, 0 to 60; None if it says nothing usable.

    `header` is a number of seconds or an HTTP date; `now_s` is seconds since the epoch.
    """
    asked = asked_wait_s(header, now_s)
    return None if asked is None else min(asked, CAP_S)


def delay_s(attempt: int, asked_s: float | None, jitter: float) -> float:
    """Seconds to wait after failed try `attempt` (1-based); `jitter`, in [0, 1], is drawn by the caller.

    What the server asked for is the least; on top comes full jitter, so that many callers who
    were told the same time do not all come back at once.
    """
    spread = backoff_s(attempt, base_s=BASE_S, cap_s=CAP_S, jitter=jitter)
    return min((asked_s or 0.0) + spread, CAP_S)
