"""Random histories of the pool's machine, each step of which keeps the invariants."""

from random import Random

import pytest

from symphony.pit.pool.core.actions import (
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
from symphony.pit.pool.core.lifecycle import PhaseChanged
from symphony.pit.pool.core.machine import PoolMachine
from symphony.ports.pool import ModelPhase


class History:
    """A random pool with users, graphs and processes that do as they please; each step is looked at."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = Random(seed)
        sizes = {name: rng.randrange(1, 12) for name in "abcdef"[: rng.randrange(2, 7)]}
        self.names = sorted(sizes)
        self.slots = {name: rng.randrange(1, 4) for name in sizes}
        self.budget = PoolBudget(
            bytes_max=max(*sizes.values(), rng.randrange(8, 40)), models_max=rng.choice([1, 2, 3, 100])
        )
        policy = PoolPolicy(
            lookahead=rng.random() < 0.8,
            markov=rng.random() < 0.8,
            histogram=rng.random() < 0.8,
            markov_min=rng.random(),
            prewarming_max=rng.randrange(4),
            failures_max=1_000_000,
        )
        models = [
            PooledModel(name=name, size_bytes=sizes[name], slots=self.slots[name]) for name in self.names
        ]
        self.pool = PoolMachine(models, self.budget, policy, now_s=0.0)
        self.now_s = 0.0
        self.warming: set[str] = set()
        self.cooling: set[str] = set()
        self.holding: dict[str, str] = {}
        self.waiting: dict[str, str] = {}
        self.keeping: set[str] = set()
        self.wanted: set[str] = set()
        self.lookahead = policy.lookahead
        self.needs: dict[str, dict[str, int]] = {}
        self.made_room = 0

    @property
    def busy(self) -> bool:
        """Is anything held, waited for, loading, ending or to be warmed?"""
        return bool(self.holding or self.waiting or self.warming or self.cooling or self.wanted)

    def step(self) -> None:
        """Something happens, or what is due is done."""
        roll = self.rng.random()
        if roll < 0.3:
            self._ask()
        elif roll < 0.35 and self.waiting:
            self._end(self.waiting)
        elif roll < 0.4:
            self._kill()
        elif roll < 0.45:
            needed = self.rng.sample(self.names, self.rng.randrange(len(self.names)))
            needs = {name: self.rng.randrange(1, 3) for name in needed}
            run = self.rng.choice("rs")
            self.needs[run] = needs
            self._heard(self.pool.announce(run, needs, self.now_s))
        elif roll < 0.47:
            self._heard(self.pool.unload(self.rng.choice(self.names), self.now_s))
        elif roll < 0.5:
            self._warm(self.rng.choice(self.names))
        else:
            self.calm_step()

    def calm_step(self) -> None:
        """Something ends, or what is due is done."""
        self.now_s += self.rng.random() * 3
        roll = self.rng.random()
        if roll < 0.4 and self.holding:
            self._end(self.holding)
        elif roll < 0.6 and self.warming:
            self._heard(self.pool.ready(self._one_of(self.warming), self.now_s))
        elif roll < 0.8 and self.cooling:
            self._heard(self.pool.died(self._one_of(self.cooling), "", self.now_s, self.now_s))
        else:
            self._heard(self.pool.tick(self.now_s))

    def runs_end(self) -> None:
        """No graph needs anything more."""
        for run in "rs":
            self.needs.pop(run, None)
            self._heard(self.pool.forget(run, self.now_s))

    def _ask(self) -> None:
        lease, model = f"at {self.now_s}, {len(self.waiting)}", self.rng.choice(self.names)
        self.waiting[lease] = model
        run = self.rng.choice(["r", "s", None])
        keeps = self.rng.random() < 0.2
        if keeps:
            self.keeping.add(lease)
        request = LeaseRequest(lease=lease, model=model, run=run, priority=self.rng.randrange(4), keeps=keeps)
        self._heard(self.pool.acquire(request, self.now_s))
        self.now_s += self.rng.random()

    def _end(self, leases: dict[str, str]) -> None:
        lease = self.rng.choice(sorted(leases))
        del leases[lease]
        self._heard(self.pool.release(lease, self.now_s))

    def _warm(self, model: str) -> None:
        actions = self.pool.warm(model, self.now_s)
        if self.pool.wanted(model) or any(isinstance(action, RefuseWarm) for action in actions):
            self.wanted.add(model)
        self._heard(actions)

    def _kill(self) -> None:
        alive = [n for n in self.names if self.pool.phase(n) in (ModelPhase.HOT, ModelPhase.WARMING)]
        if alive:
            model = self.rng.choice(alive)
            self.warming.discard(model)
            retry_at_s = self.now_s + self.rng.random() * 20
            self._heard(self.pool.died(model, "killed", retry_at_s, self.now_s))

    def _one_of(self, models: set[str]) -> str:
        model = self.rng.choice(sorted(models))
        models.discard(model)
        return model

    def _distance(self, model: str) -> float:
        """In how many stages a graph needs the model; what nobody announced is further away than any."""
        needs = [needs[model] for needs in self.needs.values() if model in needs and self.lookahead]
        return min([*needs, 1.0 if model in self.wanted else 3.0])

    def _yielded(self, model: str, reason: str) -> None:
        """A model stops for one that nobody waits for: it is not needed as soon, and not in use."""
        other = reason.removeprefix("room for ").removesuffix(", which is needed soon")
        assert model not in self.holding.values()
        assert self._distance(model) == 3.0 or self._distance(other) < self._distance(model)
        self.made_room += 1

    def _heard(self, actions: tuple[PoolAction, ...]) -> None:
        for action in actions:
            if isinstance(action, PhaseChanged) and action.reason.endswith("which is needed soon"):
                self._yielded(action.model, action.reason)
            match action:
                case StartModel():
                    self.warming.add(action.model)
                case StopModel():
                    assert action.model not in self.holding.values()
                    self.warming.discard(action.model)
                    self.cooling.add(action.model)
                case GrantLease():
                    assert self.pool.phase(action.model) is ModelPhase.HOT
                    self.holding[action.lease] = self.waiting.pop(action.lease)
                case LoseLease():
                    del self.holding[action.lease]
                case RefuseLease():
                    raise AssertionError(action.reason)
                case RefuseWarm():
                    self.wanted.remove(action.model)
                case PhaseChanged(after=ModelPhase.HOT):
                    self.wanted.discard(action.model)
                case _:
                    pass
        for name, most in self.slots.items():
            calls = [one for one, model in self.holding.items() if model == name and one not in self.keeping]
            assert len(calls) == self.pool.users(name) <= most
        assert self.pool.bytes_loaded <= self.budget.bytes_max
        assert self.pool.models_loaded <= self.budget.models_max
        assert self.pool.waiting == len(self.waiting)
        assert {name for name in self.names if self.pool.wanted(name)} == self.wanted


@pytest.mark.parametrize("seed", range(40))
def test_any_history_keeps_to_the_budget_and_serves_everybody(seed: int) -> None:
    history = History(seed)
    for _ in range(400):
        history.step()
    history.runs_end()
    for _ in range(3_000):
        if not history.busy:
            break
        history.calm_step()
    assert not history.holding
    assert not history.waiting


def test_what_is_loaded_ahead_stops_nothing_that_is_in_use_or_needed_as_soon() -> None:
    made_room = 0
    for seed in range(40, 100):
        history = History(seed)
        for _ in range(300):
            history.step()
        made_room += history.made_room
    assert made_room > 10  # else nothing was shown
