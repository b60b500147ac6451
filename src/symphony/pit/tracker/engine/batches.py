"""Gathers attempts of short operators, and runs them in threads in batches.

The attempts of one operator that become ready in one turn of the loop go together, as many as fit in
`measures.BATCH_S`. A batch runs its members one after the other. If one turns out to be slow, the members
behind it are taken back and go to another thread.
"""

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor as Pool
from functools import partial

from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.engine.worths import Worths
from symphony.pit.tracker.nodes.attempt import NodeAttempt
from symphony.pit.tracker.nodes.batch import Batch, BatchMember
from symphony.pit.tracker.nodes.failures import NotStored
from symphony.pit.tracker.nodes.measures import SLOW_BATCH_S, SLOW_S, Pace
from symphony.pit.tracker.nodes.reading import reads_files
from symphony.pit.tracker.nodes.sizes import quickly_hashed
from symphony.pit.tracker.nodes.work import OperatorWork
from symphony.ports.values import ArtifactRef, StoredValue


class Batches:
    """Runs slots whose operators are short, in `pool`. Use from the run's loop."""

    def __init__(self, parts: RunParts, pool: Pool) -> None:
        self._machine, self._bindings, self._executor = parts.machine, parts.bindings, parts.executor
        self._transitions, self._pool, self._bug = parts.transitions, pool, parts.bug
        self._loop = asyncio.get_running_loop()
        self._members: dict[int, BatchMember] = {}
        self._gathered: dict[str, list[BatchMember]] = {}  # by operator
        self._paces: dict[str, Pace] = {}
        self._worths = Worths(parts)
        self._files: dict[str, bool] = {}  # by operator: whether its inputs may name files
        self._active: set[Batch] = set()
        self._watching: asyncio.TimerHandle | None = None
        self._looks = 0  # how often we have looked for slow members

    @property
    def slots(self) -> list[int]:
        """Return the slots with an attempt that waits for a batch or is under way."""
        return list(self._members)

    @property
    def busy(self) -> bool:
        """True if anything is under way."""
        return bool(self._members)

    def add(self, slot: int, work: OperatorWork) -> bool:
        """Add an attempt to the next batch; False if it is not suited to one. Raises Deferred."""
        inputs = self._bindings.looked_up(slot, work)
        if inputs is None and not self._bindings.at_hand(slot, work):
            return False
        attempt = self._attempt(slot, work, inputs)
        if isinstance(attempt, Exception):
            self._transitions.started(slot, self._machine.attempts[slot])
            self._transitions.failed(slot, attempt, self._executor.clock.now_s())
            return True
        if self._heavy(attempt, work):
            return False
        worth = self._worths.of(slot, work, lambda: self._quick(attempt))
        member = self._members[slot] = BatchMember(
            slot, attempt, worth, self._executor.clock.now_s(), self._looks
        )
        self._gathered.setdefault(work.runs, []).append(member)
        return True

    def quick(self, slot: int) -> bool:
        """True if results of the fan-out's elements were not kept because it is quicker to run them again."""
        return self._worths.quick(slot)

    def _attempt(
        self, slot: int, work: OperatorWork, inputs: dict[str, StoredValue] | None
    ) -> NodeAttempt | Exception:
        """Return the attempt with its expressions evaluated, or the error if one fails. Raises Deferred."""
        try:
            if inputs is None:
                inputs = self._bindings.inputs(slot, work)
            if work.artifact_name is not None:
                work = self._bindings.named(slot, work)
            if work.config:
                work = self._bindings.configured(slot, work)
        except Exception as error:  # noqa: BLE001  (it fails the attempt alone)
            return error
        number, base = self._machine.attempts[slot], self._bindings.base(slot)
        afresh = self._bindings.afresh is not None and self._bindings.afresh(slot)
        return NodeAttempt(work, inputs, self._machine.name(slot), number, base, afresh=afresh)

    def _heavy(self, attempt: NodeAttempt, work: OperatorWork) -> bool:
        """True if the operator's own bounds say that the call is one for a worker process."""
        operator = work.operator
        if operator.bounds is None:
            return False
        plain = {k: v for k, v in attempt.inputs.items() if not isinstance(v, ArtifactRef)}
        return len(plain) != len(attempt.inputs) or operator.bounds.heavy(plain)

    def flush(self) -> None:
        """Hand the gathered members to threads."""
        gathered, self._gathered = self._gathered, {}
        for operator, members in gathered.items():
            self._submit(operator, [member for member in members if not member.stopped])

    def _submit(self, operator: str, members: Sequence[BatchMember]) -> None:
        pace = self._paces.setdefault(operator, Pace())
        context, size = contextvars.copy_context(), pace.size
        if pace.found:
            members = self._taken(members, pace, context)
        for at in range(0, len(members), size):
            batch = Batch(self._executor, context, deque(members[at : at + size]))
            if self._active:
                batch.alone = False
                for other in self._active:
                    other.alone = False
            self._active.add(batch)
            future = self._loop.run_in_executor(self._pool, batch.run)
            future.add_done_callback(partial(self._back, batch, pace))
        self._go_on_watching()

    def _back(self, batch: Batch, pace: Pace, future: "asyncio.Future[None]") -> None:
        """Report a batch whose thread is done with it."""
        self._active.discard(batch)
        try:
            if not future.cancelled():
                future.result()
                if batch.done:
                    pace.found = batch.found == batch.done
                    pace.note(batch.took_s, batch.done, batch.worked_s, alone=batch.alone)
            self._report(batch)
        except BaseException as error:  # noqa: BLE001  (a bug must end the run, not stall it)
            self._bug(error)

    def _taken(
        self, members: Sequence[BatchMember], pace: Pace, context: contextvars.Context
    ) -> list[BatchMember]:
        """End the members whose results are in the cache, on the loop. Return the other members.

        If the last results were all found, going to a thread would cost as much as the lookup.
        """
        batch, others = Batch(self._executor, context, deque()), list[BatchMember]()
        for member in members:
            (batch.waiting if self._quick(member.attempt) else others).append(member)
        batch.look_up()
        batch.take_hits()
        others += batch.take_back()
        pace.found = not others
        self._report(batch)
        return others

    def _quick(self, attempt: NodeAttempt) -> bool:
        """True if the loop can make the attempt's key, and take its result."""
        work = attempt.work
        if work.node.artifact is not None or self._executor.cache is None:
            return False
        files = self._files.get(work.runs)
        if files is None:
            reads = isinstance(work, OperatorWork) and work.operator.reads is not None
            files = self._files[work.runs] = reads or reads_files(work)
        return not files and all(map(quickly_hashed, attempt.inputs.values()))

    def _go_on_watching(self) -> None:
        if self._watching is None and self._active:
            self._watching = self._loop.call_later(SLOW_S, self._watch)

    def _watch(self) -> None:
        """Look for slow members: report what has ended, and move what they hold up to other threads."""
        self._watching, now = None, time.monotonic()
        try:
            self._announce_old()
            for batch in list(self._active):
                if batch.since_s is None or batch.began_s is None:
                    continue  # it waits for a thread
                if now - batch.since_s < SLOW_S and now - batch.began_s < SLOW_BATCH_S:
                    continue
                if batch.left:
                    self._pass_on(batch, now)
                if batch.ended:
                    batch.keep()
                    self._report(batch)
        except BaseException as error:  # noqa: BLE001
            self._bug(error)
        self._go_on_watching()

    def _announce_old(self) -> None:
        """Record the start of the attempts that were already there when we last looked.

        Nothing depends on this record, because a pure function may run again. If an attempt ends before,
        the record of its end says when it began.
        """
        for member in self._members.values():
            if member.look >= self._looks:
                break  # members are in the order in which they were added
            self._announce(member)
        self._looks += 1

    def _announce(self, member: BatchMember) -> None:
        if not member.announced:
            member.announced = True
            self._transitions.started(member.slot, member.attempt.number, member.gathered)

    def _pass_on(self, batch: Batch, now: float) -> None:
        """Move the members that have not begun to other threads."""
        members = [member for member in batch.take_back() if not member.stopped]
        if members and batch.began_s is not None:
            operator = members[0].attempt.work.runs
            self._paces.setdefault(operator, Pace()).note(now - batch.began_s, batch.done + 1)
            self._submit(operator, members)

    def _report(self, batch: Batch) -> None:
        """Report every member that has ended since the last call."""
        while batch.ended:
            self._told(batch.ended.popleft())
        self._transitions.woken.set()

    def _told(self, member: BatchMember) -> None:
        slot, error = member.slot, member.error
        if member.stopped:
            return
        del self._members[slot]
        if isinstance(error, NotStored):
            self._transitions.halt(error.why)
        elif error is not None:
            self._transitions.failed(slot, error, member.started)
        elif self._machine.frame(slot).stopping is not None:
            self._announce(member)
            self._transitions.cancelled(slot)
        else:
            self._transitions.gave(
                slot, member.outputs, member.body, member.started, member.cached_from, quick=member.spared
            )

    def stop(self, slot: int) -> bool:
        """Cancel the slot's attempt; False if it has none here. The result of a call under way is dropped."""
        member = self._members.pop(slot, None)
        if member is None:
            return False
        member.stopped = True
        self._announce(member)
        self._transitions.cancelled(slot)
        return True

    def close(self) -> None:
        """End with the run, and keep the results that were held back for lack of measurements."""
        if untold := self._worths.untold():
            self._executor.hits.keep(untold)
        self.abort()

    def abort(self) -> None:
        """Stop reporting."""
        for member in self._members.values():
            member.stopped = True
        self._members.clear()
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
