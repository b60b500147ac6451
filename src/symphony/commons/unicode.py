"""Texts of any origin, made such that they can be told and UTF-8 can carry them. Pure."""

import re
from typing import Final

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
UNSEEN: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Control characters but tabs and newlines, bidirectional overrides, lone surrogates."""
_GROUPED_MAX: Final = 5
_DEPTH_MAX: Final = 3


def described(error: BaseException, depth: int = _DEPTH_MAX) -> str:
    """Kind and text of any error; what its author's code does not give is left out.

    Of a group also the first of those in it, and of groups in it down to `depth`.
    """
    try:
        kind = type(error).__name__
    except BaseException:  # noqa: BLE001  (a metaclass may raise anything)
        kind = "error"
    try:
        text = f"{kind}: {said}" if (said := f"{error}") else kind
    except BaseException:  # noqa: BLE001  (it may raise anything)
        text = kind
    if depth and (inner := grouped(error)):
        text += ": " + "; ".join(described(one, depth - 1) for one in inner[:_GROUPED_MAX])
    return text


def grouped(error: BaseException) -> tuple[BaseException, ...]:
    """Return the errors that a group holds; empty for other errors.

    A subclass may hide or change its attributes: the group's own are read.
    """
    if not issubclass(type(error), BaseExceptionGroup):
        return ()
    inner: tuple[BaseException, ...] = vars(BaseExceptionGroup)["exceptions"].__get__(error)
    return inner


def printable(text: str) -> str:
    """Return `text` with `?` for each control character except tabs and line ends."""
    return _CONTROLS.sub("?", text.replace("\r\n", "\n"))


def escaped(text: str) -> str:
    """`text` with control characters, bidirectional overrides and lone surrogates as `\\x1b` or `\\u202e`.

    Tabs and newlines stay.
    """
    return UNSEEN.sub(_escape, text) if UNSEEN.search(text) else text


def _escape(match: re.Match[str]) -> str:
    point = ord(match[0])
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}"


def sound(text: str) -> str:
    """Return `text` with `?` for each surrogate, which stands for a byte that is not text."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
