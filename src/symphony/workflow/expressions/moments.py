"""Timestamps and durations in results, as text with all their digits.

The CEL library counts nanoseconds; Python's datetime and timedelta, which it returns, end at
microseconds. The rest of the digits is in the text of the library's own value.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

import msgspec

_SECOND = 1_000_000_000  # in nanoseconds
_UNITS = {"h": 3_600 * _SECOND, "m": 60 * _SECOND, "s": _SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
_LENGTH = re.compile(r"([0-9]+)(?:\.([0-9]+))?(h|ms|m|s|us|ns)")
_FRACTION = re.compile(r"\.([0-9]+)")


class NativeMoment(Protocol):
    """A moment as the library returns it: its text, and the value inside."""

    def value(self) -> object: ...


class Moment(msgspec.Struct, frozen=True):
    """A timestamp or a duration, as CEL's string() writes it. The library takes none back."""

    text: str


def exact(result: NativeMoment, plain: object) -> object:
    """Return `plain`, which the library made of `result`, with a Moment for each timestamp and duration."""
    if isinstance(plain, datetime):
        found = _FRACTION.search(str(result))
        return Moment(_timestamp(plain, int(found[1].ljust(9, "0")) if found else 0))
    if isinstance(plain, timedelta):
        return Moment(_duration(str(result)))
    if isinstance(plain, list) and isinstance(inside := result.value(), list):
        return [exact(one, item) for one, item in zip(inside, plain, strict=True)]
    if isinstance(plain, dict) and isinstance(inside := result.value(), dict):
        return {key: exact(inside[key], item) for key, item in plain.items()}
    return plain


def _timestamp(moment: datetime, nanoseconds: int) -> str:
    # strftime does not pad years
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}".rjust(19, "0") + _fraction(nanoseconds) + "Z"


def _duration(spelled: str) -> str:
    """Return the seconds, with their fraction, of a text such as `-1h2m3.5s` or `1.5ms` from the library."""
    nanoseconds = sum(
        int(whole) * _UNITS[unit] + int((part or "0").ljust(9, "0")) * _UNITS[unit] // _SECOND
        for whole, part, unit in _LENGTH.findall(spelled)
    )
    sign = "-" if spelled.startswith("-") else ""
    return f"{sign}{nanoseconds // _SECOND}{_fraction(nanoseconds % _SECOND)}s"


def _fraction(nanoseconds: int) -> str:
    """Return no digits, three, six or nine, as protobuf writes them."""
    digits = f"{nanoseconds:09d}"
    while digits.endswith("000"):
        digits = digits[:-3]
    return f".{digits}" if digits else ""
