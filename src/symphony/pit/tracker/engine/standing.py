"""The present state of a run for observers: fan-outs, open questions, retries. Pure."""

from collections.abc import Iterable
from itertools import islice

from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.insight import FanOutProgress, OpenQuestion

FANS_MAX = 8
QUESTIONS_MAX = 100


def fans(replay: RunReplay) -> list[FanOutProgress]:
    """Return the fan-outs under way, at most eight. O(fan-outs), and one byte for each of their elements."""
    machine = replay.machine
    going = (
        group
        for slot, group in machine.groups.items()
        if group.left and machine.status[slot] == Status.RUNNING
    )
    found = []
    for group in islice(going, FANS_MAX):
        ends = group.base, group.base + group.count
        found.append(
            FanOutProgress(
                name=machine.name(group.slot),
                label=replay.label(group.slot),
                count=group.count,
                done=group.count - group.left,
                failed=machine.status.count(Status.FAILED, *ends),
            )
        )
    return found


def questions(replay: RunReplay, now: float) -> list[OpenQuestion]:
    """Return the unanswered questions to people in the order in which they were asked, at most a hundred."""
    machine = replay.machine
    open_ = (slot for slot in replay.asked if machine.status[slot] == Status.WAITING)
    return [
        OpenQuestion(
            node=machine.name(slot),
            label=replay.label(slot),
            text=replay.asked[slot],
            left_s=None if slot not in replay.due else max(0.0, replay.due[slot] - now),
        )
        for slot in islice(open_, QUESTIONS_MAX)
    ]


def tries(replay: RunReplay, names: Iterable[tuple[str, int]]) -> dict[str, tuple[int, int]]:
    """Return, by name, the number of the attempt and the most attempts of running slots that are retried."""
    machine = replay.machine
    return {
        name: (machine.attempts[slot], machine.node(slot).attempts)
        for name, slot in names
        if machine.attempts[slot] > 1
    }
