"""`data.table`: records as a table in Markdown."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from symphony.commons.lines import lines_of
from symphony.commons.widths import columns as width_of
from symphony.commons.widths import first_columns
from symphony.kit.csv_text import COLUMNS_MAX, cell, columns_of
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.markdown_escapes import markdown_text
from symphony.ports.values import Value
from symphony.sdk import Context, operator

ROWS_MAX: Final = 10_000
"""A longer table is refused: nobody reads it, and few programs show it."""
DECIMALS_MAX: Final = 15
CHARS_MAX: Final = 16 * 1024 * 1024
_PADDED_MAX: Final = 60
"""Cells are filled with blanks up to so many columns, so that one long text does not make all lines long."""
_CHECK_EVERY: Final = 256
_BAR: Final = re.compile(r"(?<!\\)((?:\\\\)*)\|")


@operator("data.table", version="1.0.0", pure=True, output="text")
def table(
    rows: list[Value],
    context: Context,
    columns: list[str] | None = None,
    titles: dict[str, str] = {},  # noqa: B006
    markdown: list[str] = [],  # noqa: B006
    limit: int | None = None,
    width: int | None = None,
    decimals: int | None = None,
) -> str:
    r"""Make a table in Markdown of records, in the form that GitHub and most other programs show.

    Texts are shown as they are: what Markdown would take for its marks is escaped, and a line break
    becomes `<br>`. Columns that hold only numbers are aligned to the right. The text is aligned for
    people who read it as it is, wide characters considered.

    rows: maps from the name of a column to a value, or lists of values; null becomes nothing, lists and
        maps JSON; more than 10,000 are refused unless limit is given
    columns: which, in order; null for all keys in order of first appearance; for lists, what their
        elements are called, c1, c2, … if not given
    titles: what stands above columns in place of their names
    markdown: columns whose texts are Markdown already, such as links; only bars and line breaks in them
        are changed
    limit: show so many rows at most, up to 10,000, and say below the table how many more there are
    width: cut texts that take more columns than that, with … at their end
    decimals: round columns with numbers that are not all integers to so many decimals, 0 to 15; null shows
        numbers as they are

    Returns:
        text: lines that end with \n; empty if there are no columns
    """
    _check(rows, limit, width, decimals)
    shown = rows if limit is None else rows[:limit]
    names, cells = _cells(rows, shown, columns)
    for where, given in (("titles", titles), ("markdown", markdown)):
        if unknown := [name for name in given if name not in names]:
            raise InputRefused(
                f"input {where} has {unknown[0]!r}, which is not a column",
                hint=f"columns are {', '.join(names)}",
            )
    if not names:
        return ""
    values: Sequence[Sequence[Value]] = list(zip(*cells, strict=True)) if cells else [()] * len(names)
    looks = [
        _Look.of(column, name in markdown, width, decimals)
        for name, column in zip(names, values, strict=True)
    ]
    texts = [[_escaped(titles.get(name, name), None) for name in names]]
    size = 0
    for at, row in enumerate(cells):
        if at % _CHECK_EVERY == 0 and context.cancelled():
            raise Stopped("the node was cancelled")
        texts.append([look.text(value, at) for value, look in zip(row, looks, strict=True)])
        size += sum(map(len, texts[-1]))
        if size > CHARS_MAX:
            raise OutputTooLarge(
                f"the table has more than {CHARS_MAX // 2**20} Mi characters",
                hint="say limit, width or columns",
            )
    rest = len(rows) - len(shown)
    more = f"\n… and {rest:,} more {'row' if rest == 1 else 'rows'}\n" if rest else ""
    return _drawn(texts, [look.right for look in looks]) + more


def _check(rows: Sequence[Value], limit: int | None, width: int | None, decimals: int | None) -> None:
    if limit is not None and not 0 <= limit <= ROWS_MAX:
        raise InputRefused(f"input limit must lie between 0 and {ROWS_MAX:,}", hint="change it")
    if width is not None and width < 1:
        raise InputRefused("input width must be at least 1", hint="try 40")
    if decimals is not None and not 0 <= decimals <= DECIMALS_MAX:
        raise InputRefused(f"input decimals must lie between 0 and {DECIMALS_MAX}", hint="try 2")
    if limit is None and len(rows) > ROWS_MAX:
        raise OutputTooLarge(
            f"there are {len(rows):,} rows, and a table has at most {ROWS_MAX:,}",
            hint="say limit to show the first ones, or write a file with csv.write",
        )


def _cells(
    rows: Sequence[Value], shown: Sequence[Value], columns: Sequence[str] | None
) -> tuple[list[str], list[list[Value]]]:
    """Return the names of the columns, and the values of each row that is shown."""
    lists = bool(rows) and isinstance(rows[0], list)
    for at, row in enumerate(rows):
        if not isinstance(row, list if lists else dict):
            raise InputRefused(
                f"rows[{at}] is not a {'list' if lists else 'map'}"
                f"{', and rows[0] is' if at else ''}", hint="give maps, or lists"
            )  # fmt: skip
    if lists:
        longest = max((len(row) for row in rows if isinstance(row, list)), default=0)
        names = [f"c{at}" for at in range(1, longest + 1)] if columns is None else [*columns]
        if longest > len(names):
            at = next(i for i, row in enumerate(rows) if isinstance(row, list) and len(row) > len(names))
            raise InputRefused(
                f"rows[{at}] has more elements than there are columns", hint="name them all in `columns`"
            )
        cells = [[*row, *[None] * (len(names) - len(row))] for row in shown if isinstance(row, list)]
    else:
        names = columns_of(rows) if columns is None else [*columns]
        _check_known(names, rows)
        cells = [[row.get(name) for name in names] for row in shown if isinstance(row, dict)]
    if len(names) > COLUMNS_MAX or len(set(names)) < len(names):
        raise InputRefused("input columns names one twice, or too many", hint="name each once")
    return names, cells


def _check_known(names: Sequence[str], rows: Sequence[Value]) -> None:
    if rows:
        known = columns_of(rows)
        for name in names:
            if name not in known:
                raise InputRefused(
                    f"input columns has {name!r}, which no row has", hint=f"rows have {', '.join(known[:12])}"
                )


@dataclass(frozen=True, slots=True)
class _Look:
    """The format of one column's values. `right`: they are aligned to the right."""

    right: bool
    markdown: bool
    width: int | None
    decimals: int | None

    @classmethod
    def of(
        cls, values: Collection[Value], markdown: bool, width: int | None, decimals: int | None
    ) -> "_Look":
        """That of a column with these values."""
        kinds = set(map(type, values)) - {type(None)}
        right = bool(kinds) and kinds <= {int, float}
        return cls(right, markdown, width, decimals if right and float in kinds else None)

    def text(self, value: Value, at: int) -> str:
        """Return the cell of `value`, in the row `at`. Raises InputRefused for bytes."""
        if isinstance(value, bytes):
            raise InputRefused(
                f"rows[{at}] has bytes, which are not text", hint="decode them, or leave them out"
            )
        if self.markdown and isinstance(value, str):
            return _BAR.sub(r"\1\\|", " ".join(lines_of(value))).strip()
        if self.decimals is not None and isinstance(value, float):
            return f"{value:z.{self.decimals}f}"
        if self.decimals is not None and isinstance(value, int):
            return f"{value}.{'0' * self.decimals}".removesuffix(".")
        return _escaped(cell(value), self.width)


def _escaped(text: str, width: int | None) -> str:
    lines = [" ".join(line.split()) for line in lines_of(text.strip())]
    if width is not None and width_of(" ".join(lines)) > width:
        lines = [first_columns(" ".join(lines), width)]
    return "<br>".join(map(markdown_text, lines))


def _drawn(texts: Sequence[Sequence[str]], numeric: Sequence[bool]) -> str:
    """Return the table; its first row is the head."""
    widths = [min(_PADDED_MAX, max(3, *map(width_of, column))) for column in zip(*texts, strict=True)]
    rule = [f"{'-' * (wide - right)}{':' * right}" for wide, right in zip(widths, numeric, strict=True)]
    lines = [" | ".join(map(_padded, row, widths, numeric)) for row in (texts[0], rule, *texts[1:])]
    return "".join(f"| {line} |\n" for line in lines)


def _padded(text: str, wide: int, right: bool) -> str:
    blanks = " " * max(0, wide - width_of(text))
    return blanks + text if right else text + blanks
