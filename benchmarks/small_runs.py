"""What does a small durable run cost, from the call that starts it to its result?

Question: wall time of runs of three steps in a row through one open session; each step may change
the outside world (here: nothing), so that its start is durable before it begins and its end before
anybody is told. One run after the other, and 200 at once.
Size: 60 runs one after the other; 200 at once, median of 5 rounds, on a new home on disk.
Budget: 2 ms a run one after the other; 1 ms a run of 200 at once (1,000 runs a second).
Peer, right after each and on the same disk: SQLite (WAL, synchronous=FULL) in one open database, a
row a step and one for the run: committed one by one, the least that such a run must write if nothing
is shared between runs; and 200 runs' rows of one step in one commit, the least where all is shared.

Run: python benchmarks/small_runs.py; prints one JSON line.
"""

import asyncio
import statistics
import tempfile
from pathlib import Path
from time import perf_counter

from engine import peer_us
from measuring import Figure, line

from symphony import operator
from symphony.app import Symphony
from symphony.workflow import loads
from symphony.workflow.model import Workflow

STEPS = 3
ONE_MS, MANY_MS = 2.0, 1.0


@operator("bench.step", version="1.0.0")
async def step(value: int = 0) -> int:
    """Change nothing, though the engine cannot know."""
    return value + 1


def workflow() -> Workflow:
    """Three steps in a row."""
    nodes = ", ".join(
        f'"s{number}": {{"operator": "bench.step", "inputs": {{"value": {value}}}}}'
        for number, value in enumerate(["1", '"${{ s0.result }}"', '"${{ s1.result }}"'])
    )
    text = f'{{"name": "small", "nodes": {{{nodes}}}, "outputs": {{"last": "${{{{ s2.result }}}}"}}}}'
    return loads(text, "json")


async def one(symphony: Symphony, what: Workflow) -> float:
    """Milliseconds of one run. Raises RuntimeError if it does not give what it must."""
    started = perf_counter()
    result = await (await symphony.start(what)).result()
    if result.outputs != {"last": 4}:
        raise RuntimeError(f"the benchmark's own run {result.status}: {result.error}")
    return (perf_counter() - started) * 1e3


async def measured(home: Path, single: int, many: int) -> tuple[list[float], float]:
    """Milliseconds of each of `single` runs one after the other; of `many` at once, a run."""
    what = workflow()
    async with Symphony.open(home, operators=[step]) as symphony:
        await one(symphony, what)  # the kit is loaded once a process, not once a run
        alone = [await one(symphony, what) for _ in range(single)]
        started = perf_counter()
        await asyncio.gather(*(one(symphony, what) for _ in range(many)))
        return alone, (perf_counter() - started) * 1e3 / many


def figures(single: int, many: int, times: int) -> list[Figure]:
    """Every figure; each round on a home of its own, the peer right after it."""
    alone, together, rows, shared = [], [], [], []
    for _ in range(times):
        with tempfile.TemporaryDirectory() as folder:
            took, a_run = asyncio.run(measured(Path(folder) / "home", single, many))
            alone += took
            together.append(a_run)
            rows.append(peer_us(Path(folder), single * (STEPS + 1), 1) * (STEPS + 1) / 1e3)
            shared.append(peer_us(Path(folder), many * (STEPS + 1), many) * (STEPS + 1) / 1e3)
    return [
        Figure(
            "a run of 3 effects, one after the other; peer commits 4 rows",
            statistics.median(alone),
            "ms",
            ONE_MS,
            peer=statistics.median(rows),
        ),
        Figure(
            f"a run of {many} at once; peer commits all in 4",
            statistics.median(together),
            "ms",
            MANY_MS,
            peer=statistics.median(shared),
        ),
    ]


if __name__ == "__main__":
    print(line("small_runs", "60 runs of 3 effects, and 200 at once, median of 5", figures(60, 200, 5)))
