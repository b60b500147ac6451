"""Carries verdicts out: artifacts into the trash, out of it, and away. Blocking."""

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from symphony.pit.stale.core.deciding import Judge, RetentionPolicy
from symphony.ports.artifacts import Collected
from symphony.ports.retention import (
    Clearing,
    Fate,
    Judged,
    RetainedStore,
    Standing,
    StandingPages,
    Verdict,
)

NOTHING: Final = Collected(0, 0)
Amend: TypeAlias = Callable[[Sequence[Standing]], Sequence[Standing]]


def clear(
    store: RetainedStore,
    policy: RetentionPolicy,
    now_s: float,
    *,
    unended: Callable[[AbstractSet[str]], AbstractSet[str]] = lambda _: frozenset(),
    known_besides: Amend | None = None,
    at_once: bool = False,
    dry_run: bool = False,
    explain: bool = True,
    out_of_time: Callable[[], bool] = lambda: False,
) -> Clearing:
    """Judge every artifact: move what goes to the trash, and delete what was there for long enough.

    What is in the trash and stays by the rules of today comes back. With `at_once` all that goes is
    deleted, but for what was put a short time ago. `unended` tells which of some runs may go on;
    `known_besides` adds facts that the store does not have. With `dry_run` nothing is changed at all.
    Only if it is to `explain` is what was judged remembered, which takes 3 KB for each artifact.
    """
    judge = Judge(policy, now_s)
    done = _Done(policy, dry_run=dry_run, explain=explain)
    with store.look(writes=not dry_run) as found:
        if found.damaged:
            return Clearing(damaged=found.damaged, grace_s=policy.grace_s, dry_run=dry_run)
        runs = _looked_through(found, judge, known_besides, of_runs=policy.of_runs)
        going_on = unended(runs) if runs else frozenset[str]()
        for page in found.pages():
            if out_of_time():
                done.complete = False
                break
            judged = [
                Judged(fact, verdict, _fate(fact, verdict, policy, now_s, at_once=at_once))
                for fact in (known_besides(page) if known_besides else page)
                for verdict in (judge.verdict(fact, going_on),)
            ]
            done.told(judged)
            if not dry_run:
                _moved(store, page, judged, policy, done)
    if dry_run:
        return done.clearing()
    if done.complete:
        done.deleted = _swept(store, policy, done.leaving)
    if at_once:
        done.trashed = NOTHING
    return done.clearing()


def _looked_through(
    found: StandingPages, judge: Judge, known_besides: Amend | None, *, of_runs: bool
) -> AbstractSet[str]:
    """Count every artifact if a rule needs that. Return the runs that refer to any, if `of_runs`."""
    runs = set[str]()
    if judge.counts or of_runs:
        for page in found.pages():
            for one in known_besides(page) if known_besides and judge.counts else page:
                judge.count(one)
                if of_runs:
                    runs |= one.runs
    return runs


class _Done:
    """What a clearing comes to, while it goes on."""

    def __init__(self, policy: RetentionPolicy, *, dry_run: bool, explain: bool) -> None:
        self._grace_s, self._dry_run, self._explain = policy.grace_s, dry_run, explain
        self._judged = list[Judged]()
        self.totals = dict.fromkeys(Fate, NOTHING)
        self.trashed = self.deleted = self.restored = NOTHING
        self.leaving = set[bytes]()
        """The digests of what is to be deleted."""
        self.complete = True

    def told(self, judged: Sequence[Judged]) -> None:
        for one in judged:
            self.totals[one.fate] = _sum(self.totals[one.fate], Collected(1, one.standing.size))
        if self._explain:
            self._judged += judged

    def clearing(self) -> Clearing:
        totals = self.totals
        foreseen = totals[Fate.TRASHED], totals[Fate.DELETED], totals[Fate.RESTORED]
        done = foreseen if self._dry_run else (self.trashed, self.deleted, self.restored)
        return Clearing(
            judged=self._judged, trashed=done[0], deleted=done[1], restored=done[2],
            waiting=totals[Fate.WAITS].objects, stayed=totals[Fate.STAYS].objects,
            grace_s=self._grace_s, dry_run=self._dry_run, complete=self.complete,
        )  # fmt: skip


def _moved(
    store: RetainedStore,
    page: Sequence[Standing],
    judged: Sequence[Judged],
    policy: RetentionPolicy,
    done: _Done,
) -> None:
    """Move what one page says into the trash or out of it."""
    back, going = list[Standing](), list[tuple[Standing, str]]()
    for standing, one in zip(page, judged, strict=True):
        if one.fate is Fate.RESTORED:
            back.append(standing)
        elif one.fate in (Fate.TRASHED, Fate.DELETED) and standing.trashed_at is None:
            going.append((standing, f"{one.verdict.rule}: {one.verdict.why}"))
        if one.fate is Fate.DELETED:
            done.leaving.add(bytes.fromhex(standing.digest))
    if back:
        done.restored = _sum(done.restored, store.restore(one.digest for one in back))
    if going:
        done.trashed = _sum(done.trashed, store.trash(going, min_age_s=policy.min_age_s))


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


def _swept(store: RetainedStore, policy: RetentionPolicy, leaving: AbstractSet[bytes]) -> Collected:
    """Delete what is to leave and is in the trash now; and what dead writers have left, whatever leaves."""
    if not leaving:
        return store.sweep((), min_age_s=policy.min_age_s)
    with store.look(writes=True) as found:
        going = (one for page in found.pages() for one in page if bytes.fromhex(one.digest) in leaving)
        return store.sweep(going, min_age_s=policy.min_age_s)


def _sum(one: Collected, other: Collected) -> Collected:
    return Collected(one.objects + other.objects, one.bytes + other.bytes)
