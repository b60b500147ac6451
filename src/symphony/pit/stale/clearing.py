"""Carries verdicts out: artifacts into the trash, out of it, and away. Blocking."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from symphony.pit.stale.core.deciding import RetentionPolicy, verdicts
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Clearing, Fate, Judged, RetainedStore, Standing, Verdict
from symphony.ports.values import Digest

_PAGE: Final = 1_000
NOTHING: Final = Collected(0, 0)


def clear(
    store: RetainedStore,
    policy: RetentionPolicy,
    now_s: float,
    *,
    unended: Callable[[AbstractSet[str]], AbstractSet[str]] = lambda _: frozenset(),
    known_besides: Callable[[Sequence[Standing]], Sequence[Standing]] | None = None,
    at_once: bool = False,
    dry_run: bool = False,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Clearing:
    """Judge every artifact: move what goes to the trash, and delete what was there for long enough.

    What is in the trash and stays by the rules of today comes back. With `at_once` all that goes is
    deleted, but for what was put a short time ago. `unended` tells which of some runs may go on;
    `known_besides` adds facts that the store does not have. With `dry_run` nothing is changed at all.
    """
    found = store.standings()
    if found.damaged:
        return Clearing(damaged=found.damaged, grace_s=policy.grace_s, dry_run=dry_run)
    facts = found.all if known_besides is None else known_besides(found.all)
    runs = unended({run for one in facts for run in one.runs}) if policy.of_runs else frozenset[str]()
    told = zip(found.all, facts, verdicts(facts, policy, now_s, unended=runs), strict=True)
    judged = [
        Judged(fact, verdict, _fate(fact, verdict, policy, now_s, at_once=at_once))
        for _, fact, verdict in told
    ]
    if dry_run:
        return _foreseen(judged, policy)
    by_fate = defaultdict[Fate, list[tuple[Standing, str]]](list)
    for standing, one in zip(found.all, judged, strict=True):
        if one.fate not in (Fate.STAYS, Fate.WAITS):  # most do: nothing is remembered for them
            by_fate[one.fate].append((standing, f"{one.verdict.rule}: {one.verdict.why}"))
    deadline = _Deadline(out_of_time)
    restored = _each(
        by_fate[Fate.RESTORED], deadline, lambda some: store.restore(one.digest for one, _ in some)
    )
    going = by_fate[Fate.TRASHED] + [pair for pair in by_fate[Fate.DELETED] if pair[0].trashed_at is None]
    min_age_s = policy.min_age_s
    trashed = _each(going, deadline, lambda some: store.trash(some, min_age_s=min_age_s))
    leaving = {one.digest for one, _ in by_fate[Fate.DELETED]}
    swept = [one for one in _trashed_now(store, leaving, found.all) if one.trashed_at is not None]
    deleted = store.sweep(swept, min_age_s=min_age_s) if not deadline.over else NOTHING
    if at_once:
        trashed = NOTHING
    return Clearing(
        judged=judged, trashed=trashed, deleted=deleted, restored=restored, grace_s=policy.grace_s,
        complete=not deadline.over,
    )  # fmt: skip


def _fate(one: Standing, verdict: Verdict, policy: RetentionPolicy, now_s: float, *, at_once: bool) -> Fate:
    if verdict.stays:
        # What is young may have been touched by a run that will not refer to it in the end.
        back = one.trashed_at is not None and verdict.rule != "young"
        return Fate.RESTORED if back else Fate.WAITS if one.trashed_at is not None else Fate.STAYS
    if at_once:
        return Fate.DELETED
    if one.trashed_at is None:
        return Fate.TRASHED
    return Fate.DELETED if one.trashed_at <= now_s - policy.grace_s else Fate.WAITS


def _foreseen(judged: Sequence[Judged], policy: RetentionPolicy) -> Clearing:
    def total(fate: Fate) -> Collected:
        sizes = [one.standing.size for one in judged if one.fate is fate]
        return Collected(len(sizes), sum(sizes))

    return Clearing(
        judged=judged, trashed=total(Fate.TRASHED), deleted=total(Fate.DELETED),
        restored=total(Fate.RESTORED), grace_s=policy.grace_s, dry_run=True,
    )  # fmt: skip


def _trashed_now(
    store: RetainedStore, leaving: AbstractSet[Digest], before: Sequence[Standing]
) -> Iterator[Standing]:
    """Yield those that are to be deleted, as they are after they were moved to the trash."""
    if not leaving:
        return
    moved = any(one.trashed_at is None for one in before if one.digest in leaving)
    for one in store.standings().all if moved else before:
        if one.digest in leaving:
            yield one


class _Deadline:
    """Remembers that the time is over."""

    def __init__(self, out_of_time: Callable[[], bool]) -> None:
        self._out_of_time, self.over = out_of_time, False

    def passed(self) -> bool:
        self.over = self.over or self._out_of_time()
        return self.over


def _each(
    found: Sequence[tuple[Standing, str]],
    deadline: _Deadline,
    act: Callable[[Sequence[tuple[Standing, str]]], Collected],
) -> Collected:
    total = NOTHING
    for start in range(0, len(found), _PAGE):
        if deadline.passed():
            break
        done = act(found[start : start + _PAGE])
        total = Collected(total.objects + done.objects, total.bytes + done.bytes)
    return total
