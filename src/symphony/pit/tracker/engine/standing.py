"""How a run stands now, for whoever watches it: its fan-outs, what people are asked, further tries. Pure."""

from collections.abc import Iterable
from itertools import islice

from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.insight import FanOutProgress, OpenQuestion

FANS_MAX = 8
QUESTIONS_MAX = 100


def fans(replay: RunReplay) -> list[FanOutProgress]:
    """The fan-outs that are under way, at most eight. O(fan-outs), and their elements a byte each."""
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
    """What people are asked and have not answered, in the order in which it was asked; at most a hundred."""
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
    """Of those running slots that are tried again: which attempt it is, of how many."""
    machine = replay.machine
    return {
        name: (machine.attempts[slot], machine.node(slot).attempts)
        for name, slot in names
        if machine.attempts[slot] > 1
    }
