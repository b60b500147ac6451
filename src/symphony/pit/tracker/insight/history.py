"""The history of a run, step by step, made from its events alone. Pure.

A step is whatever has a full name: a node, `parse[3]`, `refine#2.draft`. The summary, the metrics and
the traces are all made from here, so that they agree; nothing is counted while nodes run.
"""

from collections.abc import Iterable, Iterator

import msgspec

from symphony.pit.tracker.core.names import parent_of
from symphony.pit.tracker.core.replay import INTERRUPTED
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus, RunEvent, RunStatus

_ENDS = {
    "node.finished": NodeStatus.SUCCEEDED,
    "node.cached": NodeStatus.CACHED,
    "node.failed": NodeStatus.FAILED,
    "node.skipped": NodeStatus.SKIPPED,
    "node.cancelled": NodeStatus.CANCELLED,
}


class Attempt(msgspec.Struct):
    """One try. Times are epoch seconds; `error` is a code, `finished_at` None while it runs.

    `ready_at`: since when it could have begun, where that is known from events.
    """

    started_at: float
    finished_at: float | None = None
    error: str | None = None
    message: str = ""
    ready_at: float | None = None

    @property
    def took_s(self) -> float:
        """Return how long it took, 0 while it runs; clocks that jumped back do not make it negative."""
        return 0.0 if self.finished_at is None else max(0.0, self.finished_at - self.started_at)


class Step(msgspec.Struct):
    """One named part of a run. `count` is the number of elements of a fan-out, None for anything else."""

    name: str
    status: NodeStatus = NodeStatus.PENDING
    attempts: list[Attempt] = msgspec.field(default_factory=list)
    opened_at: float | None = None
    finished_at: float | None = None
    count: int | None = None
    label: str | None = None
    """For an element of a fan-out and for what runs inside one."""
    cached_from: str | None = None
    usage: Usage | None = None
    """What the models of all its attempts used."""
    queued_s: float = 0.0
    """For how long it waited for grants, in seconds."""
    queued_at: float | None = None
    """Since when it has been waiting for one."""
    retry_at: float | None = None
    """When the back-off before the next attempt was over."""

    @property
    def started_at(self) -> float | None:
        """When it first began."""
        return self.attempts[0].started_at if self.attempts else self.opened_at

    @property
    def retries(self) -> int:
        """Attempts after a failed one."""
        return sum(one.error not in (None, INTERRUPTED) for one in self.attempts[:-1])


class History:
    """The steps of one run in the order in which they were first heard of."""

    def __init__(self, events: Iterable[RunEvent] = ()) -> None:
        self.steps: dict[str, Step] = {}
        self.owners: list[float] = []  # when a process took the run over
        self.status = RunStatus.PENDING
        self.last_at: float | None = None
        self.ended_at: float | None = None
        self.answered: list[str] = []
        """The approvals that have been answered since anything else happened: nobody has gone on yet."""
        self._asked: set[str] = set()
        self._running: dict[str, Step] = {}
        self._queued: dict[str, Step] = {}
        self._rounds: dict[str, Step] = {}  # the round that each loop is in
        for event in events:
            self.add(event)

    @property
    def began_at(self) -> float | None:
        """When the first process took it; epoch seconds."""
        return self.owners[0] if self.owners else None

    @property
    def took_s(self) -> float:
        """From the first owner to the end, or to the last event while it goes on."""
        if self.began_at is None or self.last_at is None:
            return 0.0
        return max(0.0, (self.ended_at or self.last_at) - self.began_at)

    def add(self, event: RunEvent) -> None:
        """Take the next event. Types that mean nothing here are passed over."""
        if event.type in ("run.started", "run.resumed"):
            self._lose_attempts(self.last_at)
            self.owners.append(event.at)
            self.status = RunStatus.RUNNING
        elif event.type == "run.interrupted":
            self._lose_attempts(event.at)
            self.status = RunStatus.INTERRUPTED
        elif event.type == "run.finished":
            self.ended_at = event.at
            self.status = RunStatus(str(event.data.get("status", RunStatus.FAILED)))
        elif event.node is not None:
            self._of_step(event, event.node)
        self._mind_answers(event)
        self.last_at = event.at if self.last_at is None else max(self.last_at, event.at)

    def ready_at(self, step: Step, before: Iterable[str]) -> float | None:
        """Since when its first attempt could have begun: `before` are the steps it waited for.

        None where it is not known. Time in which no process owned the run does not count.
        """
        if not step.attempts:
            return None
        started = step.attempts[0].started_at
        parent = self.steps.get(parent_of(step.name) or "")
        ends = [found.finished_at for name in before if (found := self.steps.get(name)) is not None]
        known = [at for at in ends if at is not None and at <= started]
        if step.name.endswith("]") and parent is not None and parent.opened_at is not None:
            known.append(parent.opened_at)
        if not known and parent is not None and parent.started_at is not None:
            known.append(parent.started_at)
        if not known and parent_of(step.name) is not None:
            return None
        known += [at for at in self.owners if at <= started]
        return max(known, default=None)

    def leaves(self) -> Iterator[Step]:
        """The steps that did work themselves: no fan-outs, no loops, no sub-workflows."""
        parents = {parent_of(name) for name in self.steps}
        for name, step in self.steps.items():
            if step.count is None and name not in parents:
                yield step

    # ---- inside ---------------------------------------------------------------------------

    def _lose_attempts(self, at: float | None) -> None:
        """End the attempts under way, whose process is gone: at `at`, None if the time is not known."""
        for step in self._running.values():
            step.attempts[-1].finished_at, step.attempts[-1].error = at, INTERRUPTED
        self._running.clear()
        for name in list(self._queued):
            self._leave_queue(name, at)

    def _mind_answers(self, event: RunEvent) -> None:
        if event.node is not None and event.type == "node.finished" and event.node in self._asked:
            self.answered.append(event.node)
            return
        self.answered.clear()
        if event.node is not None and event.type == "node.waiting" and "asks" in event.data:
            self._asked.add(event.node)

    def _of_step(self, event: RunEvent, name: str) -> None:
        step = self.steps.get(name)
        if step is None:
            step = self.steps[name] = Step(name)
        if isinstance(label := event.data.get("label"), str):
            step.label = label
        if event.type == "node.started":
            step.status = NodeStatus.RUNNING
            step.attempts.append(Attempt(event.at, ready_at=step.retry_at))
            self._running[name] = step
        elif event.type == "node.retrying":
            step.retry_at, step.status = event.at, NodeStatus.RUNNING
        elif event.type == "node.queued":
            step.status, step.queued_at = NodeStatus.PENDING, event.at
            self._queued[name] = step
        elif event.type == "node.granted":
            self._leave_queue(name, event.at)
        elif event.type == "node.expanded":
            count = event.data.get("count")
            step.count, step.opened_at = (count if isinstance(count, int) else 0), event.at
            step.status = NodeStatus.RUNNING
        elif event.type == "node.opened":
            self._opened(step, event)
        elif event.type == "node.delayed":
            step.opened_at = event.at if step.opened_at is None else step.opened_at
            step.status = NodeStatus.RUNNING
        elif event.type == "node.waiting":
            step.status = NodeStatus.WAITING
        elif event.type == "node.stopped":
            _note_usage(step, event)
        elif event.type in _ENDS:
            self._ended(step, event)

    def _leave_queue(self, name: str, at: float | None) -> None:
        step = self._queued.pop(name, None)
        if step is not None and step.queued_at is not None:
            step.queued_s += max(0.0, (step.queued_at if at is None else at) - step.queued_at)
            step.queued_at = None

    def _opened(self, step: Step, event: RunEvent) -> None:
        """A graph inside the step begins: a sub-workflow, or a round of a loop."""
        step.status = NodeStatus.RUNNING
        number = event.data.get("round")
        if not number:
            step.opened_at = event.at
        if isinstance(number, int):
            self._close_round(step, NodeStatus.SUCCEEDED, event.at)
            name = f"{step.name}#{number}"
            opened = self._rounds[step.name] = Step(name, NodeStatus.RUNNING, opened_at=event.at)
            self.steps[name] = opened

    def _close_round(self, step: Step, status: NodeStatus, at: float) -> None:
        last = self._rounds.pop(step.name, None)
        if last is not None:
            last.status, last.finished_at = status, at

    def _ended(self, step: Step, event: RunEvent) -> None:
        step.status, step.finished_at = _ENDS[event.type], event.at
        self._leave_queue(step.name, event.at)
        self._close_round(step, step.status, event.at)
        took = event.data.get("duration_ms")
        worked = isinstance(took, int | float)
        running = self._running.pop(step.name, None)
        if running is None and worked:
            step.attempts.append(Attempt(event.at, ready_at=step.retry_at))
        if running is not None or worked:
            attempt = step.attempts[-1]
            attempt.finished_at = event.at
            if isinstance(took, int | float):
                attempt.started_at = event.at - took / 1000
            attempt.error, attempt.message = _error(event)
        source = event.data.get("from_run")
        step.cached_from = source if isinstance(source, str) else None
        _note_usage(step, event)


def _note_usage(step: Step, event: RunEvent) -> None:
    usage = event.data.get("usage")
    if isinstance(usage, dict):
        step.usage = (step.usage or Usage()) + msgspec.convert(usage, Usage, strict=False)


def _error(event: RunEvent) -> tuple[str | None, str]:
    if event.type == "node.cancelled":
        return "cancelled", ""
    if event.type != "node.failed":
        return None, ""
    error = event.data.get("error")
    if isinstance(error, dict):
        return str(error.get("code", "failed")), str(error.get("message", ""))
    return "failed", ""
