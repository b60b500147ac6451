"""What is left to do in a machine: for a process that takes the run over, and for people. Pure."""

from collections.abc import Iterator

from symphony.pit.tracker.core.machine import Command, Do, Machine, Status

_BY_ITSELF = frozenset({Status.READY, Status.QUEUED, Status.RETRYING})


def outstanding(machine: Machine) -> Iterator[Command]:
    """Yield what the shell must do to go on after a replay."""
    groups, children = machine.groups, machine.children
    for slot, status in enumerate(machine.status):
        if status in (Status.RETRYING, Status.RUNNING) and machine.frame(slot).stopping is not None:
            if slot not in groups and (slot not in children or children[slot].ended is not None):
                yield Command(Do.STOP, slot)
        elif status == Status.RETRYING:
            yield Command(Do.RETRY, slot)
        elif status == Status.RUNNING:
            group, child = groups.get(slot), children.get(slot)
            if group is not None:
                if group.left == 0:
                    yield Command(Do.GATHER, slot)
            elif child is None:
                yield Command(Do.START, slot)
            elif child.ended is not None:
                yield Command(Do.SETTLE, slot)
    if machine.done:
        yield Command(Do.END, -1)


def stuck(machine: Machine) -> bool:
    """True if everything that is left waits for a person."""
    return not machine.done and not any(
        status in _BY_ITSELF or (status == Status.RUNNING and _moves(machine, slot))
        for slot, status in enumerate(machine.status)
    )


def _moves(machine: Machine, slot: int) -> bool:
    """True if a running slot goes on by itself, not only by what is inside it."""
    group, child = machine.groups.get(slot), machine.children.get(slot)
    if group is not None:
        return group.left == 0
    return child is None or child.ended is not None
