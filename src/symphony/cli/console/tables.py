"""Tables: as wide as their texts in a file or a pipe, no wider than the page on a terminal."""

import sys
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from symphony.cli.console import output
from symphony.commons.widths import columns, first_columns

GAP: Final = 2


class Heading(msgspec.Struct, frozen=True):
    """A column that gives way where a table is wider than the page.

    Its texts are shortened to `least` columns, or not at all where that is 0. Where that is not enough,
    it is left out, the columns with the highest rank first; those of rank 0 stay.
    """

    head: str
    rank: int = 0
    least: int = 0


AnyHead: TypeAlias = str | Heading
"""A bare text is a column that stays and is not shortened."""


def room() -> int | None:
    """Return how wide what goes to stdout may be; None where nothing is cut: files and pipes."""
    return output.width(sys.stdout) if output.is_terminal(sys.stdout) else None


def table(rows: Sequence[Sequence[str]], head: Sequence[AnyHead], *, width: int | None = None) -> str:
    """Rows under a head, in columns; the last one is not padded. No line is wider than `width`."""
    heads = [Heading(one) if isinstance(one, str) else one for one in head]
    cells = [[output.shown(cell) for cell in row] for row in [[one.head for one in heads], *rows]]
    widths = [max(columns(row[at]) for row in cells) for at in range(len(heads))]
    kept = list(range(len(heads)))
    if width is not None:
        kept = _kept(heads, widths, width)
        _squeeze(heads, widths, kept, width)
    lines = (_line([(row[at], widths[at]) for at in kept], width) for row in cells)
    return "\n".join(lines) + "\n"


def _kept(heads: Sequence[Heading], widths: Sequence[int], width: int) -> list[int]:
    """Return the columns that there is room for, each as narrow as it may be."""
    kept = list(range(len(heads)))
    least = [min(w, one.least or w) for one, w in zip(heads, widths, strict=True)]
    while sum(least[at] for at in kept) + GAP * (len(kept) - 1) > width:
        last = max(kept, key=lambda at: (heads[at].rank, at))
        if heads[last].rank == 0:
            break
        kept.remove(last)
    return kept


def _squeeze(heads: Sequence[Heading], widths: list[int], kept: Sequence[int], width: int) -> None:
    """Take what is too much from the columns that may be shortened, a column from the widest each time."""
    over = sum(widths[at] for at in kept) + GAP * (len(kept) - 1) - width
    while over > 0 and (elastic := [at for at in kept if 0 < heads[at].least < widths[at]]):
        widths[max(elastic, key=lambda at: widths[at])] -= 1
        over -= 1


def _line(cells: Sequence[tuple[str, int]], width: int | None) -> str:
    *others, (last, last_width) = cells
    texts = [output.pad(first_columns(text, wide), wide) for text, wide in others]
    line = (" " * GAP).join([*texts, last if width is None else first_columns(last, last_width)]).rstrip()
    return line if width is None else first_columns(line, width)
