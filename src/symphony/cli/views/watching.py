"""Watching a run: what a view needs of it, and the plain lines that a pipe gets."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from typing import Final, Protocol, TypeGuard

from symphony.cli.console import output
from symphony.cli.views.earlier import EarlierEvents
from symphony.ports.insight import FanOutProgress, MadeArtifact, OpenQuestion, Overview, QueueProgress
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunWarning, titled
from symphony.ports.values import Value

LINES_MAX: Final = 200
FAILURES_MAX: Final = 100
SUMMARY_EVERY_S: Final = 5.0

COUNTED: Final = (
    NodeStatus.SUCCEEDED, NodeStatus.CACHED, NodeStatus.RUNNING, NodeStatus.WAITING, NodeStatus.PENDING,
    NodeStatus.FAILED, NodeStatus.SKIPPED, NodeStatus.CANCELLED,
)  # fmt: skip
"""The order in which counts are shown."""


class ProgressView(Protocol):
    """The progress of a run."""

    @property
    def counts(self) -> Mapping[NodeStatus, int]: ...
    @property
    def slowest(self) -> Sequence[tuple[str, float]]:
        """Names of running nodes and the seconds they have been running, the longest first."""
        ...

    @property
    def labels(self) -> Mapping[str, str]:
        """Return the labels of elements of fan-outs, and of nodes inside elements."""
        ...

    @property
    def saying(self) -> Mapping[str, str]:
        """Return the last words of their models."""
        ...

    @property
    def failed(self) -> int:
        """Attempts that failed."""
        ...

    @property
    def failures(self) -> Sequence[RunEvent]:
        """The first few of these."""
        ...

    @property
    def latest(self) -> Sequence[RunEvent]:
        """The last few results, the newest last."""
        ...

    @property
    def tries(self) -> Mapping[str, tuple[int, int]]:
        """The attempt and the limit of attempts of those of the slowest that are tried again."""
        ...

    @property
    def nodes(self) -> Mapping[NodeStatus, int]:
        """The workflow's own nodes by status."""
        ...

    @property
    def fans(self) -> Sequence[FanOutProgress]:
        """Fan-outs under way."""
        ...

    @property
    def queues(self) -> Sequence[QueueProgress]:
        """What nodes wait for until it is granted to them."""
        ...

    @property
    def questions(self) -> Sequence[OpenQuestion]:
        """Return what people are asked and have not answered."""
        ...

    @property
    def took_s(self) -> float:
        """Since the run began."""
        ...


class Handle(Protocol):
    """A run in this process, as `symphony.app` gives it."""

    @property
    def run_id(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def known(self) -> int:
        """Return how many events earlier processes have recorded."""
        ...

    @property
    def marks(self) -> Mapping[str, str]: ...
    @property
    def unhidden(self) -> Sequence[str]: ...
    @property
    def unset(self) -> Sequence[str]: ...
    def warn_by(self, warn: Callable[[RunWarning], None]) -> None: ...
    @property
    def artifacts(self) -> Callable[[], Sequence[MadeArtifact]]: ...
    def events(self) -> AsyncGenerator[RunEvent, None]: ...
    def notable(self, after: int = 0) -> AsyncIterator[RunEvent]: ...
    async def ended(self) -> None: ...
    def overview(self) -> Overview: ...
    def progress(self) -> ProgressView: ...
    @property
    def resumable(self) -> bool: ...
    async def result(self) -> RunResult: ...
    def interrupt(self, signal: str = "") -> None: ...
    def answer(
        self, node: str, *, approved: bool, by: str | None = None, comment: str | None = None
    ) -> None: ...
    def unattended(self) -> None: ...


class View(Protocol):
    """Shows a run while it runs."""

    def standing(self) -> AbstractContextManager[object]:
        """Open around the run: what others print meanwhile does not get into the view."""
        ...

    def about_to_answer(self, nodes: Sequence[str]) -> bool:
        """True if what one of these asks is being put to somebody."""
        ...

    async def watch(self, handle: Handle) -> None:
        """Show `handle` until it ends or this is cancelled; leaves the terminal as it was."""
        ...

    def note(self, text: str) -> None:
        """Show one line without disturbing the view."""
        ...


class Unasking:
    """The part of a view that asks nothing and stands nowhere."""

    def standing(self) -> AbstractContextManager[object]:
        """Nothing to keep apart."""
        return nullcontext()

    def about_to_answer(self, _nodes: Sequence[str]) -> bool:
        """Nobody is."""
        return False


class Silence(Unasking):
    """Shows nothing."""

    async def watch(self, handle: Handle) -> None:
        """Return at once."""

    def note(self, text: str) -> None:
        """Notes are for people who asked for silence, too: they say why a run ends."""
        output.note(text)


class LineView(Unasking):
    """One line for each thing that happens, and only summaries once there are many."""

    def __init__(self, write: Callable[[str], None] = output.note) -> None:
        self._write = write
        self._left, self._failures_left = LINES_MAX, FAILURES_MAX

    def note(self, text: str) -> None:
        """One line."""
        self._write(text)

    async def watch(self, handle: Handle) -> None:
        """Print events until the run ends; once there are many, only what it has room for is made."""
        import asyncio  # slow to import, and those who only spell events never get here

        summaries = asyncio.get_running_loop().create_task(self._summarise(handle))
        seen, earlier = handle.known, EarlierEvents()
        try:
            async with aclosing(handle.events()) as events:
                async for event in events:
                    if event.seq <= handle.known:
                        earlier.add(event)
                        continue
                    if event.seq == handle.known + 1 and event.type == "run.resumed":
                        self._write(earlier.text(sum(handle.progress().nodes.values())))
                        for question in earlier.asking():
                            self._tell(handle, question)
                    else:
                        self._tell(handle, event)
                    seen = event.seq
                    if not self._left:
                        break
            if self._failures_left and not self._left:
                async for event in handle.notable(seen):
                    self.add(event)
            await handle.ended()
        finally:
            summaries.cancel()

    def _tell(self, handle: Handle, event: RunEvent) -> None:
        self.add(event)
        if event.type == "node.waiting" and "asks" in event.data:
            self._write(f"  {answer_commands(handle.label, event.node or '')[0]}")

    def add(self, event: RunEvent) -> None:
        """Print `event` if there is something to say and room to say it."""
        text = line_of(event)
        if text is None:
            return
        important = event.type in ("node.failed", "node.retrying") or event.type.startswith("run.")
        if self._left > 0:
            self._left -= 1
            self._write(text)
            if self._left == 0:
                self._write(
                    f"… more than {LINES_MAX} lines: from here on only failures and a summary now and then"
                )
        elif important and self._failures_left > 0:
            self._failures_left -= 1
            self._write(text)
            if self._failures_left == 0:
                self._write("… and more failures: `symphony runs show` lists them")

    async def _summarise(self, handle: Handle) -> None:
        import asyncio

        before = ""
        while True:
            await asyncio.sleep(SUMMARY_EVERY_S)
            text = progress_line(handle.progress())
            if self._left == 0 and text != before:
                self._write(text)
            before = text


def counts_text(counts: Mapping[NodeStatus, int]) -> str:
    """`3 succeeded, 1 running`: only what there is."""
    parts = [f"{counts[status]:,} {status}" for status in COUNTED if counts.get(status)]
    return ", ".join(parts) or "no nodes"


def answer_commands(run: str, node: str) -> tuple[str, str]:
    """Return what to type to say yes, and to say no."""
    from shlex import quote

    quoted = quote(output.shown(node))
    return f"symphony runs approve {run} {quoted}", f"symphony runs reject {run} {quoted}"


def progress_line(progress: ProgressView) -> str:
    """Counts and the node that has been running longest."""
    text = counts_text(progress.counts)
    if progress.slowest:
        name, seconds = progress.slowest[0]
        shown = output.shown(titled(name, progress.labels.get(name)))
        text += f"; longest running: {shown}, {output.duration(seconds)}"
    return text


def line_of(event: RunEvent) -> str | None:
    """Return what `event` says to people, or None where it says nothing to them."""
    data, label = event.data, event.data.get("label")
    name = output.shown(titled(event.node or "", label if isinstance(label, str) else None))
    match event.type:
        case "run.started":
            return "run started"
        case "run.resumed":
            return "run resumed"
        case "run.paused":
            return "run is being paused"
        case "run.interrupted":
            return f"run interrupted{_by(data)}"
        case "run.cancelling":
            return "run is being cancelled"
        case "node.started":
            attempt = data.get("attempt")
            return f"{name}: started" + (
                f" (attempt {attempt})" if isinstance(attempt, int) and attempt > 1 else ""
            )
        case "node.queued":
            return f"{name}: queued for {queue_text(data)}"
        case "node.expanded":
            return f"{name}: {output.count(_integer(data.get('count')), 'element')}"
        case "node.opened":
            number = data.get("round")
            return None if number is None else f"{name}: round {_integer(number)}"
        case "node.delayed":
            return f"{name}: waits until {_local(data.get('until'))}"
        case "node.waiting" if "asks" in data:
            return f"{name}: asks: {output.brief(str(data.get('asks')), 300)}"
        case "node.expired":
            return f"{name}: takes too long and is stopped"
        case "node.retrying":
            attempt = data.get("attempt")
            failed = f"attempt {attempt} failed, " if isinstance(attempt, int) else ""
            return f"{name}: {failed}trying again{_because(data)}"
        case "node.finished":
            took = data.get("duration_ms")
            return f"{name}: succeeded" + (f" in {output.duration(took / 1000)}" if _is_number(took) else "")
        case "node.cached":
            return f"{name}: cached"
        case "node.failed":
            again = "" if data.get("final") is not False else ", and is tried again"
            return f"{name}: failed{again}{_because(data)}"
        case "node.skipped" | "node.cancelled" | "node.stopped" | "node.decided" | "node.waiting":
            return f"{name}: {event.type.removeprefix('node.')}{_because(data)}"
    return None


def queue_text(data: Mapping[str, Value]) -> str:
    """Return what a `node.queued` event waits for: `model minilm: all 2 places are taken, 3 before it`."""
    what = " ".join(str(data.get(key)) for key in ("kind", "resource"))
    return waiting_text(what, str(data.get("reason")), _integer(data.get("before")))


def waiting_text(what: str, reason: str, before: int) -> str:
    """Return for what something waits, why, and after how many others."""
    others = f", {before:,} before it" if before else ""
    return f"{output.shown(what)}: {output.brief(reason, 200)}{others}"


def _by(data: Mapping[str, Value]) -> str:
    signal = data.get("signal")
    return f" by {output.shown(signal)}" if isinstance(signal, str) else ""


def _because(data: Mapping[str, Value]) -> str:
    error = data.get("error")
    if isinstance(error, dict):
        code, message = error.get("code"), error.get("message")
        return f": [{output.shown(str(code))}] {output.brief(str(message), 300)}"
    reason = data.get("reason")
    return f": {output.brief(reason, 300)}" if isinstance(reason, str) and reason else ""


def _local(until: Value) -> str:
    """Return a recorded moment, which is in UTC, as people are told all moments."""
    from symphony.commons.moments import epoch_s

    at = epoch_s(until) if isinstance(until, str) else None
    return output.shown(str(until)) if at is None else output.moment(at)


def _is_number(value: Value) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _integer(value: Value) -> int:
    return value if isinstance(value, int) else 0
