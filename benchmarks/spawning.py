"""What do commands and worker processes cost, beside Python's own ways to start them?

Question: milliseconds of wall time a `command` node's program (`true`), two at once, and how long the
event loop is held meanwhile; microseconds an element of a trivial operator in worker processes.
Size: 200 commands, 4,000 calls, 64 at once; median of 5.
Budget: a command at most 3 times `subprocess.run` in two threads, the loop held for less than one takes.
Peer, right after each round: `subprocess.run`; `ProcessPoolExecutor.map` with chunks of 1.

Run: python benchmarks/spawning.py; prints one JSON line.
"""

import asyncio
import os
import statistics
import subprocess
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from time import perf_counter

from measuring import Figure, line, seconds

from symphony.cli.actions.running import new_loop
from symphony.kit.processes import run_process
from symphony.pit.workers import Task, Workers
from symphony.sdk import Operator, load_operators
from symphony.sdk.origins import origin_of, source_of

TRUE = ("/bin/sh", "-c", "true")
AT_ONCE = 64


OPERATORS = '''
from symphony import operator


@operator("bench.square", version="1.0.0", pure=True, cpu=True)
def square(number: int) -> int:
    """A square."""
    return number * number
'''


def plain(number: int) -> int:
    """A square, for the peer."""
    return number * number


async def together(calls: int, at_once: int, call: Callable[[int], Awaitable[object]]) -> None:
    """Make so many calls, `at_once` at any time."""
    places = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with places:
            await call(number)

    await asyncio.gather(*map(one, range(calls)))


async def commands(count: int) -> tuple[float, float]:
    """Seconds that the commands take, two at once, and the longest that a tick of 1 ms is late."""
    late_s, over, environment = [0.0], False, dict(os.environ)

    async def tick() -> None:
        while not over:
            due = perf_counter() + 0.001
            await asyncio.sleep(0.001)
            late_s.append(perf_counter() - due)

    async def call(_: int) -> None:
        await run_process(TRUE, cwd=Path.cwd(), env=environment)

    await call(0)
    ticking = asyncio.get_running_loop().create_task(tick())
    started = perf_counter()
    await together(count, 2, call)
    took = perf_counter() - started
    over = True
    await ticking
    return took, max(late_s)


def bare(count: int) -> float:
    """Seconds that they take with `subprocess.run` in two threads."""

    def one(_: int) -> None:
        subprocess.run(TRUE, check=True, stdin=subprocess.DEVNULL, capture_output=True)

    with ThreadPoolExecutor(2) as threads:
        return seconds(lambda: list(threads.map(one, range(count))))


def loaded() -> Operator:
    """The operator, of a file as users name one: a worker cannot find those of the main program."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "square.py")
        file.write_text(OPERATORS)
        return load_operators(file)[0]


async def elements(calls: int) -> float:
    """Seconds of so many calls of the operator in worker processes that are warm."""
    square = loaded()
    origin = origin_of(square)
    assert origin is not None
    workers, source = Workers(size=2), source_of(origin)

    def nowhere(text: str, stream: str) -> None:
        """It prints nothing."""

    async def call(number: int) -> None:
        task = Task(
            origin=origin, source=source, operator="bench.square", fingerprint=square.fingerprint,
            listens=False, inputs={"number": number}, run_id="r", node="n", attempt=1, cwd=Path.cwd(),
            base=Path.cwd(), environment={}, repeatable=True,
        )  # fmt: skip
        await workers.call(task, nowhere, timeout_s=None)

    try:
        await together(64, AT_ONCE, call)
        started = perf_counter()
        await together(calls, AT_ONCE, call)
        return perf_counter() - started
    finally:
        await workers.close()


def pool(calls: int, chunk: int) -> float:
    """Seconds of as many calls in a pool of the standard library that is warm."""
    with ProcessPoolExecutor(2) as workers:
        list(workers.map(plain, range(64)))
        return seconds(lambda: list(workers.map(plain, range(calls), chunksize=chunk)))


def figures(count: int, calls: int, times: int) -> list[Figure]:
    """Every figure."""
    command, late, run, element, ones, chunks = [], [], [], [], [], []
    for _ in range(times):
        with asyncio.Runner(loop_factory=new_loop) as runner:
            took, longest = runner.run(commands(count))
            command.append(took / count * 1e3)
            late.append(longest * 1e3)
            run.append(bare(count) / count * 1e3)
            element.append(runner.run(elements(calls)) / calls * 1e6)
        ones.append(pool(calls, 1) / calls * 1e6)
        chunks.append(pool(calls, AT_ONCE) / calls * 1e6)
    floor = statistics.median(run)
    called = statistics.median(element)
    return [
        Figure("a command, two at once", statistics.median(command), "ms", 3 * floor, peer=floor),
        Figure("the longest wait for the loop", statistics.median(late), "ms", peer=2 * floor),
        Figure("a call in a worker; peer in chunks of 1", called, "µs", peer=statistics.median(ones)),
        Figure("a call in a worker; peer in chunks of 64", called, "µs", peer=statistics.median(chunks)),
    ]


if __name__ == "__main__":
    print(line("spawning", "200 commands, 4,000 calls, median of 5", figures(200, 4_000, 5)))
