"""The output of nodes and the words of models. Values only."""

from typing import Literal, TypeAlias

import msgspec

Stream: TypeAlias = Literal["stdout", "stderr", "tokens"]
"""`tokens` is what a model writes, piece by piece. A piece may be part of a line or several lines."""


class LogLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line that a node printed, or one piece of what a model said; `at` is epoch seconds."""

    at: float
    node: str
    stream: Stream
    text: str
    label: str | None = None
    """The label of an element of a fan-out, also for a node inside one. It is not in the log itself."""
