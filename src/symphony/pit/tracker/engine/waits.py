"""Delays and approvals: slots that wait for a time or for a person, across restarts."""

from collections.abc import Mapping
from datetime import UTC, datetime

from symphony.commons import moments
from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.core.structure import answered
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.attempt import Finished
from symphony.pit.tracker.nodes.failures import too_late
from symphony.pit.tracker.nodes.work import ApprovalWork, Delay, DelayWork, Work
from symphony.pit.tracker.store.journal import RunRequest
from symphony.workflow.expressions import as_text
from symphony.workflow.model import ControlNode


class Waits:
    """Handles slots that wait. Errors raised here fail the slot.

    A recorded time is by the wall clock, so the time during which no process ran counts too. While a
    process runs, `for` is measured by the monotonic clock. After a restart, the rest of the wait is never
    longer than the whole wait, however the wall clock was set.

    `answers` holds answers given before the question was asked, by node.
    """

    def __init__(self, parts: RunParts, answers: Mapping[str, RunRequest]) -> None:
        self._replay, self._machine, self._bindings = parts.replay, parts.machine, parts.bindings
        self._transitions, self._timers, self._clock = parts.transitions, parts.timers, parts.clock
        self._answers = answers

    def delay(self, slot: int, work: DelayWork) -> None:
        """Begin to wait, or go on waiting after a restart."""
        delay, until = work.delay, self._replay.due.get(slot)
        if until is None:
            until = self._moment(slot, delay)
            self._transitions.parked(slot, until)
        if delay.for_s is not None:
            left = min(delay.for_s, until - self._clock.now_s())
            if work.timeout_s is not None and work.timeout_s < left:
                self._timers.after(slot, work.timeout_s, lambda: self._too_long(slot, work))
            else:
                self._timers.after(slot, left, lambda: self._over(slot))
        elif work.timeout_s is not None and self._started(slot) + work.timeout_s < until:
            self._timers.at(slot, self._started(slot) + work.timeout_s, lambda: self._too_long(slot, work))
        else:
            self._timers.at(slot, until, lambda: self._over(slot))

    def ask(self, slot: int, work: ApprovalWork) -> None:
        """Ask a person; the run goes on without the slot meanwhile."""
        question = as_text(self._bindings.made(work.message, slot, "message"))
        until = None if work.timeout_s is None else moments.later(self._clock.now_s(), work.timeout_s)
        self._transitions.asked(slot, question, until)
        self.remind(slot)
        name = self._machine.name(slot)
        known = self._answers.get(name) or self._answers.get(folded(name))
        if known is not None and self._machine.status[slot] == Status.WAITING:
            self.answer_with(slot, known)

    def remind(self, slot: int) -> None:
        """Set the timer for the deadline of a question that has been asked."""
        until = self._replay.due.get(slot)
        if until is not None and self._machine.status[slot] == Status.WAITING:
            self._timers.at(slot, until, lambda: self._unanswered(slot))

    def answer(self, slot: int, *, approved: bool, by: str | None, comment: str | None) -> None:
        """Finish the slot as a person has decided."""
        self._timers.cancel(slot)
        outputs, taken = answered(approved=approved, by=by, comment=comment)
        self._transitions.finished(slot, Finished(outputs), self._started(slot), taken)

    def answer_with(self, slot: int, request: RunRequest) -> None:
        """Finish the slot as `request` says."""
        self.answer(slot, approved=request.kind == "approve", by=request.by, comment=request.comment)

    # ---- inside ---------------------------------------------------------------------------

    def _moment(self, slot: int, delay: Delay) -> float:
        if delay.until is None:
            assert delay.for_s is not None
            return moments.later(self._clock.now_s(), delay.for_s)
        value = self._bindings.render(delay.until, slot)
        try:
            if not isinstance(value, str):
                raise ValueError
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise SymphonyError(
                f"until gave {beginning(str(value), 60)!r}, which is not a moment",
                code="type-mismatch",
                hint='write timestamp("2030-01-01T00:00:00Z")',
            ) from None
        return moments.within((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())

    def _over(self, slot: int) -> None:
        if self._machine.status[slot] == Status.RUNNING:
            self._transitions.finished(slot, Finished({}), self._started(slot))

    def _too_long(self, slot: int, work: Work) -> None:
        if self._machine.status[slot] == Status.RUNNING:
            self._transitions.failed(slot, too_late(work), self._started(slot))

    def _unanswered(self, slot: int) -> None:
        """Do what `on_timeout` says, because nobody answered in time."""
        if self._machine.status[slot] != Status.WAITING:
            return
        work = self._bindings.work(slot)
        assert isinstance(work.node, ControlNode)  # only approvals wait for a person with a deadline
        what = work.node.on_timeout or "fail"
        if what != "fail":
            self.answer(slot, approved=what == "approve", by=None, comment=None)
            return
        error = SymphonyError(
            f"nobody answered within {work.node.timeout}",
            code="timeout",
            hint="answer in time, with symphony runs approve or reject; or raise timeout",
        )
        self._transitions.failed(slot, error, self._started(slot))

    def _started(self, slot: int) -> float:
        return self._replay.started.get(slot, self._clock.now_s())
