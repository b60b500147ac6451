"""Decides who gets which model, what is loaded for whom, and what must go. Pure: events in, actions out.

The shell tells what happened (`acquire`, `ready`, `died`, …) with the time, in seconds of one
monotonic clock, does what the returned actions say, in their order, and calls `tick` when it is due.
The invariants:

- What is warming, hot or cooling never counts more bytes, nor more models, than the budget allows
  (a model that turns out larger than declared counts so from then on, and makes others go).
- A model in use is never stopped. One that somebody keeps is not asked to leave either, so that those who
  keep it can go on calling it.
- Of the requests of one run for one model, the first one competes with those of other runs, so that
  runs take turns (see `queueing`). Those that compete are served by priority, and each `AGEING_S` of
  competing is worth one step of priority: a request of priority p is overtaken only by those of
  priority q > p that come within (q - p) x `AGEING_S` seconds after it. What it needs is not given to
  others meanwhile: if idle models do not make enough room, the least needed ones are drained.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from symphony.pit.pool.core.actions import (
    CountPrewarm,
    GrantLease,
    LeaseRequest,
    LoseLease,
    PoolAction,
    RefuseLease,
    RefuseWarm,
    StartModel,
    StopModel,
)
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.entries import ModelEntry, lease_status
from symphony.pit.pool.core.forecast import NEVER, Lookahead, Markov
from symphony.pit.pool.core.queueing import RequestQueue, WaitingRequest
from symphony.ports.pool import LeaseStatus, ModelPhase, PoolStatus, PrewarmCounts, PrewarmOutcome

RESIDENCE: Final = 10.0
"""A model that is being used stays for so many times the time that it took to load."""
RESIDENCE_S_MAX: Final = 60.0
COLD, WARMING, HOT, COOLING, FAILED = ModelPhase


class PoolMachine:
    """The pool's decisions. One thread; every method takes the time and is O(models + waiting) at most.

    A hit, that is, a lease of a hot model with a free slot, is O(1) where nobody waits.
    """

    def __init__(
        self, models: Iterable[PooledModel], budget: PoolBudget, policy: PoolPolicy, *, now_s: float
    ) -> None:
        self._entries = {model.name: ModelEntry(model, now_s) for model in models}
        self._budget, self._policy = budget, policy
        self._queue = RequestQueue()
        self._holders: dict[str, ModelEntry] = {}
        self._lookahead, self._markov = Lookahead(), Markov()
        self._actions: list[PoolAction] = []
        self._changed = False
        self._blocked = False
        self.prewarms = PrewarmCounts()

    def add(self, model: PooledModel, now_s: float) -> None:
        """Another model may be asked for from now on. Its name must be new."""
        assert model.name not in self._entries
        self._entries[model.name] = ModelEntry(model, now_s)

    # What users of models do.

    def acquire(self, request: LeaseRequest, now_s: float) -> tuple[PoolAction, ...]:
        """Grant the lease now or later, or refuse it.

        It is refused if the model is unknown, larger than the budget, or refused to load just now.
        """
        entry = self._entries.get(request.model)
        if entry is None:
            return (RefuseLease(request.lease, request.model, f"there is no model {request.model!r}"),)
        if entry.bytes_now > self._budget.bytes_max:
            too_large = f"it needs {entry.bytes_now:,} bytes and the pool has {self._budget.bytes_max:,}"
            return (RefuseLease(request.lease, request.model, too_large),)
        if entry.refused is not None:
            if now_s < entry.retry_at_s:
                return (RefuseLease(request.lease, request.model, entry.refused),)
            entry.refused = None
        entry.unwanted = False
        self._saw(request, entry, now_s)
        cold = entry.life.phase is not HOT
        if not self._queue and self._grantable(request, entry):
            self._grant(request, entry, now_s, cold=False, since_s=now_s)
        else:
            entry.waiting += 1
            self._queue.add(request, now_s, cold=cold)
        return self._settle(now_s)

    def release(self, lease: str, now_s: float) -> tuple[PoolAction, ...]:
        """The lease, or the request for it, is over. Releasing twice, or what is unknown, changes nothing."""
        entry = self._holders.pop(lease, None)
        if entry is not None:
            held = entry.users.pop(lease, None)
            if held is not None:
                entry.kept -= held[0].keeps
                self._queue.given_back(held[0], now_s)
            entry.idle_since_s = entry.last_used_s = now_s
            if entry.draining and not entry.users:
                self._stop(entry, "drained", now_s)
        elif (waiting := self._queue.find(lease)) is not None:
            self._leave(waiting)
        return self._settle(now_s)

    def announce(self, run: str, needs: Mapping[str, int], now_s: float) -> tuple[PoolAction, ...]:
        """Note the models that `run` will need: for each, in how many stages (1: the next one)."""
        known = {model: stages for model, stages in needs.items() if model in self._entries}
        for model in known.keys() - self._lookahead.needs_of(run).keys():
            self._entries[model].unwanted = False
        self._lookahead.announce(run, known)
        return self._settle(now_s)

    def forget(self, run: str, now_s: float) -> tuple[PoolAction, ...]:
        """`run` has ended: it needs nothing more."""
        self._lookahead.forget(run)
        self._markov.forget(run)
        return self._settle(now_s)

    def unload(self, model: str, now_s: float) -> tuple[PoolAction, ...]:
        """Stop the model as soon as nobody uses it. It is loaded again when somebody asks for it."""
        entry = self._entries[model]
        entry.unwanted = True
        self._refuse_warm(entry, "it was unloaded by request")
        if entry.life.phase in (WARMING, HOT):
            self._drain(entry, "unloaded by request", now_s)
        return self._settle(now_s)

    def warm(self, model: str, now_s: float) -> tuple[PoolAction, ...]:
        """Load the model, before what is only forecast, if that stops nothing in use or needed as soon.

        If it is not hot already, `PhaseChanged` or `RefuseWarm` says what became of it.
        """
        entry = self._entries[model]
        entry.unwanted = False
        if entry.life.phase is not HOT or entry.draining:
            entry.wanted = True
            if entry.refused is not None and now_s < entry.retry_at_s:
                self._refuse_warm(entry, entry.refused)
            elif not self._queue:
                self._warm_wanted(self._needed(), now_s)
        return self._settle(now_s)

    # What happens to processes.

    def ready(self, model: str, now_s: float) -> tuple[PoolAction, ...]:
        """The model has been loaded. One that is cooling by now stays so."""
        entry = self._entries[model]
        if entry.life.phase is WARMING:
            entry.failures, entry.wanted, entry.refused = 0, False, None
            entry.idle_since_s = now_s
            load_s = now_s - entry.life.since_s
            entry.stays_until_s = now_s + min(RESIDENCE * load_s, RESIDENCE_S_MAX)
            self._move(entry, HOT, "loaded", now_s)
        return self._settle(now_s)

    def measured(self, model: str, bytes_now: int, now_s: float) -> tuple[PoolAction, ...]:
        """The model's process takes so many bytes; idle models leave if the budget no longer holds.

        One that takes more than the whole budget counts as all of it, and will be alone.
        """
        entry = self._entries[model]
        entry.bytes_taken, entry.measured = bytes_now, True
        entry.bytes_now = min(bytes_now, self._budget.bytes_max)
        self._shrink(now_s)
        return self._settle(now_s)

    def died(
        self, model: str, reason: str, retry_at_s: float, now_s: float, *, refused: bool = False
    ) -> tuple[PoolAction, ...]:
        """The process ended. If it was not asked to, the model failed and does not start before `retry_at_s`.

        `refused`: the model cannot be loaded at all; until then everybody who asks is told so.
        """
        entry = self._entries[model]
        loading = entry.life.phase is WARMING
        if entry.life.phase is COOLING:
            self._move(entry, COLD, "ended", now_s)
        elif entry.life.loaded:
            self._fail(entry, reason, retry_at_s, now_s)
            if refused or (loading and entry.failures >= self._policy.failures_max):
                entry.refused = reason if refused else None
                self._refuse_waiting(entry, reason)
        return self._settle(now_s)

    def tick(self, now_s: float) -> tuple[PoolAction, ...]:
        """Do what is due: end what was idle for too long, load ahead what is needed soon. See `due_s`."""
        needed = self._needed()
        for entry in self._entries.values():
            if self._idle(entry) and entry.model.name not in needed:
                if now_s >= entry.idle_since_s + self._keep_s(entry):
                    self._stop(entry, f"idle for {now_s - entry.idle_since_s:.0f} s", now_s)
            elif entry.life.phase is FAILED and not entry.waiting and now_s >= entry.retry_at_s:
                self._move(entry, COLD, f"may be tried again; before, {entry.life.reason}", now_s)
        self._changed = False
        if not (self._queue and self._serve(now_s)):
            self._warm_wanted(needed, now_s)
            self._prewarm(needed, now_s)
        return self._taken()

    def due_s(self, now_s: float) -> float | None:
        """When `tick` has something to do next, perhaps now; None: not before something else happens."""
        if self._changed:
            return now_s
        needed = self._needed()
        dues = [
            entry.retry_at_s if entry.life.phase is FAILED else entry.idle_since_s + self._keep_s(entry)
            for entry in self._entries.values()
            if entry.life.phase is FAILED or (self._idle(entry) and entry.model.name not in needed)
        ]
        if self._blocked and self._queue:
            goes = [entry.goes_s for entry in self._entries.values() if self._evictable(entry)]
            dues += [at_s for at_s in goes if at_s > now_s]
        return min(dues, default=None)

    # What is seen of it.

    def phase(self, model: str) -> ModelPhase:
        """The model's phase."""
        return self._entries[model].life.phase

    def wanted(self, model: str) -> bool:
        """Return whether the model was to be warmed by request and is neither hot nor refused yet."""
        return self._entries[model].wanted

    def users(self, model: str) -> int:
        """Leases that hold on the model, without those that only keep it loaded."""
        entry = self._entries[model]
        return len(entry.users) - entry.kept

    def bytes_of(self, model: str) -> int:
        """The bytes for which the model counts, or would if it were loaded."""
        return self._entries[model].bytes_now

    def status(self, now_s: float, wall_s: float, pids: Mapping[str, int]) -> PoolStatus:
        """What others see of the pool. `wall_s`: the present time, in seconds since the Unix epoch."""
        epoch_s = wall_s - now_s
        waiting: dict[str, list[LeaseStatus]] = {}
        for one, count in self._queue.counted():
            told = lease_status(one.request, epoch_s + one.since_s, count)
            waiting.setdefault(one.request.model, []).append(told)
        models = (
            entry.status(
                tuple(waiting.get(model, ())), self._lookahead.needed_by(model), pids.get(model), epoch_s
            )
            for model, entry in sorted(self._entries.items())
        )
        return PoolStatus(
            at_s=wall_s,
            models=tuple(models),
            bytes_loaded=self.bytes_loaded,
            bytes_max=self._budget.bytes_max,
            models_loaded=self.models_loaded,
            models_max=self._budget.models_max,
            waiting=self.waiting,
            prewarms=self.prewarms,
        )

    @property
    def waiting(self) -> int:
        """Requests that have neither been granted nor refused."""
        return len(self._queue)

    @property
    def bytes_loaded(self) -> int:
        """Bytes of all that is warming, hot or cooling."""
        return sum(entry.bytes_now for entry in self._entries.values() if entry.life.loaded)

    @property
    def models_loaded(self) -> int:
        """How many models are warming, hot or cooling."""
        return sum(entry.life.loaded for entry in self._entries.values())

    # Serving.

    def _settle(self, now_s: float) -> tuple[PoolAction, ...]:
        """Serve those who wait; what else the event may mean is for `tick`, so that a hit costs little."""
        self._changed = True
        if self._queue:
            self._serve(now_s)
        return self._taken()

    def _taken(self) -> tuple[PoolAction, ...]:
        actions = tuple(self._actions)
        self._actions.clear()
        return actions

    def _serve(self, now_s: float) -> bool:
        """Grant what can be granted, in order. Return whether a request wants memory that is not free yet."""
        blocked = granted = False
        for waiting in self._queue.competing():
            entry = self._entries[waiting.request.model]
            if self._grantable(waiting.request, entry):
                self._leave(waiting, served_s=now_s)
                self._grant(waiting.request, entry, now_s, cold=waiting.cold, since_s=waiting.since_s)
                granted = True
            elif not blocked and self._startable(entry, now_s):
                if self._room(entry, now_s):
                    self._start(entry, "asked for", now_s, ahead=False)
                else:
                    blocked = True
        if granted and self._queue:
            return self._serve(now_s)  # the next of the runs that were served compete now
        self._blocked = blocked
        return blocked

    def _grant(
        self, request: LeaseRequest, entry: ModelEntry, now_s: float, *, cold: bool, since_s: float
    ) -> None:
        if entry.ahead:
            entry.ahead = False
            self._count(entry, "late" if cold else "hit")
        entry.users[request.lease] = (request, now_s)
        entry.kept += request.keeps
        self._holders[request.lease] = entry
        self._actions.append(GrantLease(request.lease, request.model, cold, now_s - since_s))

    def _leave(self, waiting: WaitingRequest, *, served_s: float | None = None) -> None:
        self._queue.remove(waiting, served_s=served_s)
        self._entries[waiting.request.model].waiting -= 1

    def _saw(self, request: LeaseRequest, entry: ModelEntry, now_s: float) -> None:
        if request.run is not None and self._policy.markov:
            self._markov.observe(request.run, request.model)
        if not entry.users and not entry.waiting and self._policy.histogram:
            entry.idle_times.observe(now_s - entry.idle_since_s)

    # Room.

    def _startable(self, entry: ModelEntry, now_s: float) -> bool:
        phase = entry.life.phase
        return phase is COLD or (phase is FAILED and now_s >= entry.retry_at_s)

    def _room(self, entry: ModelEntry, now_s: float) -> bool:
        """Return whether there is room for a model that is waited for. If not, ask models to leave."""
        if self._fits(entry):
            return True
        leaving = [other for other in self._entries.values() if self._leaving(other)]
        for other in self._by_need(other for other in self._entries.values() if self._evictable(other)):
            if self._fits(entry, leaving):
                break
            if other.goes_s <= now_s:
                leaving.append(other)
                self._drain(other, f"room for {entry.model.name}", now_s)
            elif not other.users and not other.waiting:
                break  # it goes in a moment; those that follow are needed sooner
        return False

    def _by_need(self, entries: Iterable[ModelEntry]) -> list[ModelEntry]:
        """In the order in which they should go: idle ones, those needed last or never, the longest unused."""
        needed = self._needed()
        return sorted(
            entries,
            key=lambda one: (
                bool(one.users) or one.waiting > 0,
                -needed.get(one.model.name, NEVER),
                one.idle_since_s,
            ),
        )

    def _fits(self, entry: ModelEntry, leaving: Iterable[ModelEntry] = ()) -> bool:
        """Return whether the model would fit into the budget if the `leaving` ones had ended."""
        gone = list(leaving)
        freed = sum(other.bytes_now for other in gone)
        return (
            self.bytes_loaded - freed + entry.bytes_now <= self._budget.bytes_max
            and self.models_loaded - len(gone) + 1 <= self._budget.models_max
        )

    @staticmethod
    def _leaving(entry: ModelEntry) -> bool:
        return entry.draining or entry.life.phase is COOLING

    @staticmethod
    def _evictable(entry: ModelEntry) -> bool:
        """Return whether the model may be asked to leave: not while it is kept, or loaded for a caller."""
        if entry.draining or entry.kept:
            return False
        return entry.life.phase is HOT or (entry.life.phase is WARMING and not entry.waiting)

    @staticmethod
    def _idle(entry: ModelEntry) -> bool:
        return entry.life.phase is HOT and not entry.users and not entry.draining

    @staticmethod
    def _grantable(request: LeaseRequest, entry: ModelEntry) -> bool:
        """Return whether the request can be granted now. What is kept answers also while it is to leave."""
        if entry.life.phase is not HOT or (entry.draining and not (entry.kept and not request.keeps)):
            return False
        return request.keeps or len(entry.users) - entry.kept < entry.model.slots

    def _shrink(self, now_s: float) -> None:
        """Tell idle models to leave until the budget holds, or no idle one is left."""
        leaving = [other for other in self._entries.values() if self._leaving(other)]
        for other in self._by_need(other for other in self._entries.values() if self._idle(other)):
            if self.bytes_loaded - sum(one.bytes_now for one in leaving) <= self._budget.bytes_max:
                break
            leaving.append(other)
            self._stop(other, "the budget no longer holds", now_s)

    # Ahead of requests.

    def _needed(self) -> dict[str, float]:
        """Return in how many stages each model is needed. What is only likely counts as further away."""
        needed = self._lookahead.distances() if self._policy.lookahead else {}
        if self._policy.markov:
            known = self._lookahead.runs if self._policy.lookahead else frozenset()
            for model, probability in self._markov.likely(known).items():
                if probability >= self._policy.markov_min:
                    needed[model] = min(needed.get(model, NEVER), 2.0 + 1.0 / probability)
        for model, entry in self._entries.items():
            if entry.wanted:
                needed[model] = min(needed.get(model, NEVER), 1.0)
        return needed

    def _warm_wanted(self, needed: Mapping[str, float], now_s: float) -> None:
        """Load what was to be warmed by request, or refuse it if it cannot have the room."""
        for entry in self._entries.values():
            if not entry.wanted or not self._startable(entry, now_s):
                continue
            if self._room_ahead(entry, needed, now_s):
                self._start(entry, "warmed by request", now_s, ahead=False)
            elif not any(self._leaving(other) for other in self._entries.values()):
                free = self._budget.bytes_max - self.bytes_loaded
                self._refuse_warm(
                    entry,
                    f"there is no room: it needs {entry.bytes_now:,} bytes, {free:,} of"
                    f" {self._budget.bytes_max:,} are free, and what is loaded is in use or needed as soon",
                    full=True,
                )

    def _refuse_warm(self, entry: ModelEntry, reason: str, *, full: bool = False) -> None:
        if entry.wanted:
            entry.wanted = False
            self._actions.append(RefuseWarm(entry.model.name, reason, full))

    def _prewarm(self, needed: Mapping[str, float], now_s: float) -> None:
        """Load what is needed soon, the soonest first.

        One that is needed later waits until those that are needed sooner are loaded: loading at the same
        time, it would take the disk and the cores from them.
        """
        warming = [entry for entry in self._entries.values() if entry.life.phase is WARMING]
        loading = sum(entry.ahead for entry in warming)
        first = min((needed.get(entry.model.name, 1.0) for entry in warming), default=NEVER)
        for model in sorted(needed, key=lambda name: (needed[name], name)):
            entry = self._entries[model]
            if loading >= self._policy.prewarming_max or needed[model] > first:
                return
            # One that refuses, or fails again and again, is tried for those who ask. Forecasts never give up.
            hopeful = entry.refused is None and entry.failures < self._policy.failures_max
            possible = entry.bytes_now <= self._budget.bytes_max
            if entry.life.phase is COLD and hopeful and possible and not entry.unwanted:
                if not self._room_ahead(entry, needed, now_s):
                    return  # a model that is needed later does not take the room of one that is needed sooner
                self._start(entry, "needed soon", now_s, ahead=True)
                loading, first = loading + 1, min(first, needed[model])

    def _room_ahead(self, entry: ModelEntry, needed: Mapping[str, float], now_s: float) -> bool:
        """Return whether there is room for a model that nobody waits for yet.

        Only models that are needed later must leave.
        """
        if self._fits(entry):
            return True
        distance = needed.get(entry.model.name, 0.0)
        leaving = [other for other in self._entries.values() if self._leaving(other)]
        going: list[ModelEntry] = []
        for other in self._by_need(other for other in self._entries.values() if self._idle(other)):
            if self._fits(entry, [*leaving, *going]):
                break
            if needed.get(other.model.name, NEVER) > distance:
                going.append(other)
        if self._fits(entry, [*leaving, *going]):
            for other in going:
                self._stop(other, f"room for {entry.model.name}, which is needed soon", now_s)
        return False

    def _keep_s(self, entry: ModelEntry) -> float:
        """For how long the model stays when it is idle, seconds."""
        policy = self._policy
        pause_s = entry.idle_times.percentile_s(0.99) if policy.histogram else None
        return policy.keep_s if pause_s is None else min(max(pause_s, policy.keep_min_s), policy.keep_max_s)

    # Changes of phase.

    def _move(self, entry: ModelEntry, after: ModelPhase, reason: str, now_s: float) -> None:
        self._actions.append(entry.life.move(after, reason, now_s))

    def _start(self, entry: ModelEntry, reason: str, now_s: float, *, ahead: bool) -> None:
        self._move(entry, WARMING, reason, now_s)
        entry.ahead, entry.draining = ahead, False
        if ahead:
            self._count(entry, "started")
        self._actions.append(StartModel(entry.model.name, ahead))

    def _drain(self, entry: ModelEntry, reason: str, now_s: float) -> None:
        """Stop the model, at once if nobody uses it, else after its last user."""
        if entry.users:
            entry.draining = True
        else:
            self._stop(entry, reason, now_s)

    def _stop(self, entry: ModelEntry, reason: str, now_s: float) -> None:
        self._unused(entry)
        entry.draining = False
        self._move(entry, COOLING, reason, now_s)
        self._actions.append(StopModel(entry.model.name))

    def _fail(self, entry: ModelEntry, reason: str, retry_at_s: float, now_s: float) -> None:
        self._unused(entry)
        self._move(entry, FAILED, reason, now_s)
        entry.draining, entry.retry_at_s = False, retry_at_s
        entry.failures += 1
        for lease, (request, _) in sorted(entry.users.items()):
            del self._holders[lease]
            self._actions.append(LoseLease(lease, entry.model.name, request.run, reason))
        entry.users.clear()
        entry.kept = 0
        self._refuse_warm(entry, reason)

    def _refuse_waiting(self, entry: ModelEntry, reason: str) -> None:
        for waiting in self._queue.of(entry.model.name):
            self._leave(waiting)
            self._actions.append(RefuseLease(waiting.request.lease, entry.model.name, reason))

    def _unused(self, entry: ModelEntry) -> None:
        """Count a model that ends as wasted if it was loaded ahead and never asked for."""
        if entry.ahead:
            self._count(entry, "wasted")
        entry.ahead = False

    def _count(self, entry: ModelEntry, outcome: PrewarmOutcome) -> None:
        counts = self.prewarms
        match outcome:
            case "started":
                self.prewarms = msgspec.structs.replace(counts, started=counts.started + 1)
            case "hit":
                self.prewarms = msgspec.structs.replace(counts, hits=counts.hits + 1)
            case "late":
                self.prewarms = msgspec.structs.replace(counts, late=counts.late + 1)
            case "wasted":
                self.prewarms = msgspec.structs.replace(counts, wasted=counts.wasted + 1)
        self._actions.append(CountPrewarm(entry.model.name, outcome))
