"""Texts of any origin, made such that they can be told and UTF-8 can carry them. Pure."""

import re
from typing import Final

_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_GROUPED_MAX: Final = 5


def described(error: BaseException) -> str:
    """Kind and text of any error; the kind alone if its `__str__`, which is the author's, fails.

    Of a group, also those in it.
    """
    kind = type(error).__name__
    try:
        text = f"{kind}: {said}" if (said := f"{error}") else kind
    except BaseException:  # noqa: BLE001  (it may raise anything)
        text = kind
    if isinstance(error, BaseExceptionGroup):
        text += ": " + "; ".join(map(described, error.exceptions[:_GROUPED_MAX]))
    return text


def printable(text: str) -> str:
    """`text` with `?` for each control character that is no tab and ends no line."""
    return _CONTROLS.sub("?", text.replace("\r\n", "\n"))


def sound(text: str) -> str:
    """`text` with `?` for each surrogate: those stand for bytes that are no text, and cannot be encoded."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
