"""A handle on a run in this process, for the code that started it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Literal

import msgspec

from symphony.app.live import LiveBus
from symphony.app.telling import Telling
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine import standing
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.store.journal import RunRequest
from symphony.pit.tracker.store.logs import RunLog
from symphony.ports.insight import FanOutProgress, MadeArtifact, OpenQuestion, Overview, QueueProgress
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunWarning, short_id
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import ArtifactRef, Value

FAILURES_SHOWN: Final = 4


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """A live look at a run: nodes by status, and (name, seconds) of those running longest."""

    counts: Mapping[NodeStatus, int]
    slowest: Sequence[tuple[str, float]]
    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The labels of those that are elements of fan-outs, or are inside one."""
    saying: Mapping[str, str] = msgspec.field(default_factory=dict)
    """The last words of their models."""
    failed: int = 0
    """The number of failed attempts."""
    failures: Sequence[RunEvent] = ()
    """The first few of these."""
    latest: Sequence[RunEvent] = ()
    """The last few results, the newest last."""
    tries: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """The number of the attempt, and of all attempts, for those running longest that are tried again."""
    nodes: Mapping[NodeStatus, int] = msgspec.field(default_factory=dict)
    """The workflow's own nodes by status: elements, rounds and inner nodes do not count."""
    fans: Sequence[FanOutProgress] = ()
    """Fan-outs under way."""
    queues: Sequence[QueueProgress] = ()
    """What nodes wait for until it is granted to them."""
    questions: Sequence[OpenQuestion] = ()
    """What people are asked and have not answered."""
    took_s: float = 0.0
    """The time since the run began."""


class LazyOverview:
    """The overview of a run. Once the run has ended, it is computed once, whichever threads ask."""

    def __init__(self, replay: RunReplay) -> None:
        self._replay, self._lock = replay, threading.Lock()
        self._found: Overview | None = None

    def overview(self) -> Overview:
        """Return how it stands, or went. Blocking: a second for some hundred thousand elements."""
        with self._lock:
            found = self._found or overview_of(self._replay)
            if self._replay.ended is not None:
                self._found = found
            return found


class RunHandle:
    """A run in this process."""

    def __init__(
        self,
        run_id: str,
        engine: Engine,
        seen: LazyOverview,
        task: "asyncio.Task[RunResult]",
        log: RunLog,
        live: LiveBus,
        *,
        name: str | None = None,
        only: tuple[str, ...] = (),
        unhidden: Sequence[str] = (),
        unset: Sequence[str] = (),
        marks: Mapping[str, str] = {},
        artifacts: Callable[[], Sequence[MadeArtifact]] = tuple,
        resumable: bool = True,
        telling: Telling | None = None,
        known: int = 0,
    ) -> None:
        """`unhidden`: listed variables and keys whose values are too short to be hidden.

        `unset`: listed variables that are not set, but are given to commands or put into texts.
        """
        self.name = name
        """What the run is called."""
        self.only = only
        """The nodes that it was begun for, if these and what they need are all that it has."""
        self.artifacts = artifacts
        """What nodes declared as artifacts and have made so far. Blocking; reads the journal."""
        self.resumable = resumable
        """Return whether another process can go on with the run: not if it is in memory."""
        self.known = known
        """How many events earlier processes have recorded; `events` begins with these."""
        self._telling = telling
        self.unhidden, self.unset = unhidden, unset
        self.overview = seen.overview
        """How the run stands or went, in a size that does not grow with its elements."""
        self.run_id, self._engine, self._log, self._live = run_id, engine, log, live
        self.task = task
        """The run itself; it ends as `result` does."""
        self.reused: ReuseSummary | None = None
        """What a rerun takes from another run."""
        self.changed_code: Sequence[str] = ()
        """Operators whose code has changed since a run that goes on began."""
        self.marks = marks
        """What every process of the run carries in its environment."""

    @property
    def label(self) -> str:
        """Return what people call the run, and may type: its name, or what is shown of its id."""
        return self.name or short_id(self.run_id)

    def events(self) -> AsyncGenerator[RunEvent, None]:
        """Return every durable event from the start; ends with the run."""
        return self._live.follow(self.run_id, self._engine.feed)

    def notable(self, after: int = 0) -> AsyncIterator[RunEvent]:
        """Yield the durable events after number `after` about failures, further tries and the run itself.

        Of very many it yields the first 1,000. A caller that needs no more spares the run telling of the
        others.
        """
        return self._engine.feed.notable(after)

    async def ended(self) -> None:
        """Return when nothing more happens in this process; raises nothing."""
        await self._engine.feed.ended()

    async def live(self) -> AsyncIterator[RunEvent]:
        """Yield what `events` gives, and between them what models write, as `node.tokens`, from now on.

        Tokens are not durable, and void if their attempt fails.
        """
        feed = self._engine.feed
        told = feed.told
        with feed.reader() as reader:
            while True:
                events, tokens = reader.take(), feed.live_since(told)
                told = feed.told
                for event in (*tokens, *events):
                    yield event
                if feed.told == told and feed.count == reader.at:
                    if feed.closed:
                        return
                    await feed.news()

    def progress(self) -> Progress:
        """Return how it stands now, without waiting."""
        running, replay, now = self._engine.slowest(), self._engine.replay, self._engine.clock.now_s()
        slowest = [(name, seconds) for name, _, seconds, _ in running]
        saying = {name: said for name, _ in slowest if (said := self._log.tail(name))}
        feed = self._engine.feed
        return Progress(
            counts=self._engine.counts(),
            slowest=slowest,
            labels={name: label for name, label, _, _ in running if label is not None},
            tries=standing.tries(replay, [(name, slot) for name, _, _, slot in running]),
            nodes=replay.counts(),
            fans=standing.fans(replay),
            queues=self._engine.queues(),
            questions=standing.questions(replay, now),
            took_s=replay.took_s(now) or 0.0,
            saying=saying,
            failed=feed.failed,
            failures=feed.failures(FAILURES_SHOWN),
            latest=feed.latest(),
        )

    async def result(self) -> RunResult:
        """Wait for the end and return the result. Raises JournalFailed if the run could not be recorded."""
        return msgspec.structs.replace(await asyncio.shield(self.task), name=self.name, only=self.only)

    def load(self, ref: ArtifactRef) -> Value:
        """Return the value behind a reference that is an output of this run, secrets and all. Blocking.

        Raises ArtifactMissing, ArtifactCorrupt, SecretMissing.
        """
        return self._engine.load(ref)

    def cancel(self) -> None:
        """Cancel durably; running nodes are stopped. Call it on the loop's thread."""
        self._engine.cancel()

    def warn_by(self, warn: Callable[[RunWarning], None]) -> None:
        """Give `warn` what goes wrong beside the run, which would be logged. Call it on the loop's thread."""
        if self._telling is not None:
            self._telling.warn = warn

    def interrupt(self, signal: str = "") -> None:
        """Stop what runs and leave the run `interrupted`: `Symphony.resume` goes on as after a crash.

        `signal` names what asks for it, such as SIGTERM, for people who look at the run. A run in memory,
        which nobody could resume, is cancelled. A run that is about to end does so. Call it on the
        loop's thread; `result` returns once everything has stopped.
        """
        if self._telling is not None:
            self._telling.stop()
        if self.resumable:
            self._engine.interrupt(signal)
        else:
            self._engine.cancel()

    def pause(self) -> None:
        """Pause durably: nothing more begins, what runs ends, then the run ends as `paused`."""
        self._engine.pause()

    def unattended(self) -> None:
        """Note that nobody is there to answer any more: see `Symphony.attended`. Call it on the loop's
        thread.
        """
        self._engine.unattended()

    def answer(self, node: str, *, approved: bool, by: str | None = None, comment: str | None = None) -> None:
        """Answer what an approval asks, now or whenever it does. Call it on the loop's thread.

        `node` is a full name; one without numbers, such as `loop.gate`, means every round and element.
        An answer given in advance lives as long as this process.
        """
        kind: Literal["approve", "reject"] = "approve" if approved else "reject"
        self._engine.answer(node, RunRequest(kind=kind, node=node, by=by, comment=comment))
