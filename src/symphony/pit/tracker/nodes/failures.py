"""Failures of nodes that the engine causes, not their operators. Pure."""

import subprocess
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.core.replay import ELEMENTS_FAILED
from symphony.pit.tracker.nodes.work import CallWork, OperatorWork, Work
from symphony.ports.artifacts import StorageFull
from symphony.ports.runs import RunError
from symphony.ports.values import Value


class NotStored(Exception):
    """A node has done its work, but there is no room for its outputs. This is not a failure of the node."""

    def __init__(self, why: StorageFull) -> None:
        super().__init__(str(why))
        self.why = why


_GRACE_S = 0.25
"""Seconds in which an operator that keeps its own time limit can raise its own, better error."""


def bound_s(work: CallWork, inputs: Mapping[str, Value]) -> float | None:
    """Return how long a call in a worker may take by the operator's own bounds."""
    operator = work.operator if isinstance(work, OperatorWork) else None
    if operator is None or operator.bounds is None or operator.bounds.seconds is None:
        return None
    port = operator.info.inputs.get(operator.bounds.seconds)
    default = None if port is None or port.default is msgspec.UNSET else port.default
    time_s = operator.bounds.time_s(inputs, default)
    return None if time_s is None else max(time_s, 0.0) + _GRACE_S


def too_late(work: Work, limit_s: float | None = None) -> SymphonyError:
    """Return the error of an attempt, a delay or a graph inside a node that exceeded its `timeout`.

    For a call in a worker, `limit_s` is the time limit that it had, in seconds.
    """
    operator = work.operator if isinstance(work, OperatorWork) else None
    if operator is not None and operator.bounds is not None and limit_s not in (None, work.timeout_s):
        late = f"{operator.info.name} took longer than {limit_s - _GRACE_S:g} s"
        return SymphonyError(late, code="timeout", hint="give it less to do, or raise its `seconds`")
    late = f"it took longer than {work.node.timeout}"
    return SymphonyError(late, code="timeout", hint="raise timeout, or retry")


ELEMENTS_NAMED = 5
"""The fan-out's error names at most so many failed elements."""


def elements_failed(names: Sequence[str], failed: int, count: int, first: RunError) -> SymphonyError:
    """Return the error of a fan-out whose elements have all ended, `failed` of its `count` with a failure.

    `names` are the names, with labels, of the first few failed elements in order. `first` names the very
    first, and says why it failed.
    """
    others, more = ", ".join(names[1:]), failed - len(names)
    also = f"; also {others}" + (f" and {more:,} more" if more > 0 else "") if others else ""
    message = f"{failed:,} of {count:,} elements failed: {first.message}{also}"
    return SymphonyError(message, code=ELEMENTS_FAILED, hint=first.hint)


_STOPS: Final = (1, 2, 15)
"""SIGHUP, SIGINT, SIGTERM: what a terminal, a service manager or a reboot sends to all processes at once."""
_CAUSES_MAX: Final = 5


def perhaps_stopped(error: BaseException) -> bool:
    """True if a process ended by a signal that may have been meant for this one as well."""
    found: BaseException | None = error
    for _ in range(_CAUSES_MAX):
        if found is None:
            return False
        status: object = None
        if isinstance(found, SymphonyError):
            details = getattr(found, "details", None)  # its author may have put anything there
            said = details.get("exit_code") if isinstance(details, Mapping) else None
            status = getattr(found, "status", None) if said is None else said
        elif isinstance(found, subprocess.CalledProcessError):
            status = found.returncode
        if isinstance(status, int) and (-status in _STOPS or status - 128 in _STOPS):
            return True
        found = found.__cause__
    return False
