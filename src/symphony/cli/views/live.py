"""The live tree that a terminal gets. Imported only when it is drawn: rich costs start-up time."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from symphony.cli.console import output
from symphony.cli.views.watching import COUNTED, ProgressView, line_of
from symphony.commons.widths import columns
from symphony.ports.runs import NodeStatus, RunEvent, titled

ROWS_MAX: Final = 16
_FAILURES_MAX: Final = 4
_LATEST_MAX: Final = 3

_STYLE: Final = {
    NodeStatus.SUCCEEDED: "green", NodeStatus.CACHED: "cyan", NodeStatus.RUNNING: "bold blue",
    NodeStatus.WAITING: "yellow", NodeStatus.PENDING: "dim", NodeStatus.FAILED: "bold red",
    NodeStatus.SKIPPED: "dim", NodeStatus.CANCELLED: "yellow",
}  # fmt: skip
_SIGN: Final = {
    NodeStatus.SUCCEEDED: "✓", NodeStatus.CACHED: "≡", NodeStatus.RUNNING: "●", NodeStatus.WAITING: "?",
    NodeStatus.PENDING: "○", NodeStatus.FAILED: "✗", NodeStatus.SKIPPED: "-", NodeStatus.CANCELLED: "×",
}  # fmt: skip
_PLAIN_SIGN: Final = {
    NodeStatus.SUCCEEDED: "+", NodeStatus.CACHED: "=", NodeStatus.RUNNING: "*", NodeStatus.WAITING: "?",
    NodeStatus.PENDING: ".", NodeStatus.FAILED: "!", NodeStatus.SKIPPED: "-", NodeStatus.CANCELLED: "x",
}  # fmt: skip


class Board:
    """What the tree shows. It is rendered each time from the present state."""

    def __init__(self, title: str, run: str) -> None:
        self.title, self.run = title, run
        self.began_s = time.monotonic()
        self.counts: Mapping[NodeStatus, int] = {}
        self.slowest: Sequence[tuple[str, float]] = ()
        self.labels: Mapping[str, str] = {}
        self.saying: Mapping[str, str] = {}
        self._failures: Sequence[RunEvent] = ()
        self._failed = 0
        self._latest: Sequence[RunEvent] = ()

    def see(self, progress: ProgressView) -> bool:
        """Take the present state. Has anything changed but the time that things take?"""
        before = self._state()
        self.counts, self.slowest = progress.counts, progress.slowest
        self.labels, self.saying = progress.labels, progress.saying
        self._failures, self._failed = progress.failures[:_FAILURES_MAX], progress.failed
        self._latest = progress.latest[-_LATEST_MAX:]
        return self._state() != before

    def _state(self) -> tuple[object, ...]:
        names = [name for name, _ in self.slowest]
        return self.counts, names, self.saying, self._failed, [event.seq for event in self._latest]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        room = max(10, options.max_width - 6)
        head = _row(self.title, output.duration(time.monotonic() - self.began_s), room, "bold", plain=plain)
        tree = Tree(head, guide_style="dim")
        counts = self._counts(_PLAIN_SIGN if plain else _SIGN)
        tree.add(counts)
        spare = max(1, options.size.height - 3 - len(counts.wrap(console, room)))
        for text, more, style in self._rows(spare, room, _PLAIN_SIGN if plain else _SIGN):
            tree.add(_row(text, more, room, style, plain=plain))
        yield tree

    def _rows(
        self, spare: int, width: int, signs: Mapping[NodeStatus, str]
    ) -> Iterator[tuple[str, str, str]]:
        """At most `spare` rows of text, time and style: what runs, what failed, what is done."""
        failures = [line_of(event) or "" for event in self._failures[: spare // 4]]
        latest = [line_of(event) or "" for event in self._latest[: spare // 6]]
        room = min(ROWS_MAX, max(1, spare - len(failures) - len(latest) - 2))
        rows = shown = 0
        for name, seconds in self.slowest:
            if rows >= room:
                break
            title = titled(name, self.labels.get(name))
            yield f"{signs[NodeStatus.RUNNING]} {title}", output.duration(seconds), "blue"
            rows, shown = rows + 1, shown + 1
            if rows < room and (said := self.saying.get(name)):
                yield f"  {_last(said, width - 6)}", "", "dim"
                rows += 1
        running = self.counts.get(NodeStatus.RUNNING, 0)
        if spare > room + 1 and running > shown and self.slowest:
            yield f"and {running - shown:,} more running", "", "dim"
        for text in failures:
            yield f"{signs[NodeStatus.FAILED]} {text}", "", "red"
        if failures and self._failed > len(failures):
            yield f"and {self._failed - len(failures):,} more failed", "", "red"
        for text in latest:
            yield f"{signs[NodeStatus.SUCCEEDED]} {text}", "", "dim"

    def _counts(self, signs: Mapping[NodeStatus, str]) -> Text:
        row = Text()
        for status in COUNTED:
            if number := self.counts.get(status):
                row.append("  " if row else "")
                row.append(f"{signs[status]} {number:,} {status}", style=_STYLE[status])
        return row or Text("starting", style="dim")


def _last(said: str, room: int) -> str:
    """The end of a model's text, on one line of at most `room` columns."""
    text = " ".join(output.shown(said).split())
    while text and columns(text) > max(4, room):
        text = text[1:]
    return text


def _row(text: str, more: str, room: int, style: str, *, plain: bool) -> Text:
    """One line of at most `room` columns that ends with `more`; `plain` for terminals without Unicode."""
    short = output.brief(text, max(4, room - len(more) - 2))
    if plain:
        short = short.replace("…", "~").encode("ascii", "replace").decode()
    row = Text(short, style=style, no_wrap=True)
    return row.append(f"  {more}", style="default") if more else row


class Screen:
    """The terminal while the tree stands on it. Leaving takes the tree away and shows the cursor."""

    def __init__(self, board: Board) -> None:
        self._console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._live = Live(
            board, console=self._console, auto_refresh=False, transient=True,
            redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
        )  # fmt: skip

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def draw(self) -> None:
        """Draw the board as it is now."""
        self._live.refresh()

    def note(self, text: str) -> None:
        """One line above the tree, which stays."""
        self._console.print(Text(output.shown(text)))
