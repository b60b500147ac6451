"""Steering a run from outside: asks its owner, or writes its journal where no process owns it. Blocking."""

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.values.codec import encode_value
from symphony.pit.tracker.core.machine import Do
from symphony.pit.tracker.core.masking import shown_outputs
from symphony.pit.tracker.core.outstanding import outstanding
from symphony.pit.tracker.core.records import (
    CancelledRecord,
    CancelRecord,
    EndedRecord,
    FinishedRecord,
    PausedRecord,
    Record,
)
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.core.structure import answered
from symphony.pit.tracker.store import journal
from symphony.pit.tracker.store.journal import RunRequest, SqliteStore
from symphony.pit.tracker.store.locks import RunBusy, RunLock
from symphony.ports.clock import Clock
from symphony.ports.runs import RunStatus
from symphony.ports.steering import Reached

OWNER_ANSWERS_S = 3.0
_LOOK_EVERY_S = 0.05


class Steered(Protocol):
    """The runs of a home, as far as requests of them go."""

    def journal_path(self, run_id: str) -> Path: ...
    def lock(self, run_id: str) -> RunLock: ...
    def replay(self, run_id: str) -> RunReplay: ...
    def records(self, run_id: str) -> Sequence[Record]: ...
    def end_orphans(self, run_id: str) -> int: ...
    def label(self, run_id: str) -> str: ...


class RunRequests:
    """Cancels, pauses and answers."""

    def __init__(self, runs: Steered, clock: Clock) -> None:
        self._runs, self._clock = runs, clock

    def ask(self, run_id: str, request: RunRequest) -> Reached:
        """See to it that `request` is done; durable when this returns.

        Raises SymphonyError `run-ended`, `not-waiting`, RunNotFound, JournalFailed.
        """
        slot = self._asking(self._check(run_id, request), request)
        path, lock = self._runs.journal_path(run_id), self._runs.lock(run_id)
        number, left = None, OWNER_ANSWERS_S
        while True:
            try:
                lock.acquire(os.getpid())
            except RunBusy:
                if number is None:
                    number = journal.request(path, request)
                elif not journal.is_asked(path, number):
                    if slot is None or self._was_done(run_id, request, slot):
                        return Reached.OWNER
                    self._check(run_id, request)
                    number = None  # the owner was just ending, and let it be: it is asked once more
                elif left <= 0:
                    return Reached.LEFT
                threading.Event().wait(_LOOK_EVERY_S)
                left -= _LOOK_EVERY_S
                continue
            try:
                if number is not None and self._was_done(run_id, request, slot):
                    return Reached.OWNER if self._runs.replay(run_id).ended is not None else Reached.HERE
                self._here(run_id, request, number)
                return Reached.HERE
            finally:
                lock.release()

    def _was_done(self, run_id: str, request: RunRequest, slot: int | None) -> bool:
        """Return whether the journal shows the request done; its owner may have ended before it settled it.

        `slot` is what is answered. Equal answers of one person are the same answer.
        """
        if slot is None:
            replay = self._runs.replay(run_id)
            if request.kind == "pause":
                return replay.machine.paused and replay.stopped_by is None
            return replay.ended is not None and replay.ended[0] is RunStatus.CANCELLED
        outputs, taken = answered(approved=request.kind == "approve", by=request.by, comment=request.comment)
        return any(
            isinstance(record, FinishedRecord)
            and record.slot == slot
            and record.taken == taken
            and isinstance(record.outputs, bytes)
            and shown_outputs(record.outputs).get("by") == outputs["by"]
            for record in self._runs.records(run_id)
        )

    @staticmethod
    def _asking(replay: RunReplay, request: RunRequest) -> int | None:
        return None if request.node is None else replay.waiting()[request.node]

    def _check(self, run_id: str, request: RunRequest) -> RunReplay:
        replay = self._runs.replay(run_id)
        if replay.ended is not None:
            raise SymphonyError(
                f"the run has ended: {replay.ended[0]}",
                code="run-ended",
                hint=f"to run it again: symphony runs rerun {self._runs.label(run_id)}",
            )
        if request.node is not None:
            waiting = replay.waiting()
            if waiting.get(request.node) not in replay.asked:
                asked = [name for name, slot in waiting.items() if slot in replay.asked]
                raise SymphonyError(
                    f"node {request.node!r} is not waiting for an answer",
                    code="not-waiting",
                    hint=f"these are: {', '.join(asked)}" if asked else "no node of the run is",
                )
        return replay

    def _here(self, run_id: str, request: RunRequest, number: int | None) -> None:
        """Write what is asked into the journal of a run whose lock is held."""
        replay = self._check(run_id, request)  # again: it may have ended meanwhile
        if request.kind == "cancel":
            self._runs.end_orphans(run_id)
        store = SqliteStore.own(self._runs.journal_path(run_id))
        try:
            store.commit(_RECORDS[request.kind](replay, request, self._clock.now_s()))
            if number is not None:
                store.settled([number])
        finally:
            store.close()


def _pause(_: RunReplay, __: RunRequest, now: float) -> list[Record]:
    return [PausedRecord(0, now)]


def _answer(replay: RunReplay, request: RunRequest, now: float) -> list[Record]:
    slot = replay.waiting()[request.node or ""]
    outputs, taken = answered(approved=request.kind == "approve", by=request.by, comment=request.comment)
    return [FinishedRecord(slot, now, replay.started.get(slot, now), encode_value(outputs), taken, None)]


def _cancel(replay: RunReplay, _: RunRequest, now: float) -> list[Record]:
    """Everything is stopped at once: nothing runs without an owner."""
    records: list[Record] = [CancelRecord(0, now)]
    replay.apply(records[0])
    while not replay.machine.done:
        stops = [command for command in outstanding(replay.machine) if command.do is Do.STOP]
        assert stops  # else the machine would have ended
        for command in stops:
            record = CancelledRecord(command.slot, now)
            replay.apply(record)
            records.append(record)
    records.append(EndedRecord(0, now, str(RunStatus.CANCELLED), None, None))
    return records


_RECORDS: dict[str, Callable[[RunReplay, RunRequest, float], list[Record]]] = {
    "cancel": _cancel,
    "pause": _pause,
    "approve": _answer,
    "reject": _answer,
}
