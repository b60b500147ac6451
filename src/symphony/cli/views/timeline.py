"""The timeline of a run: the chart and the summary below it."""

from collections.abc import Sequence
from typing import Final, TextIO

from symphony.cli.console import output
from symphony.cli.views import gantt
from symphony.cli.views.usage import usage_text
from symphony.commons.widths import columns, first_columns
from symphony.ports.insight import Overview
from symphony.ports.runs import titled

_NAMED_MAX = 5
_NAME_COLUMNS: Final = 16
"""Names are shortened to no less than this while any can be left out."""


def look(stream: TextIO | None, *, rows_max: int = gantt.ROWS_MAX) -> gantt.Look:
    """Return how to draw on `stream`."""
    return gantt.Look(
        width=output.width(stream),
        colours=output.colourful(stream),
        unicode=output.unicode_capable(stream),
        rows_max=rows_max,
    )


def text(overview: Overview, look: gantt.Look) -> str:
    """Return the chart and the summary, or nothing of a run in which nothing ran."""
    chart = gantt.chart(overview, look)
    return chart and chart + summary_text(overview, look.width)


def summary_text(summary: Overview, width: int) -> str:
    """Return what took long, what was tried again, what was reused; a line each, only where there is some.

    Names are shortened, and the last ones left out, where a line would be wider than `width`.
    """
    lines = []
    if len(summary.slowest) > 1:
        titles = [(output.shown(titled(name, summary.labels.get(name))), s) for name, s in summary.slowest]
        lines.append(
            "slowest  " + _listed([(title, f" {output.duration(s)}") for title, s in titles], width - 9)
        )
    if summary.retries:
        more = len(summary.retried) - _NAMED_MAX
        count = "1 retry" if summary.retries == 1 else f"{summary.retries:,} retries"
        head, tail = f"retried  {count}: ", f" and {more:,} more" if more > 0 else ""
        names = [(output.shown(name), "") for name in summary.retried[:_NAMED_MAX]]
        lines.append(head + _listed(names, width - len(head) - len(tail)) + tail)
    if summary.cached and summary.cached_share is not None:
        share = f"{summary.cached_share:.0%}"
        lines.append(f"reused   {summary.cached:,} of {output.count(summary.steps, 'result')} ({share})")
    if summary.usage is not None:
        lines.append(f"models   {usage_text(summary.usage)}")
    return "".join(f"{line}\n" for line in lines)


def _listed(names: Sequence[tuple[str, str]], width: int) -> str:
    """Return the names, each with what belongs behind it, as a list of at most about `width` columns."""
    told = [name + behind for name, behind in names]
    while len(told) > 1 and columns(", ".join(told)) > width:
        longest = max(columns(name) for name, _ in names[: len(told)])
        if longest > _NAME_COLUMNS:
            most = max(_NAME_COLUMNS, longest - 1)
            names = [(_middle_out(name, most), behind) for name, behind in names]
        else:
            names = names[: len(told) - 1]
        told = [name + behind for name, behind in names]
    if columns(told[0]) > width:
        name, behind = names[0]
        told[0] = _middle_out(name, max(1, width - columns(behind))) + behind
    return ", ".join(told)


def _middle_out(name: str, width: int) -> str:
    """Return `name` in at most `width` columns: of a long one the beginning and the end, which tells more."""
    if columns(name) <= width:
        return name
    head = first_columns(name, max(1, width // 2))
    end = name
    while end and columns(head) + columns(end) > width:
        end = end[1:]
    return head + end
