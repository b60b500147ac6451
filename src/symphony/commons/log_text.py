"""Makes the text of a log event safe to print."""

from typing import Literal, TypeAlias

Format: TypeAlias = Literal["text", "json"]


def on_one_line(text: str) -> str:
    """Return `text` so that it cannot forge a second line or move the cursor of a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
