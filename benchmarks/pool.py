"""What do the processes of local models cost, and how soon is one that hangs ended?

Question: microseconds to lease a loaded model and give it back, through the pool as runs use it; the share
of a processor core that ten loaded models take, with their supervisor, while nobody asks them; seconds from
the stop of a process, idle and in a call, to the loss of its lease or its end; seconds until a hundred models
have been started and have answered, and the megabytes of each; with llama.cpp, tokens a second of four chats
at once, of one model with one slot, two and four, in turns.
Size: 2,000 leases; ten models for 20 s; 5 stops of each kind; 4 chats of 24 tokens, the median of 3 turns.
All but the chats ask models of `tests/contracts/echo_child.py`: what they compute costs nothing.
Budget: 100 µs (the design's), 1 % of a core, 1 s.

Run: python benchmarks/pool.py; prints one JSON line.
"""

import asyncio
import importlib.util
import os
import signal
import statistics
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time

import psutil
from measuring import Figure, line

from symphony.app.models import AllModels
from symphony.commons.settings import Config, ModelConfig
from symphony.commons.time import SystemClock
from symphony.kit.instruments.files import SMOLLM2, locate
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels
from symphony.pit.pool.memory import memory_of
from symphony.ports.values import Value

LEASES, MODELS, IDLE_S, STOPS, MANY = 2_000, 10, 20.0, 5, 100
SLOTS, CHATS, TURNS = (1, 2, 4), 4, 3
CHILD = Path(__file__).resolve().parent.parent / "tests" / "contracts" / "echo_child.py"
SPEC = ChildSpec(
    argv=(sys.executable, "-P", str(CHILD)), fingerprint="echo", elementwise=Elementwise("texts", "vectors")
)


async def lease_us() -> tuple[float, float]:
    """The median and the 99th percentile of leasing a loaded model and giving it back."""
    models = LocalModels({"m": SPEC})
    try:
        await models.warm("m")
        taken_s: list[float] = []
        for _ in range(LEASES):
            begun_s = perf_counter()
            async with models.lease("m", run="r"):
                pass
            taken_s.append(perf_counter() - begun_s)
            await asyncio.sleep(0)  # what the pool does about it is not the caller's time
    finally:
        await models.close()
    cuts = statistics.quantiles(taken_s, n=100)
    return cuts[49] * 1e6, cuts[98] * 1e6


async def idle_percent() -> float:
    """The share of a core that loaded models and their supervisor take while nobody asks them."""
    models = LocalModels({f"m{number}": SPEC for number in range(MODELS)})
    try:
        await asyncio.gather(*(models.warm(f"m{number}") for number in range(MODELS)))
        await asyncio.sleep(2)
        children = [psutil.Process(pid) for pid in models.pids().values()]
        before_s = process_time() + _used_s(children)
        await asyncio.sleep(IDLE_S)
        return 100 * (process_time() + _used_s(children) - before_s) / IDLE_S
    finally:
        await models.close()


def _used_s(processes: list[psutil.Process]) -> float:
    return sum(sum(one.cpu_times()[:2]) for one in processes)


async def noticed_s(*, asked: bool) -> float:
    """The longest time, of several, until the stop of a process is noticed. `asked`: during a call."""
    models = LocalModels({"m": SPEC})
    longest_s = 0.0
    try:
        for number in range(STOPS):
            await models.warm("m")
            await asyncio.sleep(1 + number / STOPS)
            pid = models.pids()["m"]
            call = asyncio.ensure_future(models.invoke("m", {"texts": ["take 60000"]}, {})) if asked else None
            await asyncio.sleep(0.1)
            os.kill(pid, signal.SIGSTOP)
            begun_s = perf_counter()
            while models.pids().get("m") == pid:  # noqa: ASYNC110  (a process has no event here)
                await asyncio.sleep(0.002)
            longest_s = max(longest_s, perf_counter() - begun_s)
            if call is not None:
                call.cancel()
                await asyncio.wait([call])
    finally:
        await models.close()
    return longest_s


async def many() -> tuple[float, float]:
    """Seconds until a hundred models have answered, and the megabytes of each."""
    models = LocalModels({f"m{number}": SPEC for number in range(MANY)})
    begun_s = perf_counter()
    try:
        await asyncio.gather(*(models.invoke(f"m{number}", {"texts": ["a"]}, {}) for number in range(MANY)))
        taken_s = perf_counter() - begun_s
        taken = [memory_of(pid) or 0 for pid in models.pids().values()]
        return taken_s, statistics.median(taken) / 1e6
    finally:
        await models.close()


async def chats() -> dict[int, float]:
    """By number of slots: tokens a second of several chats at once."""
    weights = locate(bundle=SMOLLM2) / SMOLLM2.files[0].name
    if importlib.util.find_spec("xllamacpp") is None or not weights.exists():
        return {}
    named = {
        f"m{slots}": ModelConfig(provider="llama", file=str(weights), slots=slots, context=256)
        for slots in SLOTS
    }
    with tempfile.TemporaryDirectory() as home:
        models = AllModels(Config(models=named), Path(home), SystemClock(), {})
        found: dict[int, list[float]] = {slots: [] for slots in SLOTS}

        async def ask(slots: int, number: int) -> int:
            words: dict[str, Value] = {
                "prompt": f"Count up from {number}:",
                "temperature": 0,
                "max_tokens": 24,
            }
            usage = (await models.invoke(f"m{slots}", words, {}))["usage"]
            assert isinstance(usage, dict)
            return int(str(usage["tokens_out"]))

        try:
            for slots in SLOTS:
                await ask(slots, 0)
            for _ in range(TURNS):
                for slots in SLOTS:
                    begun_s = perf_counter()
                    tokens = sum(await asyncio.gather(*(ask(slots, number) for number in range(CHATS))))
                    found[slots].append(tokens / (perf_counter() - begun_s))
        finally:
            await models.close()
    return {slots: statistics.median(rates) for slots, rates in found.items()}


async def measured() -> list[Figure]:
    """All figures."""
    median_us, most_us = await lease_us()
    many_s, each_mb = await many()
    return [
        Figure("lease of a loaded model and its release: p50", median_us, "µs", 100.0),
        Figure("lease of a loaded model and its release: p99", most_us, "µs"),
        Figure("ten loaded models that nobody asks", await idle_percent(), "% of a core", 1.0),
        Figure("a stopped process is noticed while idle: slowest", await noticed_s(asked=False), "s", 1.0),
        Figure("a stopped process is noticed in a call: slowest", await noticed_s(asked=True), "s", 1.0),
        Figure(f"{MANY} models are started and answer", many_s, "s"),
        Figure(f"memory of each of {MANY}", each_mb, "MB"),
        *(
            Figure(f"{CHATS} chats at once, slots: {slots}", rate, "tokens/s")
            for slots, rate in (await chats()).items()
        ),
    ]


if __name__ == "__main__":
    size = f"{LEASES} leases, {MODELS} models, {STOPS} stops"
    print(line("pool", size, asyncio.run(measured())))
