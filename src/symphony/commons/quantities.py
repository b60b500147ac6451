"""Durations and sizes as people write them: `30d`, `10GB`. Pure."""

import re
from typing import Final

DURATION: Final = re.compile(r"([0-9]{1,12})(ms|s|m|h|d)")
"""More digits are beyond what clocks and timers count."""
SIZE: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))? ?(B|[KMGT]i?B)", re.IGNORECASE)
_UNIT_S: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_POWERS: Final = "bkmgt"


def duration_s(text: str) -> float:
    """Return the seconds of a duration such as `1500ms` or `5m`. Raises ValueError for another text."""
    match = DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a duration: at most 12 digits and one of ms, s, m, h, d")
    return int(match[1]) * _UNIT_S[match[2]]


def size_bytes(text: str) -> int:
    """Return the bytes of a size: `10GB` is 10 * 1000³, `1.5 MiB` is 1.5 * 1024².

    Raises ValueError for another text.

    >>> size_bytes("1.5 MiB")
    1572864
    """
    match = SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a size: a number and one of B, KB, MB, GB, TB, KiB, MiB, GiB")
    unit = match[3].lower()
    base = 1024 if "i" in unit else 1000
    scale: int = base ** _POWERS.index(unit[0])
    thousandths = int((match[2] or "0").ljust(3, "0"))
    return int(match[1]) * scale + thousandths * scale // 1000
