"""The results of requests to a run, and of deleting old ones. Values only."""

from collections.abc import Mapping, Sequence
from enum import Enum

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.ports.artifacts import Collected
from symphony.ports.runs import RunSummary

NOTHING = Collected(0, 0)


class Reached(Enum):
    """How far a request got."""

    HERE = "here"  # nobody owned the run: it is in the journal
    OWNER = "owner"  # the owner has done it
    LEFT = "left"  # the owner has it, durably, but has not come to it yet


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """The deleted runs, and the size of their artifacts; nothing is deleted if `dry_run`.

    The artifacts are in the trash for `grace_s` seconds, or gone if that is 0.

    `busy` runs were taken up by somebody meanwhile and have stayed; so have those whose journals cannot
    be read, for the reasons in `unread`.
    """

    runs: Sequence[RunSummary]
    busy: int = 0
    collected: Collected = NOTHING
    grace_s: float = 0.0
    dry_run: bool = False
    unread: Sequence[SymphonyError] = ()


class StaleCode(msgspec.Struct, frozen=True):
    """Reused results of nodes, made in the run `run_id` by an operator whose code has changed since."""

    run_id: str
    nodes: tuple[str, ...]


class ReuseSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A summary of a rerun: what it takes from the run `run_id`, and what runs again.

    `nodes` counts the workflow's own nodes, `reused` those that are taken over. `again` has the others,
    but for those that may be skipped, each with the reason.
    """

    run_id: str
    nodes: int
    reused: int
    again: Mapping[str, str] = msgspec.field(default_factory=dict)
    elements: Mapping[str, tuple[int, int]] = msgspec.field(default_factory=dict)
    """Fan-outs that run in part, by full name: how many elements are reused, of how many."""
    moving: frozenset[str] = frozenset()
    """Fan-outs whose list may differ: unchanged elements are reused, wherever they are in it."""
    tried: Mapping[str, int] = msgspec.field(default_factory=dict)
    """The number of elements of each of the `moving` fan-outs that are not new, but run again."""
    inside: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Loops and sub-workflows that run in part: how many steps inside of them are reused."""
    stale: Mapping[str, StaleCode] = msgspec.field(default_factory=dict)
    """Operators whose code has changed since, though results of it are reused."""
