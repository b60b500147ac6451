"""JSON that may be large, parsed in a thread without keeping others from running. Pure."""

from collections.abc import Callable
from typing import TypeAlias

from symphony.kit.documents import parse
from symphony.ports.values import Value

Stop: TypeAlias = Callable[[], None]
"""Raises if nobody waits for the result any more."""


def parsed(text: str, stop: Stop) -> Value:
    """The value in `text`, as `json.parse` reads it. Raises InputRefused."""
    stop()
    return parse(text)
