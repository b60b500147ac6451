"""Runs the graphs inside nodes: the rounds of loops, and sub-workflows."""

from collections.abc import Mapping
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.machine import Frame, Status
from symphony.pit.tracker.engine.parts import RunParts
from symphony.pit.tracker.nodes.aside import Deferred
from symphony.pit.tracker.nodes.attempt import Finished
from symphony.pit.tracker.nodes.bindings import truth
from symphony.pit.tracker.nodes.failures import too_late
from symphony.pit.tracker.nodes.stating import stated
from symphony.pit.tracker.nodes.work import Loop, LoopWork, SubWorkflowWork, Work
from symphony.ports.values import StoredValue
from symphony.workflow.expressions import ValueTemplate
from symphony.workflow.inputs import bind_inputs
from symphony.workflow.model import ControlNode, Workflow


class Nesting:
    """Opens the graphs inside slots, and settles the slots when the graphs have ended.

    An error raised here fails the slot. `path` inputs resolve against `cwd`.
    """

    def __init__(self, parts: RunParts, cwd: Path) -> None:
        self._replay, self._machine, self._bindings = parts.replay, parts.machine, parts.bindings
        self._transitions, self._timers, self._clock = parts.transitions, parts.timers, parts.clock
        self._sealer, self._cwd = parts.executor.sealer, cwd
        self._late: set[int] = set()  # loops that timed out between two rounds

    def begin(self, slot: int, work: LoopWork | SubWorkflowWork) -> None:
        """Begin an attempt: the first round, or the sub-workflow."""
        if isinstance(work, LoopWork):
            level, element = self._bindings.level(slot), self._bindings.element(slot)
            state = {
                name: self._bindings.within(level, template, element, slot, f"state {name}")
                for name, template in work.loop.state.items()
            }
            self._next_round(slot, work, state, 0)
        else:
            workflow = self._bindings.level(slot).graph.below[self._machine.local(slot)].workflow
            self._transitions.opened(slot, self._bound(slot, work, workflow))
        self.watch(slot, work)

    def watch(self, slot: int, work: Work) -> None:
        """Enforce the timeout of the graph inside the slot. After a restart the full time starts again."""
        if work.timeout_s is not None and slot in self._machine.children:
            self._timers.allow(slot, work.timeout_s, lambda: self._expire(slot))

    def settle(self, slot: int, work: Work) -> None:
        """Begin the next round, or report how the slot ended, after the graph inside has ended."""
        frame = self._machine.children[slot]
        if frame.ended is Status.CANCELLED:  # another element of the same fan-out has failed
            self._end(slot, frame)
            self._transitions.cancelled(slot)
            return
        if frame.ended is not Status.SUCCEEDED:
            self._end(slot, frame)
            self._transitions.failed(slot, self._why(frame, work), self._started(slot))
            return
        if not isinstance(work, LoopWork):
            outputs = self._bindings.declared(slot, work, self._bindings.outputs(frame))
            self._end(slot, frame)
            self._transitions.finished(slot, Finished(outputs), self._started(slot))
            return
        assert frame.round is not None
        try:
            self._round_ended(slot, work, frame, frame.round + 1)
        except Deferred:
            raise  # the loop will ask again about this round
        except BaseException:
            self._bindings.leave(frame)
            raise
        self._bindings.leave(frame)

    def _round_ended(self, slot: int, work: LoopWork, frame: Frame, rounds: int) -> None:
        loop = work.loop
        state = self._state_after(frame, loop)
        if loop.until is not None and self._until(frame, loop.until, state):
            self._finish(slot, work, state, rounds)
        else:
            self._next_round(slot, work, state, rounds)

    # ---- inside ---------------------------------------------------------------------------

    def _next_round(self, slot: int, work: LoopWork, state: Mapping[str, StoredValue], number: int) -> None:
        loop = work.loop
        if loop.while_ is not None:
            element = self._bindings.element(slot)
            around = self._bindings.level(slot).around(state, number, element)
            if not truth(around.render(loop.while_, element), "while"):
                self._finish(slot, work, state, number)
                return
        if slot in self._late:  # the time ran out as the round ended
            self._late.discard(slot)
            raise too_late(work)
        if number >= loop.rounds_max:
            self._timers.cancel(slot)
            raise SymphonyError(
                f"the loop has not come to its end in {loop.rounds_max:,} rounds"
                f"{_condition(work)}{stated(state, self._sealer.mask_cut)}",
                code="loop-limit",
                hint=self._advice(slot, state),
            )
        self._transitions.opened(slot, state, number)

    def _advice(self, slot: int, state: Mapping[str, StoredValue]) -> str:
        """Return advice for a loop that reached its limit with this `state`."""
        last = self._machine.children.get(slot)
        if last is not None and self._bindings.inside(last).values.state == state:
            return "the last round left the state as it was: look at `next` and the condition"
        return "look at the loop's condition, or raise max_iterations"

    def _finish(self, slot: int, work: Work, state: Mapping[str, StoredValue], rounds: int) -> None:
        if work.node.artifact is not None:
            self._bindings.named(slot, work)  # before anything is kept
        self._timers.cancel(slot)
        self._late.discard(slot)
        kept = {name: self._bindings.kept(value, name, slot) for name, value in state.items()}
        outputs = self._bindings.declared(slot, work, {**kept, "iterations": rounds})
        self._transitions.finished(slot, Finished(outputs), self._started(slot))

    def _state_after(self, frame: Frame, loop: Loop) -> dict[str, StoredValue]:
        level = self._bindings.inside(frame)
        after = {
            name: self._bindings.within(level, template, level.element, frame.parent, f"state {name}")
            for name, template in loop.next.items()
        }
        return {**level.values.state, **after}

    def _until(self, frame: Frame, until: ValueTemplate, state: Mapping[str, StoredValue]) -> bool:
        """Whether `until` holds. It sees the body's ports and the state after this round."""
        level = self._bindings.inside(frame)
        before, level.values.state = level.values.state, state
        try:
            return truth(level.render(until, level.element), "until")
        finally:
            level.values.state = before

    def _bound(self, slot: int, work: Work, workflow: Workflow) -> dict[str, StoredValue]:
        given = {
            name: self._bindings.values.plain(value)
            for name, value in self._bindings.inputs(slot, work).items()
        }
        bound, problems = bind_inputs(workflow, given, cwd=self._cwd)
        if problems:
            first = problems[0]
            raise SymphonyError(
                f"{work.name}: {first.place}: {first.message}", code="input-invalid", hint=first.hint
            )
        return {name: self._bindings.kept(value, name, slot) for name, value in bound.items()}

    def _why(self, frame: Frame, work: Work) -> SymphonyError:
        """Return why the slot's graph failed: its innermost failure, without repetition."""
        if frame.failed is None:
            return too_late(work)
        error = self._replay.told(frame.failed)
        return SymphonyError(error.message, code=error.code, hint=error.hint)

    def _expire(self, slot: int) -> None:
        child = self._machine.children.get(slot)
        if self._machine.status[slot] != Status.RUNNING or child is None:
            return
        if child.ended is None:
            self._transitions.expired(slot)
        else:
            self._late.add(slot)

    def _end(self, slot: int, frame: Frame) -> None:
        self._timers.cancel(slot)
        self._bindings.leave(frame)

    def _started(self, slot: int) -> float:
        return self._replay.started.get(slot, self._clock.now_s())


def _condition(work: LoopWork) -> str:
    """Return the condition that the loop was waiting for, in the words of the workflow."""
    node = work.node
    if not isinstance(node, ControlNode):
        return ""
    told = [f"`while: {_short(node.while_)}` still held"] if node.while_ is not None else []
    if node.until is not None:
        told.append(f"`until: {_short(node.until)}` never did")
    return f": {' and '.join(told)}" if told else ""


def _short(expression: str) -> str:
    """Return the expression on one line, at most 200 characters."""
    text = " ".join(expression.split())
    return text if len(text) <= 200 else f"{text[:199]}…"
