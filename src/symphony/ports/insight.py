"""Views of runs, for the command line and other displays: the values, and the protocol of their source."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeVar

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.models import Usage
from symphony.ports.runs import NodeStatus, RunError, RunEvent, RunResult, RunStatus
from symphony.ports.values import JSON, ArtifactRef

if TYPE_CHECKING:
    from symphony.ports.comparison import RunComparison
    from symphony.ports.metrics import Stats

SLICES: Final = 240
"""The number of slices that a bar divides a run's time into."""
BARS_MAX: Final = 40
LINES_MAX: Final = 500
WORST: Final = (
    NodeStatus.FAILED, NodeStatus.CANCELLED, NodeStatus.WAITING, NodeStatus.RUNNING, NodeStatus.PENDING,
    NodeStatus.SUCCEEDED, NodeStatus.CACHED, NodeStatus.SKIPPED,
)  # fmt: skip
"""The status of several steps together is the first of these that one of them has."""


class NodeLine(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node, with all its elements and rounds if there are any: then `statuses` counts them."""

    name: str
    status: NodeStatus
    attempts: int = 0
    took_s: float | None = None
    error: RunError | None = None
    cached_from: str | None = None
    not_cached: str | None = None
    asks: str | None = None
    statuses: Mapping[NodeStatus, int] = {}
    fans_out: bool = False
    handled: int = 0
    """The number of them whose failure `on_error` has handled."""
    on_error: Literal["fail", "skip", "value", "fallback"] = "fail"
    """How the node handles failures."""
    queued: int = 0
    """The number of them that are queued."""
    queued_for: str | None = None
    """For what the first of these is queued, and why, in words."""


class Bar(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """When a node ran, a byte for each slice of the run's time.

    `load`: how much of the slice its steps ran, added up, where 255 is most; 0 is not at all. `waits`:
    1 where one could have begun and had not. `failed`: slices in which attempts failed that others
    followed.
    """

    name: str
    status: NodeStatus
    steps: int
    extent_s: float
    ran: bool
    load: bytes = b""
    waits: bytes = b""
    failed: Sequence[int] = ()


class Overview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The overview of a run. If it has very many nodes, the lines are those with errors and the first
    ones, and the bars are the longest."""

    began_at: float | None
    ended_at: float | None
    """When it ended, or the time of the last event while it has not."""
    lines: Sequence[NodeLine] = ()
    lines_more: int = 0
    bars: Sequence[Bar] = ()
    bars_more: int = 0
    steps: int = 0
    """Nodes and elements that ran, or whose result was reused."""
    cached: int = 0
    retries: int = 0
    retried: Sequence[str] = ()
    slowest: Sequence[tuple[str, float]] = ()
    labels: Mapping[str, str] = {}
    """The labels that people know elements of fan-outs, and nodes inside elements, by."""
    usage: Usage | None = None
    counts: Mapping[NodeStatus, int] = {}
    """The number of the workflow's own nodes by status."""
    error: RunError | None = None

    @property
    def took_s(self) -> float:
        """Return the seconds from the first owner to the end, or to the last event while it goes on."""
        if self.began_at is None or self.ended_at is None:
            return 0.0
        return max(0.0, self.ended_at - self.began_at)

    @property
    def cached_share(self) -> float | None:
        """Return the share of results that were reused; None if nothing ran."""
        return self.cached / self.steps if self.steps else None


class MadeArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact that a node of a run declared: the node's full name, its port, and the reference."""

    node: str
    port: str
    ref: ArtifactRef


class FanOutProgress(msgspec.Struct, frozen=True, kw_only=True):
    """A fan-out under way: how many of its elements have ended, `failed` ones among them."""

    name: str
    label: str | None = None
    count: int
    done: int
    failed: int = 0


class QueueProgress(msgspec.Struct, frozen=True, kw_only=True):
    """The steps of a run that wait for one resource. `reason` and `before` are those of the first in line."""

    resource: str
    kind: str
    """What the resource is: operator or model."""
    count: int
    """The number of steps that wait for it."""
    first: str
    """The name of the first in line."""
    label: str | None = None
    reason: str
    """Why it waits, in words."""
    before: int = 0
    """The number of requests of others that come before it."""


class OpenQuestion(msgspec.Struct, frozen=True, kw_only=True):
    """A question that an approval asks a person; an answer counts for `left_s` more seconds, or forever."""

    node: str
    label: str | None = None
    text: str
    left_s: float | None = None


class Extent(Protocol):
    """The properties by which a bar is chosen."""

    @property
    def name(self) -> str: ...
    @property
    def status(self) -> NodeStatus: ...
    @property
    def extent_s(self) -> float: ...


E = TypeVar("E", bound=Extent)


def longest(rows: Sequence[E], most: int) -> list[E]:
    """Return the longest rows with those above them, in order; failures before all others."""
    if len(rows) <= most:
        return list(rows)
    kept = set[str]()
    for row in sorted(rows, key=lambda row: (row.status is not NodeStatus.FAILED, -row.extent_s)):
        wanted = {row.name, *above(row.name)}
        if len(kept | wanted) <= most:
            kept |= wanted
    return [row for row in rows if row.name in kept]


def above(path: str) -> Iterator[str]:
    """Yield the names of the nodes around a node, the innermost first: of `a.b.c` `a.b` and `a`."""
    while "." in path:
        path = path.rpartition(".")[0]
        yield path


class RunViews(Protocol):
    """Views of the runs of a home, from any process. All but `watch` block.

    Every method that names a run raises RunNotFound and JournalFailed.
    """

    def status(self, run_id: str) -> RunStatus: ...
    def result(self, run_id: str) -> RunResult: ...
    def overview(self, run_id: str) -> Overview: ...
    def answered(self, run_id: str) -> Sequence[str]:
        """Return the approvals that have been answered and not been acted on."""
        ...

    def document(self, run_id: str) -> dict[str, JSON]:
        """Return all that is known of the run, each step with each attempt. O(steps)."""
        ...

    def stats(
        self,
        run_ids: Iterable[str] | str,
        passed_over: Callable[[SymphonyError], object] = ...,
    ) -> "Stats":
        """Return the metrics of one run, which is named, or of many; `passed_over` hears of those unread."""
        ...

    def exposition(self, stats: "Stats") -> str:
        """Return the metrics as Prometheus reads them."""
        ...

    def compare(self, run_id: str, other: str) -> "RunComparison":
        """Return what differs between two runs. O(steps)."""
        ...

    def watch(self, run_id: str) -> AsyncIterator[RunEvent]:
        """Return every event of the run, whichever process drives it, from its start and live."""
        ...


def queued_for(kind: str, resource: str) -> str:
    """Return the beginning of the words that say why a slot is queued."""
    return f"queued for {kind} {resource}: "


def queued_now(recorded: str, reasons: Mapping[str, str]) -> str:
    """Return why a slot is queued, with the reason of now, if `reasons` has one for the resource."""
    for resource, reason in reasons.items():
        for kind in ("model", "operator"):
            if recorded.startswith(said := queued_for(kind, resource)):
                return said + reason
    return recorded
