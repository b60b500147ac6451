"""Reads how long a server asks to wait before the next request. Pure.

Source: RFC 9110, section 10.2.3 (Retry-After) and 5.6.7 (dates).
"""

from datetime import UTC
from email.utils import parsedate_to_datetime


def asked_wait_s(header: str | None, now_s: float) -> float | None:
    """Seconds from now that a Retry-After header asks for, 0 or more; None if it says nothing usable.

    `header` is a number of seconds or an HTTP date in any of its three forms; `now_s` is seconds
    since the epoch.
    """
    text = (header or "").strip()
    try:
        if text[:1].isdigit() and "," not in text and ":" not in text:
            # Some servers send fractions, though the standard has whole seconds.
            return float(text)
        date = parsedate_to_datetime(text)
        moment = date if date.tzinfo is not None else date.replace(tzinfo=UTC)  # asctime's form names no zone
        return max(moment.timestamp() - now_s, 0.0)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None
