"""Texts on several lines of a page. Pure."""

from symphony.cli.console import output
from symphony.commons.widths import columns, first_columns

LEAST = 36
"""Columns that a hanging text has at least."""
INDENT = 2
"""The columns by which the lines after the first are indented."""


def wrapped(text: str, room: int, most: int | None = None) -> list[str]:
    """Return the text on lines of at most `room` columns, broken at blanks where there are some.

    Of a text that takes more than `most` lines the first ones, with the mark `…` at the end.
    """
    rest = output.shown(text)
    first = len(rest) - len(rest.lstrip())
    lines: list[str] = []
    while columns(rest) > room and (most is None or len(lines) < most - 1):
        end = _end(rest, room)
        lines.append(rest[:end].rstrip())
        rest = " " * (first + INDENT) + rest[end:].lstrip()
    return [*lines, first_columns(rest, room)]


def hanging(head: str, text: str, room: int | None) -> str:
    """Return `head` and behind it the text, whose further lines begin below its first one.

    On a page that is too narrow for that, or is none, the terminal wraps: paths can be copied whole.
    """
    indent = columns(head)
    if room is None or room - indent < LEAST:
        return f"{head}{output.shown(text)}\n"
    lines = wrapped(text, room - indent)
    return "\n".join([head + lines[0], *(" " * indent + line.strip() for line in lines[1:])]) + "\n"


def _end(text: str, room: int) -> int:
    """Return where the first line of a text ends that is wider than `room`: at a blank, or where it must."""
    indent = len(text) - len(text.lstrip())
    used = 0
    for at, character in enumerate(text):
        used += columns(character)
        if used > room:
            blank = text.rfind(" ", indent + 1, at + 1)
            return blank if blank > indent else max(indent + 1, at)
    return len(text)
