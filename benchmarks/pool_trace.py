"""How many steps of workflows find their model cold, under each policy of the pool?

Question: cold starts for each step (a model that is still loading counts as cold), and the share of
models loaded ahead that nobody used, for LRU, the histogram of pauses, the Markov chain, the look
into running graphs, and all together.
Size: 4,000 steps at budgets of 35, 50 and 70 % of all models' bytes; median of 5 traces.
Budget: at 50 %, all predictors together have at most half of LRU's cold starts.

The pool is the product's own `PoolMachine`; only time and processes are simulated.

The synthetic traces (`synthetic`): 12 models, bytes lognormal around 1.5 GB (sigma 0.8), between 0.2
and 8 GB. Loading takes 0.4 s and 1 s for each 1.2 GB; ending 0.3 s; a model serves four calls at
once. 25 workflows with 3 to 8 stages of models; each has 2 to 5 models of its own, chosen with
weights 1/rank; a stage asks for one of them (3 of 4 stages) or for two at once. A stage of operators,
without a model, stands first, as in every workflow with a model that ships with Symphony, and before
one of three of the other stages. Runs begin as a Poisson process and choose workflows with weights
1/rank. A step takes lognormal time around 6 s (sigma 0.8). Three scenarios:

- alone: a run every 60 s on average, about one at a time;
- no operators first: the same, but the first stage asks for models, which no graph foresees;
- crowded: a run every 15 s, about five at a time: models in use fill the budget for much of the time.
  It has no budget: to know whole graphs, and each run 20 s before it begins, changes its cold starts by
  less than 3 % (three seeds): it is not foresight that is missing. Other orders of eviction were not tried.

Run: python benchmarks/pool_trace.py [FILE]; prints one JSON line. FILE: a recorded trace, one JSON
object a line: {"run": ..., "begins_s": ..., "stages": [[[MODEL, SECONDS], ...], ...]} for each run
(MODEL is "" for a step without one), after one with the models: {"models": {MODEL: BYTES}}.
"""

import heapq
import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import TypeAlias, TypeVar

from measuring import Figure, line

from symphony.pit.pool.core.actions import GrantLease, LeaseRequest, PoolAction, StartModel, StopModel
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.machine import PoolMachine

STEPS = 4_000
SEEDS = range(5)
SHARES = (0.35, 0.5, 0.7)
JUDGED = 0.5
FOREVER_S = math.inf
LRU = PoolPolicy(lookahead=False, markov=False, histogram=False, keep_s=FOREVER_S)
POLICIES = {
    "LRU": LRU,
    "histogram": PoolPolicy(lookahead=False, markov=False),
    "Markov": PoolPolicy(lookahead=False, histogram=False, keep_s=FOREVER_S),
    "look-ahead": PoolPolicy(markov=False, histogram=False, keep_s=FOREVER_S),
    "all": PoolPolicy(),
}
GB = 1_000_000_000
OPERATOR = ""
"""Stands for a step without a model."""

T = TypeVar("T")
Stage: TypeAlias = Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class TracedRun:
    """One run: its stages one after the other, the steps of a stage at once."""

    name: str
    begins_s: float
    stages: Sequence[Stage]


@dataclass(frozen=True, slots=True)
class Trace:
    """Runs over a set of models, given with their bytes."""

    models: Mapping[str, int]
    runs: Sequence[TracedRun]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a policy came to: steps, those that found their model cold, loads ahead and those for nothing.

    `gigabyte_hours` is the memory that loaded models took, over time.
    """

    steps: int
    cold: int
    ahead: int
    wasted: int
    waited_s: float
    gigabyte_hours: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """How runs come, and whether operators stand before the first models."""

    name: str
    every_s: float = 60.0
    operators_first: bool = True


ALONE = Scenario("alone")
CROWDED = Scenario("crowded", every_s=15.0)
SCENARIOS = (ALONE, Scenario("no operators first", operators_first=False), CROWDED)


def synthetic(seed: int, scenario: Scenario, steps: int = STEPS) -> Trace:
    """A trace of workflows as the module's docstring describes it."""
    rng = Random(seed)
    models = {
        f"model-{number}": int(GB * min(8.0, max(0.2, rng.lognormvariate(math.log(1.5), 0.8))))
        for number in range(12)
    }
    workflows = [_workflow(rng, list(models), scenario) for _ in range(25)]
    runs: list[TracedRun] = []
    now_s, made = 0.0, 0
    while made < steps:
        now_s += rng.expovariate(1 / scenario.every_s)
        stages = [
            [(model, rng.lognormvariate(math.log(6), 0.8)) for model in stage]
            for stage in _ranked(rng, workflows)
        ]
        made += sum(model != OPERATOR for stage in stages for model, _ in stage)
        runs.append(TracedRun(f"run-{len(runs)}", now_s, stages))
    return Trace(models, runs)


def _workflow(rng: Random, models: list[str], scenario: Scenario) -> list[list[str]]:
    own: list[str] = []
    while len(own) < 2 + rng.randrange(4):
        if (model := _ranked(rng, models)) not in own:
            own.append(model)
    stages: list[list[str]] = []
    for number in range(3 + rng.randrange(6)):
        if scenario.operators_first if number == 0 else rng.random() < 1 / 3:
            stages.append([OPERATOR])
        stages.append(rng.sample(own, 2 if rng.random() < 0.25 else 1))
    return stages


def _ranked(rng: Random, ones: Sequence[T]) -> T:
    """One of them, the first twice as likely as the second, and so on: weights 1/rank."""
    weights = list(accumulate(1 / rank for rank in range(1, len(ones) + 1)))
    return rng.choices(ones, cum_weights=weights)[0]


def recorded(file: Path) -> Trace:
    """The trace in a file of JSON lines."""
    first, *others = [json.loads(text) for text in file.read_text().splitlines() if text.strip()]
    return Trace(first["models"], [TracedRun(one["run"], one["begins_s"], one["stages"]) for one in others])


class Simulation:
    """A trace against one policy, in simulated time."""

    def __init__(self, trace: Trace, share: float, policy: PoolPolicy) -> None:
        budget = PoolBudget(bytes_max=max(int(share * sum(trace.models.values())), *trace.models.values()))
        self._machine = PoolMachine(
            [PooledModel(name=name, size_bytes=size, slots=4) for name, size in trace.models.items()],
            budget,
            policy,
            now_s=0.0,
        )
        self._sizes = trace.models
        self._runs = {run.name: run for run in trace.runs}
        self._at: dict[str, int] = {}
        self._left: dict[str, int] = {}
        self._leases: dict[str, tuple[str, float]] = {}
        self._events: list[tuple[float, int, str, str]] = []
        self._numbers = 0
        self._steps = self._cold = 0
        self._waited_s = self._byte_seconds = 0.0
        for run in trace.runs:
            self._later(run.begins_s, "begin", run.name)

    def outcome(self) -> Outcome:
        """Run it to its end."""
        now_s = 0.0
        while self._events:
            due_s = self._machine.due_s(now_s)
            next_s = self._events[0][0]
            at_s = next_s if due_s is None else max(now_s, min(next_s, due_s))
            self._byte_seconds += self._machine.bytes_loaded * (at_s - now_s)
            now_s = at_s
            if at_s < next_s or due_s == at_s:
                self._do(self._machine.tick(now_s), now_s)
            else:
                self._happen(now_s)
        done = self._machine.prewarms
        hours = self._byte_seconds / GB / 3600
        return Outcome(self._steps, self._cold, done.started, done.wasted, self._waited_s, hours)

    def _happen(self, now_s: float) -> None:
        _, _, what, which = heapq.heappop(self._events)
        match what:
            case "begin":
                self._stage(which, 0, now_s)
            case "ready":
                self._do(self._machine.ready(which, now_s), now_s)
            case "gone":
                self._do(self._machine.died(which, "", now_s, now_s), now_s)
            case _:
                self._finished(which, now_s)

    def _stage(self, run: str, number: int, now_s: float) -> None:
        stages = self._runs[run].stages
        if number == len(stages):
            self._do(self._machine.forget(run, now_s), now_s)
            return
        self._at[run], self._left[run] = number, len(stages[number])
        needs: dict[str, int] = {}
        for ahead in (2, 1):
            if number + ahead < len(stages):
                needs |= {model: ahead for model, _ in stages[number + ahead] if model != OPERATOR}
        self._do(self._machine.announce(run, needs, now_s), now_s)
        for index, (model, took_s) in enumerate(stages[number]):
            lease = f"{run}/{number}/{index}"
            self._leases[lease] = (run, took_s)
            if model == OPERATOR:
                self._later(now_s + took_s, "finished", lease)
            else:
                request = LeaseRequest(lease=lease, model=model, run=run)
                self._do(self._machine.acquire(request, now_s), now_s)

    def _finished(self, lease: str, now_s: float) -> None:
        run, _ = self._leases.pop(lease)
        self._do(self._machine.release(lease, now_s), now_s)
        self._left[run] -= 1
        if not self._left[run]:
            self._stage(run, self._at[run] + 1, now_s)

    def _do(self, actions: Sequence[PoolAction], now_s: float) -> None:
        for action in actions:
            match action:
                case StartModel():
                    self._later(now_s + 0.4 + self._sizes[action.model] / (1.2 * GB), "ready", action.model)
                case StopModel():
                    self._later(now_s + 0.3, "gone", action.model)
                case GrantLease():
                    self._steps += 1
                    self._cold += action.cold
                    self._waited_s += action.waited_s
                    self._later(now_s + self._leases[action.lease][1], "finished", action.lease)
                case _:
                    pass

    def _later(self, at_s: float, what: str, which: str) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (at_s, self._numbers, what, which))


def compared(traces: Sequence[Trace], share: float, where: str, policies: Sequence[str]) -> list[Figure]:
    """The figures of some policies, LRU first, at a budget of `share` of all models' bytes."""
    figures: list[Figure] = []
    lru = 0.0
    for name in policies:
        outcomes = [Simulation(trace, share, POLICIES[name]).outcome() for trace in traces]
        cold = statistics.median(100 * one.cold / one.steps for one in outcomes)
        lru = lru or cold
        judged = name == "all" and share == JUDGED and where != CROWDED.name
        what = f"{where}, {share:.0%}, {name}"
        figures += [
            Figure(f"{what}: cold starts of 100 steps", cold, "", lru / 2 if judged else None, peer=lru),
            Figure(
                f"{what}: a step waits", statistics.median(one.waited_s / one.steps for one in outcomes), "s"
            ),
            Figure(f"{what}: memory", statistics.median(one.gigabyte_hours for one in outcomes), "GB h"),
        ]
        if any(one.ahead for one in outcomes):
            wasted = statistics.median(100 * one.wasted / one.ahead for one in outcomes if one.ahead)
            figures.append(Figure(f"{what}: wasted of 100 loads ahead", wasted, ""))
    return figures


def hit_s(tries: int = 20_000) -> float:
    """Median seconds for leasing a hot model and giving it back, in the machine alone."""
    pool = PoolMachine(
        [PooledModel(name="a", size_bytes=1)], PoolBudget(bytes_max=1), PoolPolicy(), now_s=0.0
    )
    pool.acquire(LeaseRequest(lease="load", model="a"), 0.0)
    pool.ready("a", 0.0)
    pool.release("load", 0.0)
    taken_s: list[float] = []
    for number in range(tries):
        lease = str(number)
        begun_s = time.perf_counter()
        pool.acquire(LeaseRequest(lease=lease, model="a", run="r"), 0.0)
        pool.release(lease, 0.0)
        taken_s.append(time.perf_counter() - begun_s)
    return statistics.median(taken_s)


def main() -> None:
    """Print the figures of the given trace, or of the synthetic ones."""
    figures: list[Figure] = []
    if len(sys.argv) > 1:
        for share in SHARES:
            figures += compared([recorded(Path(sys.argv[1]))], share, "recorded", list(POLICIES))
    else:
        for scenario in SCENARIOS:
            traces = [synthetic(seed, scenario) for seed in SEEDS]
            for share in SHARES if scenario is ALONE else (JUDGED,):
                figures += compared(traces, share, scenario.name, list(POLICIES))
    figures.append(Figure("lease of a hot model and its release: p50", hit_s() * 1e6, "µs", 10.0))
    print(line("pool_trace", f"{STEPS} steps, {len(SEEDS)} seeds", figures))


if __name__ == "__main__":
    main()
