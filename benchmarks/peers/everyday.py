"""What does everyday work cost from the command to the end of its process, here and elsewhere?

Question: the same work in each engine's own words, as whole processes that start cold: microseconds
a unit to prepare and to run, the process's wall time, the CPU time of its tree and its most memory.
Work, see `written`: 10,000 nodes in layers, each reading five of the layer before; a fan-out over
100,000 numbers; 200 commands; 1,000 texts of 1 KB and of 40 KB. Engines that take a millisecond or
more a unit do a part of it, and are compared by the unit.
Rounds: 5, interleaved; medians. A ratio is the median of the rounds' own ratios.
Budget: in the table; from the command to its end.

Run: make bench-peers. Needs no network. Writes the first part of benchmarks/RESULTS.md.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import monotonic, perf_counter

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]  # beside `python -P`

import results  # noqa: E402
import written  # noqa: E402

ROUNDS, LIMIT_S = 5, 1200
QUIET = {"LANGSMITH_TRACING": "false", "LANGCHAIN_TRACING_V2": "false", "DO_NOT_TRACK": "1"}
"""No engine may call home."""
ALL_KEPT, NOTHING = "every result, in order; durable within 5 ms", "nothing"
STATE, STEPS = "every result and the state of every step", "every result, durable before it is used"
COLUMNS = (
    "engine", "keeps of a unit", "units", "prepare, µs", "run, µs", "whole process, s", "CPU, s",
    "memory, MB", "whole, of the first",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Way:
    """How an engine does the work. `share`: it gets one unit in so many.

    `flag` is one of `symphony run`; `first` runs it once in the same home before.
    """

    name: str
    keeps: str
    run: str = "def"
    engine: str = "symphony"
    share: int = 1
    is_async: bool = False
    cache: str = "auto"
    flag: str = ""
    first: bool = False
    budget_s: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """Work and the ways to do it. The first way is what the others are compared with."""

    name: str
    make: Callable[[int], written.Work]
    ways: Sequence[Way]


@dataclass(frozen=True, slots=True)
class Process:
    """What a process wrote to standard output, and what it took."""

    said: str
    wall_s: float
    cpu_s: float
    memory_mb: float


@dataclass(frozen=True, slots=True)
class Seen:
    """One way, once."""

    units: int
    prepare_us: float
    run_us: float
    whole: Process


def others(hamilton: int, langgraph: int, dbos: int) -> tuple[Way, ...]:
    """The other engines, with their shares of the work."""
    return (
        Way("Hamilton", NOTHING, "memory", "hamilton", hamilton),
        Way("LangGraph, SQLite", STATE, "durable", "langgraph", langgraph),
        Way("DBOS, SQLite", STEPS, "durable", "dbos", dbos),
    )


def _layers(share: int) -> written.Work:
    return written.layers(99, 101, 5) if share == 1 else written.layers(9, 1110 // share, 5)


def _fan_out(share: int) -> written.Work:
    return written.fan_out(100_000 // share)


def _commands(share: int) -> written.Work:
    return written.commands(200 // share)


def _texts(size: int, share: int) -> written.Work:
    return written.layers(99 // share, 10, 1, "text", size)


OURS = Way("Symphony, def", ALL_KEPT)
CACHED = Way(
    "Symphony, def, cache: on, all cached", ALL_KEPT, "def, all cached", cache="on", first=True, budget_s=1.1
)
TASKS = (
    Task(
        "layers of 10,000 nodes, five references each",
        _layers,
        (
            Way("Symphony, async def", ALL_KEPT, "async def", is_async=True, budget_s=1.0),
            Way("Symphony, def", ALL_KEPT, budget_s=1.3),
            Way("Symphony, def, --no-cache", ALL_KEPT, "def, --no-cache", flag="--no-cache", budget_s=1.1),
            CACHED,
            Way("Symphony --memory", NOTHING, "async def, in memory", is_async=True, flag="--memory"),
            *others(1, 10, 50),
        ),
    ),
    Task(
        "a fan-out over 100,000 numbers",
        _fan_out,
        (
            OURS,
            Way("Symphony, def, cache: on", ALL_KEPT, "def, cache: on", cache="on", budget_s=4.0),
            replace(CACHED, budget_s=2.0),
            Way("Symphony, def, cache: off", ALL_KEPT, "def, cache: off", cache="off", budget_s=2.5),
            *others(10, 100, 500),
        ),
    ),
    Task(
        "200 commands",
        _commands,
        (Way("Symphony", "every start and result, durable before the next"), *others(1, 1, 4)),
    ),
    Task("1,000 texts of 1 KB", partial(_texts, 1_000), (Way("Symphony, def", ALL_KEPT), *others(1, 1, 10))),
    Task(
        "1,000 texts of 40 KB", partial(_texts, 40_000), (Way("Symphony, def", ALL_KEPT), *others(1, 1, 10))
    ),
)

Found = Mapping[tuple[str, str], Sequence[Seen]]


def measured(task: Task, way: Way, peers_python: str) -> Seen:
    """Once from inside, and once as a whole. Raises RuntimeError if it fails or gives a wrong answer."""
    work = task.make(way.share)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work.save(folder / "graph.json")
        python = sys.executable if way.engine == "symphony" else peers_python
        program = (python, HERE / f"whole_{way.engine}.py", folder / "graph.json", folder, way.run)
        whole = _process([str(part) for part in program], folder)
        inside = json.loads(whole.said)
        answers = [str(inside["gave"])]
        if way.engine == "symphony":
            whole = _command(work, way, folder)
            answers.append(whole.said.partition(" = ")[2].rstrip("\n"))
    if any(answer != str(work.expected()) for answer in answers):
        raise RuntimeError(f"{way.name} gave {[answer[:80] for answer in answers]} for {task.name}")
    unit_us = 1e6 / work.units
    return Seen(work.units, inside["prepare_s"] * unit_us, inside["run_s"] * unit_us, whole)


def _command(work: written.Work, way: Way, folder: Path) -> Process:
    """`symphony run`, as a user calls it."""
    workflow, operators = folder / "workflow.json", folder / "operators.py"
    workflow.write_text(written.document(work, is_async=way.is_async, cache=way.cache), encoding="utf-8")
    operators.write_text(written.OPERATORS, encoding="utf-8")
    flags = [way.flag] if way.flag else []
    symphony = Path(sys.executable).with_name("symphony")
    command = [str(symphony), "run", str(workflow), *flags, "--operators", str(operators)]
    if way.first:
        _process(command, folder)
    return _process(command, folder)


def _process(command: Sequence[str], folder: Path) -> Process:
    """Run it to its end. Raises RuntimeError, with what it wrote, if it fails."""
    environment = os.environ | QUIET | {"PYTHONPATH": str(HERE.parent), "SYMPHONY_HOME": str(folder / "cli")}
    with (folder / "said").open("w+b") as out, (folder / "errors").open("w+b") as errors:
        started = perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=errors, env=environment, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        wall_s = perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        for file in (out, errors):
            file.seek(0)
        if process.returncode:
            raise RuntimeError(f"{command} failed: {errors.read().decode()[-2000:]}")
        memory_mb = used.ru_maxrss / (1 << 20 if sys.platform == "darwin" else 1 << 10)
        return Process(out.read().decode(), wall_s, used.ru_utime + used.ru_stime, memory_mb)


def rounds(tasks: Sequence[Task], count: int, limit_s: float, peers_python: str) -> Found:
    """Every way of every task, in rounds. After `limit_s` no new round begins."""
    ends = monotonic() + limit_s
    found: dict[tuple[str, str], list[Seen]] = {}
    for number in range(count):
        if number and monotonic() > ends:
            break
        for task in tasks:
            for way in task.ways:
                found.setdefault((task.name, way.name), []).append(measured(task, way, peers_python))
        print(f"round {number + 1} of {count} done", file=sys.stderr, flush=True)
    return found


def table(task: Task, found: Found) -> list[str]:
    """The table of one task."""
    first = found[task.name, task.ways[0].name]
    out = [
        f"## {task.name[0].upper()}{task.name[1:]}",
        "",
        f"| {' | '.join(COLUMNS)} | |",
        f"| --- | --- |{' ---: |' * (len(COLUMNS) - 2)} --- |",
    ]
    for way in task.ways:
        seen = found[task.name, way.name]
        wall_s = statistics.median(one.whole.wall_s for one in seen)
        cells = (
            way.name,
            way.keeps,
            f"{seen[0].units:,}",
            f"{statistics.median(one.prepare_us for one in seen):,.1f}",
            f"{statistics.median(one.run_us for one in seen):,.1f}",
            f"{wall_s:.2f}",
            f"{statistics.median(one.whole.cpu_s for one in seen):.2f}",
            f"{statistics.median(one.whole.memory_mb for one in seen):,.0f}",
            f"{of_first(seen, first):.2f}",
            verdict(way, wall_s),
        )
        out.append(f"| {' | '.join(cells)} |")
    return [*out, ""]


def of_first(seen: Sequence[Seen], first: Sequence[Seen]) -> float:
    """Wall time of whole processes, a unit beside a unit."""
    pairs = zip(seen, first, strict=True)
    return statistics.median(
        (one.whole.wall_s / one.units) / (other.whole.wall_s / other.units) for one, other in pairs
    )


def verdict(way: Way, wall_s: float) -> str:
    """Does the budget hold? Nothing where there is none."""
    if way.budget_s is None:
        return ""
    return f"{'holds' if wall_s <= way.budget_s else '**missed**'}, {way.budget_s} s"


def report(tasks: Sequence[Task], found: Found, about: Sequence[str]) -> str:
    """The first part of RESULTS.md."""
    count = len(next(iter(found.values())))
    lines = [
        "Written by `make bench-peers`. Each figure is from processes of its own that start cold, in turn",
        f"with the others. Medians of {count} rounds; ratios are by the unit, medians of the rounds' own",
        "ratios. Preparing and running are seen from inside, through each engine's Python API. A whole",
        "process of Symphony is `symphony run FILE --operators FILE` with a new home.",
        "",
        *about,
        "",
    ]
    return "\n".join(lines + [line for task in tasks for line in table(task, found)])


def main(peers_python: str, names: Sequence[str]) -> int:
    """Measure, print, write. With `names`, only the tasks that begin so, and nothing is written."""
    tasks = [task for task in TASKS if not names or task.name.startswith(tuple(names))]
    text = report(tasks, rounds(tasks, ROUNDS, LIMIT_S, peers_python), results.machine())
    print(text)
    if not names:
        results.write(results.WHOLE, text)
    return 0


if __name__ == "__main__":
    # Processes run in folders of their own. Not resolved: an environment's interpreter is a link.
    sys.exit(main(str(Path(sys.argv[1]).absolute()), sys.argv[2:]))
