"""Exit statuses: the one table that says how a command ends."""

import signal
from typing import Final

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
CANCELLED: Final = 3
WAITING: Final = 4
BUG: Final = 70
"""A bug of Symphony itself (EX_SOFTWARE of sysexits.h)."""
SIGNALLED: Final = 128
"""Plus the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 129 for a closed terminal (SIGHUP).

A run that is stopped so is `interrupted`, and can be resumed.
"""
INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141

MEANINGS: Final = {
    OK: "succeeded",
    FAILED: "failed",
    USAGE: "the command line or the workflow is invalid, or the run has ended: nothing to pause or cancel",
    CANCELLED: "the run was cancelled from elsewhere",
    WAITING: "the run waits for a person, or is paused",
    BUG: "a bug in Symphony",
    SIGNALLED + 1: "stopped by SIGHUP, a closed terminal: `symphony runs resume` continues the run",
    SIGNALLED + 2: "stopped by SIGINT, Ctrl-C: `symphony runs resume` continues the run",
    BROKEN_PIPE: "what read the output has left",
    SIGNALLED + 15: "stopped by SIGTERM: `symphony runs resume` continues the run",
}
"""What each status says, for the reference."""

_OF_STATUS: Final = {
    "succeeded": OK,
    "failed": FAILED,
    "interrupted": FAILED,
    "damaged": FAILED,
    "cancelled": CANCELLED,
    "waiting": WAITING,
    "paused": WAITING,
    "running": OK,
    "pending": OK,
}

_OF_CODE: Final = {
    "workflow-invalid": USAGE,
    "cannot-format": USAGE,
    "input-invalid": USAGE,
    "bad-usage": USAGE,
    "file-not-found": USAGE,
    "file-unreadable": USAGE,
    "workflow-not-found": USAGE,
    "unknown-format": USAGE,
    "not-waiting": USAGE,
    "run-ended": USAGE,
    "unknown-node": USAGE,
    "unknown-output": USAGE,
    "not-supported": USAGE,
    "run-not-found": USAGE,
    "run-for": USAGE,
    "run-name": USAGE,
    "run-ambiguous": USAGE,
    "artifact-missing": USAGE,
    "artifact-deleted": USAGE,
    "artifact-trashed": USAGE,
    "artifact-ambiguous": USAGE,
    "query-invalid": USAGE,
    "unknown-operator": USAGE,
    "unknown-model": USAGE,
    "operator-invalid": USAGE,
    "operators-not-loaded": USAGE,
    "config-invalid": USAGE,
    "host-not-allowed": USAGE,
    "template-not-found": USAGE,
    "template-invalid": USAGE,
}


def of_status(status: str) -> int:
    """Return the exit status of a command that ran or resumed a run and left it in `status`, a RunStatus."""
    return _OF_STATUS[status]


def of_signal(name: str) -> int | None:
    """Return the exit status of a command that the signal `name` stopped; None if there is no such signal."""
    number = getattr(signal, name, None)
    return SIGNALLED + number if isinstance(number, signal.Signals) else None


def of_code(code: str) -> int:
    """Return the exit status of a command that ended with the error `code`."""
    return _OF_CODE.get(code, FAILED)
