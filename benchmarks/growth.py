"""How does the time of one thing grow when there is twice and four times as much of it?

Question: milliseconds of CPU at n, 2n and 4n, and 4n over n: about 4 where the time grows with the
size, 16 where it grows with its square.
Size: each curve's own; median of 5.
Budget: 4n over n at most 6: caches of the processor and noise take their part.

A curve is one function, decorated with `curve`: it gets the size and gives what is timed. Run:
python benchmarks/growth.py [WORD ...]; prints one JSON line. Words choose curves by their names.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import graphs
import small_runs as small
from measuring import Figure, line

from symphony import kit
from symphony.app import Symphony
from symphony.app.preparing import prepared_workflow
from symphony.commons.time import SystemClock, new_run_id
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.plan import PlanNode, make_plan
from symphony.pit.tracker.core.records import BegunRecord, EndedRecord, ExpandedRecord, FinishedRecord
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.store.ended import EndedRun, EndedRuns, stamp_of
from symphony.pit.tracker.store.indexed import INDEX
from symphony.pit.tracker.store.journal import RunMeta, SqliteStore
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import RunResult, RunStatus, RunSummary
from symphony.ports.values import Value
from symphony.sdk import Context, operator
from symphony.workflow import dumps, loads
from symphony.workflow.documents import format_named
from symphony.workflow.files import Resolver, read_bytes
from symphony.workflow.validation import check

RATIO_MAX = 6.0
Timed = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing whose growth is measured; `make` gives what is timed at a size."""

    what: str
    size: int
    make: Callable[[int], Timed]


CURVES: list[Curve] = []


def curve(what: str, size: int) -> Callable[[Callable[[int], Timed]], Callable[[int], Timed]]:
    """Have the function measured at `size`, twice and four times that."""

    def kept(make: Callable[[int], Timed]) -> Callable[[int], Timed]:
        CURVES.append(Curve(what, size, make))
        return make

    return kept


def cpu_ms(timed: Timed, times: int = 5) -> float:
    """Median milliseconds of CPU, of the whole process."""
    took = []
    for _ in range(times):
        began = time.process_time()
        kept = timed()
        took.append(time.process_time() - began)
        del kept
    return statistics.median(took) * 1000


def figures(words: list[str]) -> list[Figure]:
    """Every curve that has one of the words in its name; all without words."""
    out = []
    for one in CURVES:
        if words and not any(word in one.what for word in words):
            continue
        took = [cpu_ms(one.make(one.size * times)) for times in (1, 2, 4)]
        out += [
            Figure(f"{one.what}, {one.size * times:,}", ms, "ms")
            for times, ms in zip((1, 2, 4), took, strict=True)
        ]
        out.append(Figure(f"{one.what}, 4n over n", took[2] / took[0], "x", RATIO_MAX))
    return out


# Workflow files.


@curve("read JSON, nodes with two references", 1_000)
def read_json(nodes: int) -> Timed:
    """A document without derived edges, as people write it and journals keep it."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "json", derived=False)
    return lambda: loads(body, "json")


@curve("write JSON with derived edges, nodes with two references", 1_000)
def write_json(nodes: int) -> Timed:
    """A document that other programs read."""
    workflow = loads(graphs.spread(nodes, 2 * nodes), "json")
    return lambda: dumps(workflow, "json")


@curve("read YAML, nodes with two references", 500)
def read_yaml(nodes: int) -> Timed:
    """A document as people write it."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "yaml")
    return lambda: loads(body, "yaml")


@curve("locate a problem in every tenth node of JSON", 1_000)
def locate(nodes: int) -> Timed:
    """Line and column of many places, asked from the last to the first."""
    body = dumps(loads(graphs.spread(nodes, 2 * nodes), "json"), "json", derived=False)
    places = [f"nodes.n{i}.inputs.value" for i in range(nodes - 1, 0, -10)]

    def timed() -> object:
        reading = read_bytes(body, format_named("json"))
        return [reading.locate(place) for place in places]

    return timed


def made_ready(document: str) -> Timed:
    """Check, compile and plan a workflow that has been read."""
    workflow, symphony = loads(document, "json"), Symphony.open(memory=True)
    resolver = Resolver(Path("here.json"))

    def timed() -> object:
        found = check(workflow, symphony.catalog, resolve=resolver)
        return prepared_workflow(found, "here.json", resolver, symphony.catalog, symphony.operators)

    return timed


@curve("make a workflow ready, list references", 1_250)
def ready_references(nodes: int) -> Timed:
    """Nodes with five references each."""
    return made_ready(graphs.spread(nodes, 5 * (nodes - 3)))


@curve("make a workflow ready, control edges", 1_250)
def ready_control(nodes: int) -> Timed:
    """Nodes that wait for five others each."""
    return made_ready(graphs.control(nodes, 5 * (nodes - 3)))


@curve("make a workflow ready, conditions", 1_250)
def ready_conditions(nodes: int) -> Timed:
    """Nodes with a condition of their own; what the CEL library found is remembered."""
    return made_ready(graphs.conditions(nodes))


# Runs.


@operator("growth.count", version="1.0.0", pure=True)
async def count(numbers: list[int]) -> int:
    """How many numbers there are."""
    return len(numbers)


def elements(size: int, name: str, inputs: Mapping[str, str]) -> Timed:
    """A run in memory of a fan-out over a list of numbers, from the text of its workflow to its result."""
    nodes = {
        "r": {"operator": "debug.value", "inputs": {"value": [*range(size)]}},
        "each": {"operator": name, "for_each": "r.result", "inputs": inputs},
    }
    document = json.dumps({"name": "growth", "nodes": nodes})

    async def ran() -> RunResult:
        async with Symphony.open(memory=True, operators=[count]) as symphony:
            result = await (await symphony.start(loads(document, "json"))).result()
            if result.status != "succeeded":
                raise RuntimeError(f"the benchmark's own run {result.status}: {result.error}")
            return result

    return lambda: asyncio.run(ran())


@curve("run elements that pick their own from a list", 1_000)
def picking(size: int) -> Timed:
    """Each element reads one of a list by its number."""
    return elements(size, "debug.value", {"value": "${{ r.result[index] }}"})


@curve("run elements that compute with their own of a list", 1_000)
def computing(size: int) -> Timed:
    """Each element adds one to the number that it reads of a list."""
    return elements(size, "debug.value", {"value": "${{ r.result[index] + 1 }}"})


@curve("run elements that are given a whole list", 1_000)
def sharing(size: int) -> Timed:
    """A list in a port with a type, the same for all elements."""
    return elements(size, "growth.count", {"numbers": "${{ r.result }}"})


@operator("growth.square", version="1.0.0", pure=True)
def square(number: int) -> int:
    """A plain function, as people write it."""
    return number * number


def squares(size: int, cache: str, place: Path | None = None) -> Timed:
    """A run of a plain function over a list of numbers, in a home of its own, or in `place`."""
    nodes = {
        "r": {"operator": "debug.value", "inputs": {"value": [*range(size)]}},
        "each": {
            "operator": "growth.square",
            "for_each": "r.result",
            "inputs": {"number": "${{ item }}"},
            "cache": cache,
        },
    }
    document = json.dumps({"name": "growth", "nodes": nodes})

    async def ran() -> RunResult:
        home = place or Path(tempfile.mkdtemp()) / "home"
        async with Symphony.open(home, operators=[square]) as symphony:
            return await (await symphony.start(loads(document, "json"))).result()

    return lambda: asyncio.run(ran())


@curve("run elements of a plain function, cache: off", 2_500)
def plain_elements(size: int) -> Timed:
    """They travel to threads in batches."""
    return squares(size, "off")


@curve("run elements of a plain function, cache: on, none there", 2_500)
def kept_elements(size: int) -> Timed:
    """A key for each, a query and a transaction for a batch."""
    return squares(size, "on")


@curve("run elements of a plain function, cache: on, all there", 2_500)
def cached_elements(size: int) -> Timed:
    """Nothing is called."""
    cached = squares(size, "on", Path(tempfile.mkdtemp()) / "home")
    cached()
    return cached


# Values of some size.


@operator("growth.rows", version="1.0.0", pure=True)
def rows(count: int) -> list[dict[str, str | int]]:
    """A table, as a list of maps."""
    return [{"name": f"name {number}", "number": number, "kind": "a kind"} for number in range(count)]


@operator("growth.same_rows", version="1.0.0", pure=True)
def same_rows(rows: list[dict[str, str | int]]) -> list[dict[str, str | int]]:
    """The table again."""
    return rows


@operator("growth.numbers", version="1.0.0", pure=True)
def numbers(count: int) -> list[int]:
    """A long list of integers."""
    return list(range(count))


@operator("growth.text", version="1.0.0", pure=True)
def text(count: int) -> str:
    """Lines of a text."""
    return "a line of some text\n" * count


@operator("growth.same_text", version="1.0.0", pure=True)
def same_text(text: str) -> str:
    """The text again."""
    return text


@operator("growth.appended", version="1.0.0", pure=True)
def appended(items: list[dict[str, str | int]], number: int) -> list[dict[str, str | int]]:
    """One map more."""
    return [*items, {"number": number, "text": "what somebody said in this round of a talk"}]


def values(nodes: Mapping[str, object]) -> Timed:
    """A run in a home of its own of operators that give what is large."""
    document = json.dumps({"name": "growth", "nodes": nodes})
    operators = [rows, same_rows, numbers, text, same_text, appended]

    async def ran() -> RunResult:
        with tempfile.TemporaryDirectory() as folder:
            async with Symphony.open(Path(folder) / "home", operators=operators) as symphony:
                result = await (await symphony.start(loads(document, "json"))).result()
        if result.status != "succeeded":
            raise RuntimeError(f"the benchmark's own run {result.status}: {result.error}")
        return result

    return lambda: asyncio.run(ran())


def passed_on(first: str, then: str, port: str, size: int) -> Timed:
    """What the first node gives, handed through two more."""
    nodes = {"a": {"operator": first, "inputs": {"count": size}}}
    for before, name in ("ab", "bc"):
        nodes[name] = {"operator": then, "inputs": {port: f"${{{{ {before}.result }}}}"}}
    return values(nodes)


@curve("pass a list of maps through three nodes", 25_000)
def maps_passed_on(size: int) -> Timed:
    """A table as people make it."""
    return passed_on("growth.rows", "growth.same_rows", "rows", size)


@curve("pass a text through three nodes", 250_000)
def text_passed_on(size: int) -> Timed:
    """Twenty bytes a line."""
    return passed_on("growth.text", "growth.same_text", "text", size)


@curve("return a list of integers", 250_000)
def list_of_integers(size: int) -> Timed:
    """From a plain function."""
    return values({"a": {"operator": "growth.numbers", "inputs": {"count": size}}})


@curve("rounds of a loop whose state grows by a map each", 100)
def growing_state(rounds: int) -> Timed:
    """The state is handed to a node and back in each round: its bytes grow with the square of the rounds."""
    one = {
        "operator": "growth.appended",
        "inputs": {"items": "${{ state.items }}", "number": "${{ iteration }}"},
    }
    loop = {
        "control": "loop", "state": {"items": []}, "max_iterations": 100_000, "body": {"one": one},
        "next": {"items": "one.result"}, "until": f"iteration >= {rounds - 1}",
    }  # fmt: skip
    return values({"grow": loop})


# What is seen of runs.


def home_of(elements: int) -> tuple[Path, str]:
    """A home with a fan-out of so many elements that has ended."""
    place = Path(tempfile.mkdtemp()) / "home"
    plan = {
        "r": {"operator": "debug.value", "inputs": {"value": []}},
        "each": {"operator": "growth.count", "for_each": "r.result", "inputs": {"numbers": "${{ item }}"}},
    }
    workflow = json.dumps({"symphony": 1, "name": "growth", "nodes": plan}).encode()
    run_id = new_run_id()
    meta = RunMeta(
        run_id=run_id, workflow=workflow, source=None, inputs=b"\x80", cwd="/", base="/", created_at=1.0
    )
    store = SqliteStore.create(place / "journal" / f"{run_id}.db", meta)
    store.commit([BegunRecord(0, 1.0, 1), FinishedRecord(0, 2.0, 1.0, b"\x80", None, None)])
    store.commit([ExpandedRecord(1, 2.0, elements)])
    for at in range(0, elements, 1_000):
        some = range(at, min(at + 1_000, elements))
        store.commit([FinishedRecord(2 + i, 3.0 + i, 2.0 + i, b"\x80", None, None) for i in some])
    ended = 3.0 + elements
    store.commit([FinishedRecord(1, ended, 2.0, None, None, None)])
    store.commit([EndedRecord(0, ended, "succeeded", None, None)])
    store.close()
    return place, run_id


@curve("list ended runs that failed", 250)
def listing(runs: int) -> Timed:
    """Rows of an index; journals are not opened."""
    place = Path(tempfile.mkdtemp())
    (place / "journal").mkdir()
    index = EndedRuns(place / "journal" / INDEX)
    for number in range(runs):
        path = place / "journal" / f"r{number:06}.db"
        path.write_bytes(b"never opened")
        status = RunStatus.FAILED if number % 10 == 0 else RunStatus.SUCCEEDED
        told = RunSummary(run_id=path.stem, workflow="w", status=status, started_at=1.0)
        index.add(EndedRun(stamp_of(path), told))
    index.close()

    def listed() -> None:
        found = Runs(place, SystemClock(), lambda _: None)
        if len(found.list(limit=runs, status=RunStatus.FAILED)) != (runs + 9) // 10:
            raise RuntimeError("the benchmark's own list is wrong")
        found.close()

    return listed


@curve("show an ended run, its elements", 2_500)
def showing(elements: int) -> Timed:
    """What is shown of it stands in the index: 4n takes as long as n."""
    place, run_id = home_of(elements)
    Symphony.open(place).views.overview(run_id)  # the first look writes it there

    def shown() -> None:
        views = Symphony.open(place).views
        if views.result(run_id).counts != {"succeeded": 2} or views.overview(run_id).steps != elements + 1:
            raise RuntimeError("the benchmark's own run is shown wrong")

    return shown


@curve("look again at a run of which nothing is new, its elements", 2_500)
def following(elements: int) -> Timed:
    """What was read before is not read again: 4n takes as long as n."""
    place, run_id = home_of(elements)
    runs = Runs(place, SystemClock(), lambda _: None)
    last = len(list(runs.events(run_id)))

    def looked() -> None:
        for _ in range(20):
            if list(runs.events(run_id, last)):
                raise RuntimeError("there is nothing new")

    return looked


@curve("overview of a run, its elements", 10_000)
def overview(elements: int) -> Timed:
    """Worked out once, at the end of a run."""
    place, run_id = home_of(elements)
    replay = Runs(place, SystemClock(), lambda _: None).replay(run_id)
    return lambda: overview_of(replay)


@curve("counts for a view of a run, its elements", 100_000)
def counting(elements: int) -> Timed:
    """A byte a slot, eight times a second."""
    replay = RunReplay(make_plan([PlanNode("each")], [()]), limit=64)
    replay.apply(BegunRecord(0, 1.0, 1))
    replay.apply(ExpandedRecord(0, 1.0, elements))
    return lambda: [replay.standing() for _ in range(10)]


# Homes.


def small_runs(home: Path, number: int) -> None:
    """So many small runs at once, in a session of their own."""

    async def ran() -> None:
        async with Symphony.open(home, operators=[small.step]) as symphony:
            what = small.workflow()
            await asyncio.gather(*(small.one(symphony, what) for _ in range(number)))

    asyncio.run(ran())


@curve("small runs at once, in one session", 200)
def at_once(number: int) -> Timed:
    """Each with three effects, on a new home on disk."""

    def timed() -> None:
        with tempfile.TemporaryDirectory() as folder:
            small_runs(Path(folder) / "home", number)

    return timed


@curve("list all of so many small runs", 400)
def listed(number: int) -> Timed:
    """In a home with nothing else, by a process that has just begun to look."""
    folder = tempfile.TemporaryDirectory()
    home = Path(folder.name) / "home"
    small_runs(home, number)

    def timed() -> int:
        found = len(Symphony.open(home).runs.list(limit=2 * number))
        if found != number:
            raise RuntimeError(f"of {number} runs {found} are listed")
        _ = folder  # it stays as long as this does
        return found

    return timed


# Operators over lists.


def records(count: int) -> list[Value]:
    """Records as tables have them; each name ten times."""
    return [
        {"id": at * 7_919 % count, "name": f"name {at % (count // 10)}", "size": at % 997}
        for at in range(count)
    ]


def called(name: str, **inputs: Value) -> Timed:
    """A call of an operator of the kit as a node makes it."""
    one, here = kit.operators()[name], Path()
    context = Context(
        run_id="run",
        node="node",
        attempt=1,
        cwd=here,
        base=here,
        log=lambda *_: None,
        cancelled=lambda: False,
    )
    return lambda: one.function(**inputs, context=context)


@curve("data.sort by two fields", 25_000)
def sorting(count: int) -> Timed:
    """One key that many records share, and one in no order."""
    return called("data.sort", items=records(count), by=["item.size", "item.id"], descending=[True, False])


@curve("data.unique of whole records", 25_000)
def unique(count: int) -> Timed:
    """All are different."""
    return called("data.unique", items=records(count))


@curve("data.group with three aggregates", 25_000)
def grouping(count: int) -> Timed:
    """As many groups as there are names."""
    aggregates: dict[str, Value] = {
        "n": {"count": "item"}, "sum": {"sum": "item.size"}, "most": {"max": "item.id"}
    }  # fmt: skip
    return called("data.group", items=records(count), by={"name": "item.name"}, aggregates=aggregates)


@curve("data.join by a unique field", 25_000)
def joining(count: int) -> Timed:
    """Each record matches one."""
    return called("data.join", left=records(count), right=records(count), by=["item.id"], kind="full")


if __name__ == "__main__":
    print(line("growth", "n, 2n and 4n of each", figures(sys.argv[1:])))
