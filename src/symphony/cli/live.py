"""The live tree that a terminal gets. Imported only when it is drawn: rich costs start-up time."""

import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.text import Text
from rich.tree import Tree

from symphony.cli import output
from symphony.cli.watching import COUNTED, Progress, line_of
from symphony.ports.runs import NodeStatus, RunEvent

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
    """What the tree shows. Rendered anew each time: always the present state."""

    def __init__(self, title: str, run_id: str) -> None:
        self.title, self.run_id = title, run_id
        self.began_s = time.monotonic()
        self.counts: Mapping[NodeStatus, int] = {}
        self.slowest: Sequence[tuple[str, float]] = ()
        self._failures: list[str] = []
        self._failed = 0
        self._latest: deque[str] = deque(maxlen=_LATEST_MAX)

    def add(self, event: RunEvent) -> None:
        """Remember what is worth a row."""
        if event.type == "node.failed":
            self._failed += 1
            if len(self._failures) < _FAILURES_MAX:
                self._failures.append(line_of(event) or "")
        elif event.type in ("node.finished", "node.cached"):
            self._latest.append(line_of(event) or "")

    def see(self, progress: Progress) -> None:
        """Take the present counts and running nodes."""
        self.counts, self.slowest = progress.counts, progress.slowest

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        plain = options.ascii_only
        signs = _PLAIN_SIGN if plain else _SIGN
        room = max(10, options.max_width - 6)
        elapsed = output.duration(time.monotonic() - self.began_s)
        head = Text(f"{output.brief(self.title, room - 12)}  ", style="bold", no_wrap=True)
        head.append(elapsed, style="not bold")
        tree = Tree(head, guide_style="dim")
        tree.add(self._counts(signs))
        rows = max(1, min(ROWS_MAX, options.size.height - 4 - len(self._failures) - len(self._latest)))
        for name, seconds in self.slowest[:rows]:
            tree.add(_row(f"{signs[NodeStatus.RUNNING]} {name}", output.duration(seconds), room, "blue"))
        running = self.counts.get(NodeStatus.RUNNING, 0)
        if running > rows and self.slowest:
            tree.add(Text(f"and {running - rows:,} more running", style="dim"))
        for text in self._failures:
            tree.add(_row(f"{signs[NodeStatus.FAILED]} {text}", "", room, "red"))
        if self._failed > len(self._failures):
            tree.add(Text(f"and {self._failed - len(self._failures):,} more failed", style="red"))
        for text in self._latest:
            tree.add(_row(f"{signs[NodeStatus.SUCCEEDED]} {text}", "", room, "dim"))
        yield tree

    def _counts(self, signs: Mapping[NodeStatus, str]) -> Text:
        row = Text()
        for status in COUNTED:
            if number := self.counts.get(status):
                row.append("  " if row else "")
                row.append(f"{signs[status]} {number:,} {status}", style=_STYLE[status])
        return row or Text("starting", style="dim")


def _row(text: str, more: str, room: int, style: str) -> Text:
    row = Text(output.brief(text, room - len(more) - 2), style=style, no_wrap=True)
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
