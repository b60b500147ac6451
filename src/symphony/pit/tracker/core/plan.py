"""A workflow's shape as the state machine needs it: nodes as integers, edges as tuples."""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import NamedTuple

import msgspec


class Join(IntEnum):
    """When a node may begin, given how its predecessors ended."""

    ALL = 0  # every one succeeded
    ANY = 1  # all have ended, at least one succeeded
    FIRST = 2  # a merge: the first candidate that succeeded, once all other predecessors have ended


class OnFailure(IntEnum):
    """The ways to handle the last failure of a node."""

    FAIL = 0
    SKIP = 1
    VALUE = 2
    FALLBACK = 3


class PlanNode(msgspec.Struct, frozen=True):
    """One node. `attempts` counts all tries; `concurrency` bounds the elements of a fan-out.

    `fail_fast`: an element's failure stops the others; without it, the shell reports all failures at the end.
    `candidates` are the nodes that a merge chooses from; if empty, all its predecessors.
    """

    name: str
    join: Join = Join.ALL
    attempts: int = 1
    on_failure: OnFailure = OnFailure.FAIL
    fallback: int | None = None
    priority: int = 0
    concurrency: int | None = None
    fail_fast: bool = True
    enabled: bool = True
    candidates: frozenset[int] = frozenset()


class PlanLink(NamedTuple):
    """An edge to `target`. `branch`: followed only if the source took that branch. `soft`: the target's
    conditions, not how the source ended, decide whether it begins. `spare`: the target is the source's
    fallback and begins only if the source failed.
    """

    target: int
    branch: str | None = None
    soft: bool = False
    spare: bool = False


class Plan(msgspec.Struct, frozen=True):
    """The nodes by index and, for each, its outgoing links; made once for each workflow."""

    nodes: tuple[PlanNode, ...]
    links: tuple[tuple[PlanLink, ...], ...]
    index: Mapping[str, int]
    plain: tuple[tuple[int, ...] | None, ...] = msgspec.field(default=())
    """For a source with only ordinary links: its targets, for the machine's fast path."""
    incoming: tuple[int, ...] = msgspec.field(default=())
    spare_for: Mapping[int, tuple[int, ...]] = msgspec.field(default_factory=dict)
    """For a fallback node: the nodes it stands in for."""
    gates: Mapping[int, tuple[int, ...]] = msgspec.field(default_factory=dict)
    """For a merge: the nodes before it that it does not choose from."""
    below: Mapping[int, "Plan"] = msgspec.field(default_factory=dict)
    """For a node with a graph of its own: that graph, a loop's body or a sub-workflow."""


def make_plan(
    nodes: Sequence[PlanNode], links: Sequence[Sequence[PlanLink]], below: Mapping[int, Plan] | None = None
) -> Plan:
    """Return the plan of `nodes` and their outgoing `links`, without duplicates. O(V + E)."""
    incoming = [0] * len(nodes)
    spare_for: dict[int, list[int]] = {}
    gates: dict[int, list[int]] = {}
    kept: list[tuple[PlanLink, ...]] = []
    plain: list[tuple[int, ...] | None] = []
    waits = [node.join is Join.ALL and not node.candidates for node in nodes]
    for source, outgoing in enumerate(links):
        distinct = tuple(dict.fromkeys(outgoing))
        ordinary = True
        for link in distinct:
            target, branch, soft, spare = link
            incoming[target] += 1
            if waits[target] and branch is None and not soft and not spare:
                continue
            ordinary = (
                ordinary and branch is None and not soft and not spare and nodes[target].join is Join.ALL
            )
            if spare:
                spare_for.setdefault(target, []).append(source)
            elif nodes[target].candidates and source not in nodes[target].candidates:
                gates.setdefault(target, []).append(source)
        kept.append(distinct)
        plain.append(tuple([link.target for link in distinct]) if ordinary else None)
    for target in spare_for:  # how it ends decides about others
        plain[target] = None
    return Plan(
        nodes=tuple(nodes),
        links=tuple(kept),
        index={node.name: i for i, node in enumerate(nodes)},
        plain=tuple(plain),
        incoming=tuple(incoming),
        spare_for={target: tuple(sources) for target, sources in spare_for.items()},
        gates={target: tuple(sources) for target, sources in gates.items()},
        below=below or {},
    )
