"""Collects the different reasons why a run failed, if its elements failed for more than one. Pure."""

from collections.abc import Callable
from typing import Final

import msgspec

from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.core.replay import RunReplay
from symphony.ports.runs import FailureCause, NodePlace, RunError

CAUSES_MAX: Final = 5


def placed(
    error: RunError, slot: int, replay: RunReplay, place_of: Callable[[str], NodePlace | None]
) -> RunError:
    """Return the error of a failed slot with the place of the innermost node that failed, and all causes.

    Steps of one node with the same error code and message share one cause; at most `CAUSES_MAX` causes are
    listed. `place_of` returns where in its file the node of a step is defined.
    """
    found = dict[tuple[str, str, str], FailureCause]()
    first, more = None, 0
    for inner in replay.innermost(slot):
        name, (code, message, _) = replay.machine.name(inner), replay.errors.get(inner, ("failed", "", None))
        first = name if first is None else first
        key = (folded(name), code, message)
        known = found.get(key)
        if known is not None:
            found[key] = msgspec.structs.replace(known, count=known.count + 1)
        elif len(found) < CAUSES_MAX:
            label, place = replay.label(inner), place_of(name)
            found[key] = FailureCause(code=code, message=message, node=name, label=label, place=place)
        else:
            more += 1
    if first is not None:
        error = error.at(place_of(first))
    if len(found) < 2:
        return error
    return msgspec.structs.replace(error, causes=tuple(found.values()), causes_more=more)
