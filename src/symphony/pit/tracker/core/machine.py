"""The state machine of one run: events in, commands out. Pure; time and values stay outside.

Every node of a running graph is a *slot*, a number. The root graph, each round of a loop and
each sub-workflow is a *frame* of consecutive slots; the elements of a fan-out are slots too.
Slots are given out in the order of events, so replaying the recorded events of a run builds
the same machine again: that is recovery.
"""

import heapq
from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

from symphony.pit.tracker.core.plan import Join, OnFailure, Plan, PlanNode


class Status(IntEnum):
    """The state of a slot. Those from `SUCCEEDED` on are final."""

    PENDING = 0
    READY = 1  # waits for a place
    QUEUED = 2  # waits for a grant, in no place
    RUNNING = 3
    RETRYING = 4  # failed, waits for its next attempt
    WAITING = 5  # a person must decide
    SPARED = 6  # failed, its fallback decides
    SUCCEEDED = 7
    FAILED = 8
    SKIPPED = 9
    CANCELLED = 10


FINAL = Status.SUCCEEDED
# Python 3.11 looks a member of an enum up in 0.1 µs, a global in 0.01: 2 µs a node in what is below.
_PENDING, _READY, _RUNNING, _WAITING, _SUCCEEDED = (
    Status.PENDING, Status.READY, Status.RUNNING, Status.WAITING, Status.SUCCEEDED,
)  # fmt: skip
_SLOT_BITS = 40
_SLOT = (1 << _SLOT_BITS) - 1
_GRANTED = 1 << 64  # a priority above those that nodes may have: nobody else can use the grant
_SKIPPED_BEFORE, _SUCCEEDED_BEFORE, _WANTED = 1, 2, 4


class Do(IntEnum):
    """The commands to the shell."""

    START = 0  # begin an attempt of the slot
    RETRY = 1  # call `retry_due` after the back-off of the slot's next attempt
    STOP = 2  # stop the slot's work, then report `cancelled`
    GATHER = 3  # all elements of the fan-out have ended: make its outputs, or tell which failed; report
    SETTLE = 4  # the frame below this slot has ended: take its outputs, then report
    END = 5  # the run has ended


class Command(NamedTuple):
    """`slot` is -1 for END."""

    do: Do
    slot: int


_START, _command = Do.START, tuple.__new__  # a NamedTuple's own `__new__` takes twice as long


class IllegalTransition(AssertionError):
    """An event that cannot happen in this state: a bug in the shell or a damaged journal."""


class Frame:
    """One running graph. `ended` is None while it runs, then its final status.

    `number` counts the frames of a run. `round` counts the rounds of a loop from 0; it is None elsewhere.
    """

    __slots__ = ("base", "ended", "failed", "left", "number", "parent", "plan", "round", "stopping")

    def __init__(self, plan: Plan, base: int, parent: int, number: int, round_: int | None) -> None:
        self.plan, self.base, self.parent, self.number, self.round = plan, base, parent, number, round_
        self.left = len(plan.nodes)
        self.failed: int | None = None  # the slot whose failure ends the frame
        self.stopping: Status | None = None
        self.ended: Status | None = None


class Group:
    """The `count` elements of a fan-out, from slot `base`; `begun` were queued; `failed` stopped the rest."""

    __slots__ = ("active", "base", "begun", "count", "failed", "left", "limit", "slot")

    def __init__(self, slot: int, base: int, count: int, limit: int) -> None:
        self.slot, self.base, self.count, self.limit = slot, base, count, limit
        self.begun = self.active = 0
        self.left = count
        self.failed: int | None = None


class Machine:
    """One run. Every public method is an event; it returns what the shell must now do.

    `limit` bounds how many slots run at once (fan-outs and frames themselves do not count).
    Raises `IllegalTransition` for an impossible event and changes nothing then.
    """

    def __init__(self, plan: Plan, *, limit: int) -> None:
        self.limit = limit
        self.status = bytearray()
        self.attempts: list[int] = []
        self.taken: dict[int, str | None] = {}  # branch slots: the branch they took
        self.chosen: dict[int, int] = {}  # merge slots: the slot they took
        self.frames: list[Frame] = []
        self.groups: dict[int, Group] = {}
        self.children: dict[int, Frame] = {}  # the running or last frame below a slot's attempt
        self.paused = False
        self.element_of: dict[int, tuple[Group, int]] = {}
        self._frame: list[Frame] = []
        self.frame: Callable[[int], Frame] = self._frame.__getitem__
        """Return the frame of a slot. Called for every node: a method would take three times as long."""
        self._waiting: list[int] = []
        self._seen = bytearray()
        self._queue: list[int] = []  # a heap: priority, highest first, then slot, in one number
        self._busy = 0
        self._holds = bytearray()  # 1: the slot counts against the limit
        self._out: list[Command] = []
        self.root = self._open(plan, -1)

    # ---- events ---------------------------------------------------------------------------

    def begin(self) -> Sequence[Command]:
        """The run starts."""
        self._launch(self.root)
        return self._flush()

    def finished(self, slot: int, taken: str | None = None) -> Sequence[Command]:
        """The slot's work succeeded; `taken` names the branch of a branch node. O(dependents)."""
        if not 0 <= slot < len(self.status) or self.status[slot] != _RUNNING:
            self._expect(slot, _RUNNING, _WAITING)
        if taken is not None:
            self.taken[slot] = taken
        if self._holds[slot]:  # `_release`, without the call
            self._holds[slot] = 0
            self._busy -= 1
        frame = self._frame[slot]
        plain, index = frame.plan.plain, slot - frame.base
        targets = plain[index] if index < len(plain) else None  # elements come after the frame's nodes
        if targets is not None:
            self._succeed_plainly(slot, frame, targets)
        elif (element := self.element_of.get(slot)) is not None:  # a short `_settle`
            self.status[slot] = _SUCCEEDED
            self._element_ended(element[0], slot, _SUCCEEDED)
        else:
            self._settle(slot, _SUCCEEDED)
        return self._flush()

    def skipped(self, slot: int) -> Sequence[Command]:
        """The slot's condition did not hold, or a person skipped it."""
        self._expect(slot, Status.RUNNING, Status.WAITING)
        self._release(slot)
        self._settle(slot, Status.SKIPPED)
        return self._flush()

    def failed(self, slot: int, *, final: bool = False, handled: bool = True) -> Sequence[Command]:
        """An attempt failed. `final` forbids another one; without `handled`, `on_failure` is ignored."""
        self._expect(slot, Status.RUNNING, Status.WAITING, Status.QUEUED)
        self._release(slot)
        if self.tried_again(slot, final=final):
            self.status[slot] = Status.RETRYING
            self._out.append(Command(Do.RETRY, slot))
            self.children.pop(slot, None)  # the next attempt begins with a frame of its own
        else:
            self._give_up(slot, self.node(slot), handled=handled)
        return self._flush()

    def needs_value(self, slot: int, *, final: bool = False) -> bool:
        """True if a value would stand in for the slot's outputs if it failed now."""
        over = self._frame[slot].stopping is None and not self.tried_again(slot, final=final)
        return over and self.node(slot).on_failure is OnFailure.VALUE

    def tried_again(self, slot: int, *, final: bool) -> bool:
        """True if another attempt would follow if the slot failed now."""
        over = final or self._frame[slot].stopping is not None or slot in self.groups
        return not over and self.attempts[slot] < self.node(slot).attempts

    def retry_due(self, slot: int) -> Sequence[Command]:
        """The back-off is over."""
        self._expect(slot, Status.RETRYING)
        if self._frame[slot].stopping is not None:
            self._settle(slot, Status.CANCELLED)
        else:
            self._enqueue(slot)
        return self._flush()

    def expanded(self, slot: int, count: int) -> Sequence[Command]:
        """The slot is a fan-out of `count` elements; each becomes a slot of its own."""
        self._expect(slot, Status.RUNNING)
        self._release(slot)
        if self._frame[slot].stopping is not None:
            self._settle(slot, Status.CANCELLED)
            return self._flush()
        base = self._allocate(count, self._frame[slot])
        group = Group(slot, base, count, self.node(slot).concurrency or count)
        self.groups[slot] = group
        for i in range(count):
            self.element_of[base + i] = (group, i)
        self._feed(group)
        if count == 0:
            self._out.append(Command(Do.GATHER, slot))
        return self._flush()

    def opened(self, slot: int, round_: int | None = None) -> Sequence[Command]:
        """The slot runs the graph below it: a sub-workflow, or round `round_` of a loop."""
        self._expect(slot, Status.RUNNING)
        self._release(slot)
        if self._frame[slot].stopping is not None:
            self._settle(slot, Status.CANCELLED)
            return self._flush()
        frame = self._open(self.below(slot), slot, round_)
        self.children[slot] = frame
        self._launch(frame)
        return self._flush()

    def expired(self, slot: int) -> Sequence[Command]:
        """The graph below the slot has run for too long: it ends as failed, without a failed node."""
        self._expect(slot, Status.RUNNING)
        child = self.children.get(slot)
        if child is not None and child.ended is None and child.stopping is None:
            self._stop(child, Status.FAILED)
        return self._flush()

    def parked(self, slot: int) -> Sequence[Command]:
        """The slot runs, but only waits for some time to pass: it gives its place to others."""
        self._expect(slot, Status.RUNNING)
        self._release(slot)
        return self._flush()

    def queued(self, slot: int) -> Sequence[Command]:
        """The slot must wait for a grant before its attempt can begin: it gives its place to others."""
        self._expect(slot, Status.RUNNING)
        self._release(slot)
        self.status[slot] = Status.QUEUED
        self.attempts[slot] -= 1
        return self._flush()

    def granted(self, slot: int) -> Sequence[Command]:
        """The slot's attempt may begin, before all others that are ready."""
        self._expect(slot, Status.QUEUED)
        self._queue_up(slot, _GRANTED)
        return self._flush()

    def suspended(self, slot: int) -> Sequence[Command]:
        """The slot waits for a person and gives its place to others."""
        self._expect(slot, Status.RUNNING, Status.READY)
        self._release(slot)
        self.status[slot] = Status.WAITING
        return self._flush()

    def again(self, slot: int) -> Sequence[Command]:
        """A person decided to try the waiting slot again; it stays the same attempt."""
        self._expect(slot, Status.WAITING)
        self.attempts[slot] -= 1
        self._enqueue(slot)
        return self._flush()

    def pause(self) -> Sequence[Command]:
        """The run is paused: from now on nothing begins."""
        self.paused = True
        return ()

    def proceed(self) -> Sequence[Command]:
        """A process goes on with the run, after a pause perhaps: what waited for a grant asks again."""
        self.paused, slot = False, -1
        while (slot := self.status.find(Status.QUEUED, slot + 1)) >= 0:
            self._enqueue(slot)
        return self._flush()

    def cancel(self) -> Sequence[Command]:
        """Somebody cancelled the run."""
        if self.root.ended is None and self.root.stopping is None:
            self._stop(self.root, Status.CANCELLED)
        return self._flush()

    def cancelled(self, slot: int) -> Sequence[Command]:
        """The slot's work has been stopped."""
        self._expect(slot, Status.RUNNING, Status.RETRYING, Status.WAITING, Status.QUEUED)
        self._release(slot)
        self._settle(slot, Status.CANCELLED)
        return self._flush()

    # ---- questions ------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """True if the run has ended."""
        return self.root.ended is not None

    def node(self, slot: int) -> PlanNode:
        """Return the plan's node of a slot; for an element, that of its fan-out."""
        frame = self._frame[slot]
        return frame.plan.nodes[self._home(slot) - frame.base]

    def local(self, slot: int) -> int:
        """Return the index of a slot's node in its plan; for an element, that of its fan-out."""
        return self._home(slot) - self._frame[slot].base

    def below(self, slot: int) -> Plan:
        """Return the plan of the graph inside a slot's node."""
        return self._frame[slot].plan.below[self.local(slot)]

    def holds(self, slot: int) -> bool:
        """True if the slot is at work itself, in a place that others cannot have."""
        return bool(self._holds[slot])

    def name(self, slot: int) -> str:
        """Return the full name of a slot: `parse[3]`, `loop#2.step`, `child.node`."""
        frame, element = self._frame[slot], self.element_of.get(slot)
        at, end = (slot, "") if element is None else (element[0].slot, f"[{element[1]}]")
        name = f"{frame.plan.nodes[at - frame.base].name}{end}"
        return name if frame.parent < 0 else f"{self.frame_name(frame)}.{name}"

    def frame_name(self, frame: Frame) -> str:
        """Return the full name of a frame's step or round: `loop#2`, `child`; empty for the root."""
        if frame.parent < 0:
            return ""
        name = self.name(frame.parent)
        return name if frame.round is None else f"{name}#{frame.round}"

    # ---- inside ---------------------------------------------------------------------------

    def _home(self, slot: int) -> int:
        element = self.element_of.get(slot)
        return slot if element is None else element[0].slot

    def _expect(self, slot: int, *allowed: Status) -> None:
        if not 0 <= slot < len(self.status) or self.status[slot] not in allowed:
            known = Status(self.status[slot]).name if 0 <= slot < len(self.status) else "unknown"
            raise IllegalTransition(f"slot {slot} is {known}, not {' or '.join(a.name for a in allowed)}")

    def _flush(self) -> Sequence[Command]:
        queue = self._queue
        out, self._out = self._out, []
        busy, limit = self._busy, -1 if self.paused else self.limit
        while queue and busy < limit:
            slot = heapq.heappop(queue) & _SLOT
            if self.status[slot] != _READY:
                continue  # it was cancelled while it queued
            self.status[slot] = _RUNNING
            self.attempts[slot] += 1
            self._holds[slot] = 1
            busy += 1
            out.append(_command(Command, (_START, slot)))
        self._busy = busy
        return out

    def _allocate(self, count: int, frame: Frame) -> int:
        base = len(self.status)
        self.status += bytes(count)
        self._holds += bytes(count)
        self._seen += bytes(count)
        self.attempts += [0] * count
        self._waiting += [0] * count
        self._frame += [frame] * count
        return base

    def _open(self, plan: Plan, parent: int, round_: int | None = None) -> Frame:
        frame = Frame(plan, len(self.status), parent, len(self.frames), round_)
        base = self._allocate(len(plan.nodes), frame)
        self._waiting[base:] = plan.incoming
        self.frames.append(frame)
        return frame

    def _launch(self, frame: Frame) -> None:
        incoming = frame.plan.incoming
        for i, node in enumerate(frame.plan.nodes):
            slot = frame.base + i
            if self.status[slot] != _PENDING:
                continue  # a skip has already travelled here
            if not node.enabled:
                self._settle(slot, Status.SKIPPED)
            elif not incoming[i]:
                self._queue_up(slot, node.priority)
        if not frame.plan.nodes:
            self._close(frame)

    def _enqueue(self, slot: int) -> None:
        self._queue_up(slot, self.node(slot).priority)

    def _queue_up(self, slot: int, priority: int) -> None:
        self.status[slot] = _READY
        heapq.heappush(self._queue, (-priority << _SLOT_BITS) + slot)

    def _release(self, slot: int) -> None:
        if self._holds[slot]:
            self._holds[slot] = 0
            self._busy -= 1

    def _give_up(self, slot: int, node: PlanNode, *, handled: bool) -> None:
        """Do what the node's `on_failure` says after its last attempt failed."""
        if self._frame[slot].stopping is not None or not handled:
            self._settle(slot, Status.FAILED)
        elif node.on_failure is OnFailure.SKIP:
            self._settle(slot, Status.SKIPPED)
        elif node.on_failure is OnFailure.VALUE:
            self._settle(slot, Status.SUCCEEDED)
        elif node.on_failure is OnFailure.FALLBACK and slot not in self.element_of:
            self._spare(slot, node)
        else:
            self._settle(slot, Status.FAILED)

    def _spare(self, slot: int, node: PlanNode) -> None:
        """Hand over to the fallback node, now if it has ended already, else when it does."""
        assert node.fallback is not None
        frame = self._frame[slot]
        self.status[slot] = Status.SPARED
        target = frame.base + node.fallback
        if self.status[target] >= FINAL:
            self._settle(slot, Status(self.status[target]))
            return
        self._seen[target] |= _WANTED
        self._arrive(target)

    def _settle(self, slot: int, status: Status) -> None:
        """End the slot, and update its element group, its dependents and its frame."""
        work = [(slot, status)]
        while work:  # a list instead of recursion: a skip may travel 100,000 nodes far
            slot, status = work.pop()
            if self.status[slot] >= FINAL:
                continue
            self.status[slot] = status
            element = self.element_of.get(slot)
            if element is not None:
                self._element_ended(element[0], slot, status)
                continue
            frame = self._frame[slot]
            frame.left -= 1
            if status is Status.FAILED and frame.stopping is None:
                frame.failed = slot
                self._stop(frame, Status.FAILED)
            if frame.stopping is None:
                self._tell(slot, status, frame, work)
            if frame.left == 0:
                self._close(frame)

    def _succeed_plainly(self, slot: int, frame: Frame, targets: tuple[int, ...]) -> None:
        """`_settle` for the common case: a success whose dependents simply wait for it."""
        status = self.status
        status[slot] = _SUCCEEDED
        frame.left -= 1
        if frame.stopping is None:
            base, plan, waiting, seen = frame.base, frame.plan, self._waiting, self._seen
            for index in targets:
                target = base + index
                waiting[target] = left = waiting[target] - 1
                if left == 0 and status[target] == _PENDING:
                    if seen[target] or index in plan.spare_for:
                        self._decide(target)
                    else:  # `_decide` and `_enqueue` for a node whose predecessors all succeeded
                        status[target] = _READY
                        priority = plan.nodes[index].priority
                        heapq.heappush(self._queue, (-priority << _SLOT_BITS) + target)
        if frame.left == 0:
            self._close(frame)

    def _tell(self, slot: int, status: Status, frame: Frame, work: list[tuple[int, Status]]) -> None:
        index, succeeded = slot - frame.base, status is Status.SUCCEEDED
        for link in frame.plan.links[index]:
            target = frame.base + link.target
            if link.spare:
                self._arrive(target, work)
                continue
            good = succeeded and (link.branch is None or self.taken.get(slot) == link.branch)
            if frame.plan.nodes[link.target].join is Join.FIRST:
                self._offer(slot, target, good, work)
                continue
            if good:
                self._seen[target] |= _SUCCEEDED_BEFORE
            elif not link.soft:
                self._seen[target] |= _SKIPPED_BEFORE
            self._arrive(target, work)
        sources = (frame.base + source for source in frame.plan.spare_for.get(index, ()))
        work.extend((source, status) for source in sources if self.status[source] == Status.SPARED)

    def _offer(self, slot: int, target: int, good: bool, work: list[tuple[int, Status]]) -> None:
        """Begin a merge with the first candidate to succeed, once all its other predecessors have ended."""
        frame = self._frame[target]
        gates = frame.plan.gates.get(target - frame.base, ())
        if good and slot - frame.base not in gates:
            self._seen[target] |= _SUCCEEDED_BEFORE
            self.chosen.setdefault(target, slot)
        if target in self.chosen and all(self.status[frame.base + gate] >= FINAL for gate in gates):
            self._waiting[target] = 1  # it waits for nothing more
        self._arrive(target, work)

    def _arrive(self, target: int, work: list[tuple[int, Status]] | None = None) -> None:
        self._waiting[target] -= 1
        if self._waiting[target] == 0 and self.status[target] == Status.PENDING:
            self._decide(target, work)

    def _decide(self, target: int, work: list[tuple[int, Status]] | None = None) -> None:
        """Begin or skip a node whose predecessors have all ended."""
        frame = self._frame[target]
        index = target - frame.base
        node, seen = frame.plan.nodes[index], self._seen[target]
        skip = seen & _SKIPPED_BEFORE if node.join is Join.ALL else not seen & _SUCCEEDED_BEFORE
        skip = skip or (index in frame.plan.spare_for and not seen & _WANTED)
        if not skip:
            self._enqueue(target)
        elif work is not None:
            work.append((target, Status.SKIPPED))
        else:
            self._settle(target, Status.SKIPPED)

    def _feed(self, group: Group) -> None:
        if group.begun == group.count or group.failed is not None:
            return
        priority = self.node(group.slot).priority
        while group.active < group.limit and group.begun < group.count:
            self._queue_up(group.base + group.begun, priority)
            group.begun += 1
            group.active += 1

    def _element_ended(self, group: Group, slot: int, status: Status) -> None:
        group.left -= 1
        group.active -= 1
        if status is Status.FAILED and group.failed is None and self.node(group.slot).fail_fast:
            group.failed = slot
            self._stop_group(group)
        elif self._frame[slot].stopping is None and group.failed is None:
            self._feed(group)
        if group.left == 0:
            self._group_ended(group)

    def _group_ended(self, group: Group) -> None:
        slot = group.slot
        if self.status[slot] != Status.RUNNING:
            return
        if self._frame[slot].stopping is not None:
            failed = group.failed is not None and self._frame[slot].failed is None
            self._settle(slot, Status.FAILED if failed else Status.CANCELLED)
        elif group.failed is None:
            self._out.append(Command(Do.GATHER, slot))
        elif (node := self.node(slot)).on_failure is OnFailure.FALLBACK:
            self._spare(slot, node)
        else:
            self._settle(slot, Status.FAILED)

    def _stop_group(self, group: Group) -> None:
        for slot in range(group.base, group.base + group.count):
            self._stop_slot(slot)

    def _stop(self, frame: Frame, why: Status) -> None:
        """Cancel everything in the frame and below; it ends when the last slot has."""
        frame.stopping = why
        for slot in range(frame.base, frame.base + len(frame.plan.nodes)):
            self._stop_slot(slot)

    def _stop_slot(self, slot: int) -> None:
        status = self.status[slot]
        if status >= FINAL:
            return
        group, child = self.groups.get(slot), self.children.get(slot)
        if status == Status.RUNNING and group is not None:
            if group.left:
                self._stop_group(group)
            else:
                self._settle(slot, Status.CANCELLED)
        elif status == Status.RUNNING and child is not None and child.ended is None:
            if child.stopping is None:
                self._stop(child, Status.CANCELLED)
        elif status in (Status.RUNNING, Status.RETRYING):
            self._out.append(Command(Do.STOP, slot))
        else:
            self._settle(slot, Status.CANCELLED)

    def _close(self, frame: Frame) -> None:
        if frame.ended is not None:
            return
        frame.ended = frame.stopping or Status.SUCCEEDED
        if frame.parent < 0:
            self._out.append(Command(Do.END, -1))
        elif self._frame[frame.parent].stopping is not None:
            self._settle(frame.parent, Status.CANCELLED)
        else:
            self._out.append(Command(Do.SETTLE, frame.parent))
