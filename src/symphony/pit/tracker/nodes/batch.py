"""Runs attempts of short operators in a thread together.

Each attempt runs as it would alone in `execution`, with its own context, log, errors, key and time. Only
the trips to the thread and to the cache are shared.
"""

import contextvars
import time
from collections import deque
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from symphony.commons.forks import end_copy, generation
from symphony.commons.raised import contained
from symphony.pit.artifacts.cache.results import CacheEntry
from symphony.pit.artifacts.values.codec import encode_value
from symphony.pit.tracker.nodes.attempt import Finished, NodeAttempt
from symphony.pit.tracker.nodes.checking import check_inputs, check_outputs, check_references
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.keys import KeyOfInputs, Known
from symphony.pit.tracker.nodes.measures import CHEAP_S, Kept, Worth
from symphony.pit.tracker.nodes.reading import FilesRead
from symphony.pit.tracker.nodes.sizes import surely_small
from symphony.pit.tracker.nodes.storing import Encoded
from symphony.pit.tracker.nodes.work import CallWork, OperatorWork
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.sdk.sizes import ports_of

T = TypeVar("T")

_NO_FILES = FilesRead(0.0)
"""The files of attempts without a key: none."""


class BatchMember(msgspec.Struct, eq=False):
    """One attempt of a batch, and how it ended: with `outputs` or an `error`.

    `stopped`: its result is no longer wanted. `outputs` have been checked, and `body` is their form in the
    journal; `cached_from` is the run that they were taken from.
    """

    slot: int
    attempt: NodeAttempt
    worth: Worth
    gathered: float
    """When the attempt was ready, in seconds since the epoch."""
    look: int = 0
    """How many looks for slow members there had been by then. `announced`: True if its start is recorded."""
    announced: bool = False
    stopped: bool = False
    spared: bool = False
    """True if its result is not kept because it is quicker to run again."""
    key: str | None = None
    seen: FilesRead = _NO_FILES
    hit: CacheEntry | None = None
    asks_alone: bool = False
    started: float = 0.0
    outputs: Mapping[str, StoredValue] = {}
    body: bytes = b""
    cached_from: str | None = None
    error: Exception | None = None


class Batch(msgspec.Struct, eq=False):
    """Members in the order in which `run` calls them, in a thread.

    A thread that takes a member out of `waiting` or `looked_up` owns it. Taking one is atomic, so the loop
    may take back members that a slow one holds up.
    """

    executor: Executor
    context: contextvars.Context
    waiting: deque[BatchMember]
    looked_up: deque[BatchMember] = msgspec.field(default_factory=deque)
    ended: deque[BatchMember] = msgspec.field(default_factory=deque)
    kept: deque[Kept] = msgspec.field(default_factory=deque)
    _known: Known = msgspec.field(default_factory=dict)
    _work: CallWork | None = None
    """The work of the last key that was made; `_of_inputs` makes the keys of the same work."""
    _of_inputs: KeyOfInputs | None = None
    _plain: CallWork | None = None
    """The work of the last key, if its inputs cannot hold secrets; else None."""
    since_s: float | None = None
    """When the thread began its present step, by `time.monotonic`; None if it has not begun."""
    began_s: float | None = None
    """When the thread began with the first member, by `time.monotonic`."""
    took_s: float = 0.0
    """Seconds that all members took; `worked_s` is the processor time of that."""
    worked_s: float = 0.0
    _noted_s: float = 0.0
    """The thread's processor time in seconds when the last call began."""
    done: int = 0
    """How many members have ended; the results of `found` of them came from the cache."""
    found: int = 0
    alone: bool = True
    """True if no other batch was under way meanwhile. Others make it take longer than it has to."""

    @property
    def left(self) -> bool:
        """True if there are members that have not begun."""
        return bool(self.waiting or self.looked_up)

    def take_back(self) -> list[BatchMember]:
        """Take out and return the members that have not begun. The thread ends after its present member."""
        out: list[BatchMember] = []
        for part in (self.looked_up, self.waiting):
            while (member := _next(part)) is not None:
                out.append(member)
        return out

    def run(self) -> None:
        """Call every member in order and add each to `ended`. Errors of members are not raised."""
        self.began_s, worked_s = time.monotonic(), time.thread_time()
        self._noted_s = worked_s
        self.look_up()
        while (member := _next(self.looked_up)) is not None:
            self.since_s = time.monotonic()
            if not member.stopped:
                self._end(member)
        self.keep()
        self.took_s, self.worked_s = time.monotonic() - self.began_s, time.thread_time() - worked_s

    def look_up(self) -> None:
        """Check the inputs of every member, make their keys, and ask the cache for all of them."""
        waiting, now, make_key = self.waiting, time.monotonic, self._make_key
        while True:
            try:
                member = waiting.popleft()  # `_next`, without the call
            except IndexError:
                break
            self.since_s = now()
            if not member.stopped:
                make_key(member)
        self._ask()

    def take_hits(self) -> None:
        """End the members whose cached results are all small; the others still wait for a thread."""
        now = self.executor.clock.now_s()
        for member in self.take_back():
            hit = member.hit
            if hit is None or not _all_inline(hit):
                self.looked_up.append(member)
                continue
            member.started = now
            try:
                self._take(member, hit)
            except Exception as error:  # noqa: BLE001  (it fails the attempt alone)
                self._ended(member, error)
            else:
                self._ended(member, None)

    def keep(self) -> None:
        """Add the results that other runs may use to the cache, in one transaction."""
        entries = []
        while (entry := _next(self.kept)) is not None:
            entries.append(entry)
        if entries:
            self.executor.hits.keep(entries)

    def _end(self, member: BatchMember) -> None:
        """End the member with its result, or with the error that making it raises."""
        member.started = self.executor.clock.now_s()
        error: Exception | None = None
        try:
            self._result(member)
        except BaseException as raised:  # noqa: BLE001  (an operator may raise anything)
            error = contained(raised)
        self._ended(member, error)

    def _ended(self, member: BatchMember, error: Exception | None) -> None:
        member.error = error
        self.done += 1
        self.ended.append(member)

    def _make_key(self, member: BatchMember) -> None:
        """Make a key if the member's result may be kept. The member ends if an input has a wrong type."""
        attempt, executor = member.attempt, self.executor
        try:
            if attempt.work.typed_inputs:
                check_inputs(attempt.work, attempt.inputs, executor.store.checked)
            if attempt.work is self._plain and member.worth.always and self._of_inputs is not None:
                member.key = self._of_inputs(attempt.inputs)  # like the previous one, except for its inputs
            elif self._is_keyed(member):
                self._note_key(member)
        except Exception as error:  # noqa: BLE001  (it fails the attempt alone)
            member.started = executor.clock.now_s()
            self._ended(member, error)
        else:
            self.looked_up.append(member)

    def _is_keyed(self, member: BatchMember) -> bool:
        """True if there may be anything to find or keep under the key of the member's result."""
        worth, hits = member.worth, self.executor.hits
        if (worth.cheap and not worth.of_nodes) or not hits.may_keep(member.attempt):
            return False
        if worth.always:
            return True
        runs = member.attempt.work.runs
        member.spared = not worth.needs_key(lambda: hits.any_of(runs))
        return not member.spared

    def _note_key(self, member: BatchMember) -> None:
        """Make the member's key."""
        attempt, keys, worth = member.attempt, self.executor.result_keys, member.worth
        began = 0.0 if worth.always else time.perf_counter()
        if attempt.work is not self._work:
            self._work, self._of_inputs = attempt.work, keys.of_inputs(attempt, self._known)
            self._plain = None if self.executor.sealer else attempt.work
        if self._of_inputs is not None:
            member.key = self._of_inputs(attempt.inputs)
        else:
            member.seen = FilesRead()
            member.key = keys.key(attempt, member.seen, self._known)
        if not worth.always:
            worth.note_key(time.perf_counter() - began)

    def _ask(self) -> None:
        """Look up all keys with one query."""
        keyed = [
            member for member in list(self.looked_up) if member.key is not None and not member.attempt.afresh
        ]
        if not keyed:
            return
        try:
            found = self.executor.hits.look([member.key for member in keyed if member.key is not None])
        except Exception:  # noqa: BLE001  (each asks for itself, and fails for itself)
            for member in keyed:
                member.asks_alone = True
            return
        for member in keyed:
            hit = found.get(member.key or "")
            if hit is not None:
                member.hit = self._before(member, hit)

    def _before(self, member: BatchMember, hit: CacheEntry | None) -> CacheEntry | None:
        """Return the hit, or None if this run made it after the member was ready: the member runs too."""
        if hit is not None and hit.run_id == self.executor.run_id and hit.created_at >= member.gathered:
            return None
        return hit

    def _result(self, member: BatchMember) -> None:
        """Give the member an earlier run's result, or the result of a call."""
        attempt = member.attempt
        if member.asks_alone and member.key is not None:
            member.hit = self._before(member, self.executor.hits.look([member.key]).get(member.key))
        if member.hit is not None:
            self._take(member, member.hit)
            return
        if not member.worth.always:
            self._noted_s = time.thread_time()
        began = time.perf_counter()
        returned = self._call(member)
        took_s = time.perf_counter() - began
        key = self._key_after(member, took_s)
        if isinstance(returned, Encoded):
            made = Finished(returned.outputs, body=returned.body)
        elif attempt.work.node.artifact is None and all(map(surely_small, returned.values())):
            made = Finished(check_outputs(attempt.work, returned))
        else:
            # A result in the cache must not depend on a round's state.
            stored = attempt if key is None or attempt.base is None else attempt.whole()
            made = self.executor.store.store_outputs(stored, returned)
            check_references(attempt.work, made.outputs)
        self._give(member, made.outputs, made.body)
        if (
            key is not None
            and (entry := self.executor.hits.entry(attempt, made.outputs, member.body)) is not None
        ):
            self.kept.extend(member.worth.kept((key, entry), took_s))

    def _take(self, member: BatchMember, hit: CacheEntry) -> None:
        """Give the member an earlier run's result."""
        taken = self.executor.hits.take(hit, member.attempt)
        outputs = check_outputs(member.attempt.work, taken.outputs)
        member.cached_from = taken.cached_from
        self.found += 1
        self._give(member, outputs, taken.body if outputs is taken.outputs else None)

    def _key_after(self, member: BatchMember, took_s: float) -> str | None:
        """Return the key for the result of a call that took `took_s` seconds; None if it is not kept."""
        worth, attempt = member.worth, member.attempt
        if not worth.always:
            worked_s = self._worked_s(took_s)
            worth.note(took_s, worked_s)
            if not worth.keeps(took_s, worked_s):
                member.spared |= worth.of_nodes and member.key is not None
                return None
        if member.key is not None:
            return self.executor.hits.still(member.key, attempt, member.seen)
        if not member.spared:
            return None
        member.spared = False
        return self.executor.result_keys.key(attempt)

    def _worked_s(self, took_s: float) -> float:
        """Return for how long a call that has just taken `took_s` had the processor."""
        return took_s if took_s < CHEAP_S else min(took_s, time.thread_time() - self._noted_s)

    def _give(
        self, member: BatchMember, outputs: Mapping[str, StoredValue], body: bytes | None = None
    ) -> None:
        member.body = encode_value(self.executor.store.seal_all(outputs)) if body is None else body
        member.outputs = outputs

    def _call(self, member: BatchMember) -> Encoded | dict[str, Value]:
        """Call the member's operator in a context of its own. Return its outputs by port."""
        attempt, executor = member.attempt, self.executor
        plain: Mapping[str, StoredValue] = attempt.inputs
        for value in plain.values():
            if type(value) is ArtifactRef:
                plain = executor.store.loaded(attempt.work, plain)
                break
        arguments = executor.contexts.arguments(attempt, plain, lambda: member.stopped)
        return self.context.copy().run(self._called, attempt, arguments)

    def _called(self, attempt: NodeAttempt, arguments: dict[str, object]) -> Encoded | dict[str, Value]:
        """Return the result of `_call`, in the context that the call has for itself."""
        executor, work, before = self.executor, attempt.work, generation()
        assert isinstance(work, OperatorWork)
        executor.contexts.enter(work, attempt.node)
        with executor.capture(executor.contexts.sink(attempt.node)):
            try:
                returned: object = work.operator.function(**arguments)
                made = executor.store.encoded(work, returned)
                if made is not None:
                    return made
                return ports_of(work.operator, attempt.node, executor.value_bytes_max)(returned)
            finally:
                end_copy(before)  # a forked copy of the process must not go on


def _all_inline(hit: CacheEntry) -> bool:
    """True if none of the outputs is in the artifact store."""
    for value in hit.outputs.values():  # noqa: SIM110  (`all` of a generator takes twice as long)
        if type(value) is ArtifactRef:
            return False
    return True


def _next(part: deque[T]) -> T | None:
    """Take out and return the first item of the deque, or None if it is empty. Atomic."""
    try:
        return part.popleft()
    except IndexError:
        return None
