"""How many steps of workflows find their model cold, under each policy of the pool?

Question: cold starts for each step (a model that is still loading counts as cold), and the share of
models loaded ahead that nobody used, for LRU, the histogram of pauses, the Markov chain, the look
into running graphs, and all together; beside them, what one would reach who knows the whole trace.
Size: 4,000 steps at budgets of 35, 50 and 70 % of all models' bytes, median of 5 traces; a recorded trace.
Budget: at 50 %, all predictors together have at most half of LRU's cold starts.

The pool is the product's own `PoolMachine`, and what a running graph will need is found by the product's own
`needed`; only time and processes are simulated. Loading takes 0.4 s and 1 s for each 1.2 GB; ending 0.3 s; a
model serves four calls at once.

Two rows are no policies. They are told at every moment when each model is needed next, by runs that go on
and by runs that have yet to begin. "Belady" loads on demand and stops what is needed last, so that it pays
for each first use; "clairvoyant" also loads ahead. With models of different sizes and steps that wait for
each other, neither is a proven bound; a policy that comes close to the second has little left to gain from
foresight.

The synthetic traces (`traces.synthetic`): 12 models, bytes lognormal around 1.5 GB (sigma 0.8), between 0.2
and 8 GB. 25 workflows with 3 to 8 stages of models; each has 2 to 5 models of its own, chosen with
weights 1/rank; a stage asks for one of them (3 of 4 stages) or for two at once. A stage of operators,
without a model, stands first, as in every workflow with a model that ships with Symphony, and before
one of three of the other stages. Runs begin as a Poisson process and choose workflows with weights
1/rank. A step takes lognormal time around 6 s (sigma 0.8). Three scenarios:

- alone: a run every 60 s on average, about one at a time;
- no operators first: the same, but the first stage asks for models, which no graph foresees;
- crowded: a run every 15 s, about five at a time: models in use fill the budget for much of the time. It has
  no budget: it is mostly room that is missing, as the clairvoyant shows. To stop large models first among
  those that nobody needs, instead of the longest unused, changed nothing (seeds 0 to 4).

The recorded trace, `pool_recorded.jsonl`, was made by `pool_record.py` of 60 real runs of seven workflows
(three templates that ship; a chat, two chats at once, a draft that another model checks, a loop) with six
models (three processes of `minilm`, three of a GGUF model), all of them kept loaded. The moments at which
they began were drawn, a run every 7 s on average, and so was the workflow, with weights 1/rank. Their
operators take milliseconds, so that the first model of a run is cold unless it was left loaded: nothing
foresees that a run begins. At 50 %, 22 of the 52 cold starts that the look-ahead leaves (LRU: 67) are such;
the others wait for room that models in use have, or come after steps that take less time than loading.

Run: python benchmarks/pool_trace.py [FILE]; prints one JSON line. FILE: another recorded trace.
"""

import heapq
import math
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass, replace
from itertools import repeat
from pathlib import Path

from measuring import Figure, line
from replaying import Future, RunUnderWay
from traces import GB, Scenario, Trace, read, synthetic

from symphony.pit.pool.core.actions import GrantLease, LeaseRequest, PoolAction, StartModel, StopModel
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.machine import PoolMachine

STEPS = 4_000
SEEDS = range(5)
SHARES = (0.35, 0.5, 0.7)
JUDGED = 0.5
FOREVER_S = math.inf
RECORDED = Path(__file__).with_name("pool_recorded.jsonl")


@dataclass(frozen=True, slots=True)
class Way:
    """A policy of the pool; `clairvoyant`: it is told when each model is needed next, by the whole trace."""

    policy: PoolPolicy
    clairvoyant: bool = False


LOOKING = PoolPolicy(markov=False, histogram=False, keep_s=FOREVER_S)
WAYS = {
    "LRU": Way(PoolPolicy(lookahead=False, markov=False, histogram=False, keep_s=FOREVER_S)),
    "histogram": Way(PoolPolicy(lookahead=False, markov=False)),
    "Markov": Way(PoolPolicy(lookahead=False, histogram=False, keep_s=FOREVER_S)),
    "look-ahead": Way(LOOKING),
    "all": Way(PoolPolicy()),
    "Belady": Way(replace(LOOKING, prewarming_max=0), clairvoyant=True),
    "clairvoyant": Way(LOOKING, clairvoyant=True),
}


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


ALONE = Scenario("alone")
CROWDED = Scenario("crowded", every_s=15.0)
SCENARIOS = (ALONE, Scenario("no operators first", operators_first=False), CROWDED)


class Simulation:
    """A trace against one policy, in simulated time."""

    def __init__(self, trace: Trace, share: float, way: Way) -> None:
        budget = PoolBudget(bytes_max=max(int(share * sum(trace.models.values())), *trace.models.values()))
        self._machine = PoolMachine(
            [PooledModel(name=name, size_bytes=size, slots=4) for name, size in trace.models.items()],
            budget,
            way.policy,
            now_s=0.0,
        )
        self._sizes = trace.models
        self._runs = {run.name: RunUnderWay(run) for run in trace.runs}
        self._future = Future(trace, list(self._runs.values())) if way.clairvoyant else None
        self._uses: dict[str, tuple[RunUnderWay, int, int]] = {}
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
                self._go_on(self._runs[which], now_s)
            case "ready":
                self._do(self._machine.ready(which, now_s), now_s)
            case "gone":
                self._do(self._machine.died(which, "", now_s, now_s), now_s)
            case "use":
                run, node, use = self._uses[which]
                request = LeaseRequest(lease=which, model=run.nodes[node].uses[use].model, run=run.name)
                self._do(self._machine.acquire(request, now_s), now_s)
            case "used":
                run, node, use = self._uses.pop(which)
                self._do(self._machine.release(which, now_s), now_s)
                run.going[node].ended.add(use)
                self._advance(run, node, now_s)
            case _:
                name, _, number = which.rpartition("/")
                self._runs[name].end(int(number))
                self._go_on(self._runs[name], now_s)

    def _go_on(self, run: RunUnderWay, now_s: float) -> None:
        """Begin what is ready, and tell what will be needed, as the product does."""
        if self._future is not None and not run.begun:
            self._future.began(run)
        ready = run.begin_ready(now_s)
        if self._future is not None:
            self._do(self._machine.announce("all", self._future.needs(now_s), now_s), now_s)
        elif run.over:
            self._do(self._machine.forget(run.name, now_s), now_s)
        else:
            self._do(self._machine.announce(run.name, run.needs(), now_s), now_s)
        for number in ready:
            self._advance(run, number, now_s, first=True)

    def _advance(self, run: RunUnderWay, number: int, now_s: float, *, first: bool = False) -> None:
        """Begin the uses of a node that may begin now; end it after the last."""
        going = run.going[number]
        for use, wait_s in going.ready(first=first):
            lease = f"{run.name}/{number}/{use}"
            self._uses[lease] = (run, number, use)
            self._later(now_s + wait_s, "use", lease)
        if (rest_s := going.rest_s) is not None:
            self._later(now_s + rest_s, "end", f"{run.name}/{number}")

    def _do(self, actions: Sequence[PoolAction], now_s: float) -> None:
        for action in actions:
            match action:
                case StartModel():
                    self._later(now_s + load_s(self._sizes[action.model]), "ready", action.model)
                case StopModel():
                    self._later(now_s + 0.3, "gone", action.model)
                case GrantLease():
                    run, node, use = self._uses[action.lease]
                    self._steps += 1
                    self._cold += action.cold
                    self._waited_s += action.waited_s
                    self._later(now_s + run.nodes[node].uses[use].took_s, "used", action.lease)
                case _:
                    pass

    def _later(self, at_s: float, what: str, which: str) -> None:
        self._numbers += 1
        heapq.heappush(self._events, (at_s, self._numbers, what, which))


def load_s(size: int) -> float:
    """How long a model takes to load."""
    return 0.4 + size / (1.2 * GB)


def outcome(trace: Trace, share: float, way: str) -> Outcome:
    """What one way of `WAYS` comes to."""
    return Simulation(trace, share, WAYS[way]).outcome()


def compared(processes: Executor, traces: Sequence[Trace], share: float, where: str) -> list[Figure]:
    """The figures of all ways at a budget of `share` of all models' bytes."""
    figures: list[Figure] = []
    lru = 0.0
    for name in WAYS:
        outcomes = list(processes.map(outcome, traces, repeat(share), repeat(name)))
        cold = statistics.median(100 * one.cold / one.steps for one in outcomes)
        lru = lru or cold
        judged = name == "all" and share == JUDGED and where not in (CROWDED.name, "given")
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
    """Print the figures of the given trace, or of the synthetic and the recorded ones."""
    figures: list[Figure] = []
    with ProcessPoolExecutor() as processes:
        if len(sys.argv) > 1:
            for share in SHARES:
                figures += compared(processes, [read(Path(sys.argv[1]))], share, "given")
        else:
            for scenario in SCENARIOS:
                traces = [synthetic(seed, scenario, STEPS) for seed in SEEDS]
                for share in SHARES if scenario is ALONE else (JUDGED,):
                    figures += compared(processes, traces, share, scenario.name)
            for share in SHARES:
                figures += compared(processes, [read(RECORDED)], share, "recorded")
    figures.append(Figure("lease of a hot model and its release: p50", hit_s() * 1e6, "µs", 10.0))
    print(line("pool_trace", f"{STEPS} steps, {len(SEEDS)} seeds; a recorded trace", figures))


if __name__ == "__main__":
    main()
