"""Dates and times of TOML with more digits than Python's: they become the texts that they are anyway.

Python's datetime ends at microseconds; the reader cuts the rest, as TOML lets it.
"""

import datetime
import re
from typing import Final

_DIGITS_MAX: Final = 9
_TOKEN: Final = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}' + r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"' + r"|'[^'\n]*'|\#[^\n]*"
    r"|(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ])?(?P<time>[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6})"
    r"(?P<more>[0-9]+)(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?",
    re.DOTALL,
)


def with_texts(text: str) -> str:
    """Return `text` with a text in place of each date or time of more than six digits, at most nine kept."""
    return _TOKEN.sub(_spelled, text)


def _spelled(found: "re.Match[str]") -> str:
    day, time, more, zone = found["day"], found["time"], found["more"], found["zone"]
    if time is None or (zone and not day):
        return found[0]
    try:
        spelled = _iso(f"{day[:10]}T{time}" if day else time, (zone or "").upper(), dated=bool(day))
    except ValueError:  # the reader says what is wrong
        return found[0]
    end = spelled.index(".") + 7
    digits = more[: _DIGITS_MAX - 6].rstrip("0")
    return f'"{spelled[:end]}{digits}{spelled[end:]}"' if digits else found[0]


def _iso(text: str, zone: str, *, dated: bool) -> str:
    if dated:
        return datetime.datetime.fromisoformat(text + zone).isoformat(timespec="microseconds")
    return datetime.time.fromisoformat(text).isoformat(timespec="microseconds")
