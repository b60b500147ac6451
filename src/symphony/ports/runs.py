"""The facts of a run: its status, its result, its events. Values only."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from symphony.ports.models import Usage
from symphony.ports.values import StoredValue, Value


def titled(name: str, label: str | None) -> str:
    """Return how people see a step: its full name, and the label of the element that it is or lies in."""
    return f"{name} {label}" if label else name


class RunStatus(StrEnum):
    """The status of a run. `interrupted`: its process was stopped or died; `waiting`: a person must decide.

    `damaged`: its journal is not what was written; only lists of runs show this, everything else
    raises.
    """

    PENDING = "pending"
    RUNNING = "running"
    PAUSED = "paused"
    WAITING = "waiting"
    INTERRUPTED = "interrupted"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    DAMAGED = "damaged"


ENDED: Final = (RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED)
"""A run with one of these statuses keeps it."""
LEFT: Final = (RunStatus.INTERRUPTED, RunStatus.PAUSED, RunStatus.WAITING)
"""No process drives a run with one of these statuses, but one may resume it."""


SHORT_ID: Final = 8
"""The number of characters shown of a run's id; more are shown where other runs share them."""
_UUID: Final = len("0192e4f7-3a5b-7c1d-9e2f-0a1b2c3d4e5f")
_TAIL: Final = len("0192e4f7-3a5b-7c1d-9e2f-")


def tail_of(run_id: str) -> str:
    """Return the end of a run's id, which is random: its beginning is a time that runs of one day share."""
    return run_id[_TAIL:] if len(run_id) == _UUID else run_id


def short_id(run_id: str) -> str:
    """Return what is shown of a run's id; very rarely another run shares it, and then a command says so."""
    return run_id[_TAIL : _TAIL + SHORT_ID] if len(run_id) == _UUID else run_id


class NodeStatus(StrEnum):
    """The status of a node; `cached`: succeeded without running."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CACHED = "cached"
    CANCELLED = "cancelled"


class NodePlace(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a node: its file, its key there, such as `nodes.parse`, and line and column if known."""

    file: str
    place: str
    line: int | None = None
    column: int | None = None


class FailureCause(msgspec.Struct, frozen=True, kw_only=True):
    """One of several reasons why a run failed. `node` is the first of the `count` steps that failed so."""

    code: str
    message: str
    node: str
    label: str | None = None
    count: int = 1
    place: NodePlace | None = None
    """The node's place, if the workflow came from a file."""


class RunError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a node or a run failed. `node` is the node's full name, such as `parse[3]`.

    Of a run whose workflow came from a file, `file`, `place`, `line` and `column` tell where the innermost
    node that failed stands: see `NodePlace`. Where elements failed for different reasons, `causes` has the
    first of these, that of the error itself among them.
    """

    code: str
    message: str
    node: str | None = None
    hint: str | None = None
    file: str | None = None
    place: str | None = None
    line: int | None = None
    column: int | None = None
    causes: tuple[FailureCause, ...] = ()
    causes_more: int = 0
    """The number of steps that failed for other reasons still."""

    def at(self, place: NodePlace | None) -> "RunError":
        """Return the error with the place of its node."""
        return self if place is None else msgspec.structs.replace(self, **msgspec.structs.asdict(place))


class RunWarning(msgspec.Struct, frozen=True, kw_only=True):
    """Something that went wrong beside a run, whose status it does not change. Secrets are masked."""

    code: str
    message: str
    hint: str | None = None
    place: NodePlace | None = None
    """Where in a file the cause stands; None if the workflow came from no file."""
    output: Sequence[str] = ()
    """The last lines that a command printed."""


class NodeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a run. Times are ISO 8601 UTC; `duration_ms` counts the last attempt."""

    status: NodeStatus
    attempts: int = 0
    started_at: str | None = None
    finished_at: str | None = None
    duration_ms: float | None = None
    took_s: float | None = None
    """From the start of the first attempt to the end, with the pauses between attempts."""
    error: RunError | None = None
    """Why it failed; None once a later attempt has succeeded."""
    cached_from: str | None = None
    """The run that a cache hit or a reused result came from."""
    cached_as: str | None = None
    """What the node was called there, if it had another name."""
    not_cached: str | None = None
    """Why the results of a fan-out were not cached for other runs, though they could have been."""
    asks: str | None = None
    """What a person is asked, while the node waits for the answer."""
    until: str | None = None
    """Until when the node waits, for a moment or for an answer; ISO 8601 UTC."""
    queued: str | None = None
    """For what a pending node is queued and why, in words; None if it is not queued."""
    usage: Usage | None = None
    """What models used for the node, in all its attempts and elements."""
    label: str | None = None
    """The label that people know an element of a fan-out by, also for a node inside one."""


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """A run as `run --json` shows it."""

    run_id: str
    status: RunStatus
    outputs: Mapping[str, StoredValue] = {}
    error: RunError | None = None
    nodes: Mapping[str, NodeResult] = {}
    counts: Mapping[NodeStatus, int] = {}
    """The number of the workflow's own nodes by status; elements, rounds and inner nodes do not count."""
    handled_failures: int = 0
    """Nodes and elements, inner ones too, whose final failure was handled by `on_error`."""
    usage: Usage | None = None
    """What models used in the whole run."""
    started_at: str | None = None
    finished_at: str | None = None
    """ISO 8601 UTC; None until it has ended."""
    took_s: float | None = None
    """From its beginning to its end, waits included; see `RunSummary.took_s` for one that has not ended."""
    doubtful: Sequence[str] = ()
    """What was in the middle of an effect when the run was stopped: a person decides about it.

    Names as `--retry` and `--skip` take them: several elements or rounds of a node are told as the node.
    """
    name: str | None = None
    """The run's name; None for runs that began before runs had names."""
    only: tuple[str, ...] = ()
    """The nodes that it was begun for, if the run has only these and what they need."""

    @property
    def label(self) -> str:
        """The run as a person calls it, and may type it: its name, or else its short id."""
        return self.name or short_id(self.run_id)

    def __repr__(self) -> str:
        """Keep it short, whatever the outputs are: asyncio calls this on results of tasks each time it
        checks for a signal.
        """
        return f"<run {self.run_id} {self.status}: {len(self.outputs)} outputs>"


class RunSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `runs list`. `started_at` and `finished_at` are seconds since the epoch.

    `took_s`: from its beginning to its end, waits included; to now while a process drives it, else to the
    last that happened.
    """

    run_id: str
    workflow: str
    status: RunStatus
    started_at: float
    finished_at: float | None = None
    took_s: float | None = None
    nodes_total: int = 0
    nodes_done: int = 0
    handled_failures: int = 0
    error: RunError | None = None
    owner_pid: int | None = None
    name: str | None = None
    only: tuple[str, ...] = ()
    """The nodes that the run was begun for: see `RunResult`."""

    @property
    def label(self) -> str:
        """The run as a person calls it, and may type it: its name, or else its short id."""
        return self.name or short_id(self.run_id)


class RunEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One durable change of a run. `seq` counts from 1 without gaps; `at` is epoch seconds.

    Types: run.started run.resumed run.paused run.interrupted run.cancelling run.finished node.started
    node.queued node.granted node.expanded node.opened node.delayed node.expired node.retrying node.waiting
    node.decided node.finished node.cached node.failed node.skipped node.cancelled node.stopped. `data`
    depends on the type (attempt, error, count, round, until, asks, signal, status, resource, reason, …).
    """

    seq: int
    type: str
    at: float
    node: str | None = None
    data: Mapping[str, Value] = {}
