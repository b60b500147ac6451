"""How a run went: the chart and the summary below it."""

from typing import TextIO

from symphony.cli.console import output
from symphony.cli.views import gantt
from symphony.cli.views.usage import usage_text
from symphony.ports.insight import Overview
from symphony.ports.runs import titled

_NAMED_MAX = 5


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
    return chart and chart + summary_text(overview)


def summary_text(summary: Overview) -> str:
    """Return what took long, what was tried again, what was reused; a line each, only where there is some."""
    lines = []
    if len(summary.slowest) > 1:
        titles = ((titled(name, summary.labels.get(name)), s) for name, s in summary.slowest)
        named = ", ".join(f"{output.shown(title)} {output.duration(s)}" for title, s in titles)
        lines.append(f"slowest  {named}")
    if summary.retries:
        names = ", ".join(map(output.shown, summary.retried[:_NAMED_MAX]))
        more = len(summary.retried) - _NAMED_MAX
        count = "1 retry" if summary.retries == 1 else f"{summary.retries:,} retries"
        lines.append(f"retried  {count}: {names}" + (f" and {more:,} more" if more > 0 else ""))
    if summary.cached and summary.cached_share is not None:
        share = f"{summary.cached_share:.0%}"
        lines.append(f"reused   {summary.cached:,} of {output.count(summary.steps, 'result')} ({share})")
    if summary.usage is not None:
        lines.append(f"models   {usage_text(summary.usage)}")
    return "".join(f"{line}\n" for line in lines)
