"""Seeded simulation of whole runs: every control nested at random, crashes, stops, pauses, answers, new
starts.

The engine is the real one; the clock runs a thousand times too fast and jumps between two lives of
a run, and the journal loses everything after a record drawn by the seed. Each world is run once in
calm; whatever happens to it in a storm, it must end with the same outputs.
"""

import asyncio
import contextlib
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from zlib import crc32

import pytest
from tests.support.fakes import Elsewhere

from symphony import Context, kit, operator
from symphony.app.at_once import AtOnce
from symphony.app.preparing import Prepared, recalled
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.tracker.core.machine import Status
from symphony.pit.tracker.core.records import FailedRecord, FinishedRecord, PausedRecord, Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.engine.reruns.reused import RerunScope, written
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.prints import RunPrints
from symphony.pit.tracker.store.documents import ChildDocument
from symphony.pit.tracker.store.journal import JournalFailed, MemoryStore, RunMeta, RunRequest
from symphony.pit.tracker.store.logs import capture
from symphony.ports.arbiter import Arbiter
from symphony.ports.runs import NodeStatus, RunResult, RunStatus
from symphony.workflow import dumps, loads
from symphony.workflow.catalog import Catalog

pytestmark = pytest.mark.slow

SEEDS = range(int(os.environ.get("SYMPHONY_SIMULATION_SEEDS", "30")))
LIVES_MAX = 300  # loops in loops that ask a person each round take more than a hundred
FASTER = 1000.0
SUCCEEDED, SKIPPED = Status.SUCCEEDED, Status.SKIPPED
Document = dict[str, object]


class FastClock:
    """The real clock, a thousand times too fast; the wall clock may be set."""

    def __init__(self) -> None:
        self._began, self.set_by_s = time.monotonic(), 0.0

    def monotonic_s(self) -> float:
        return (time.monotonic() - self._began) * FASTER

    def now_s(self) -> float:
        return 1_700_000_000.0 + self.monotonic_s() + self.set_by_s

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(seconds, 1.0) / FASTER)


class Disk(MemoryStore):
    """A journal that is cut off after `room` records of one life, and hands over requests."""

    def __init__(self, reused: Mapping[str, bytes]) -> None:
        super().__init__()
        self.kept: list[Record] = []
        self.room: int | None = None
        self.asked: dict[int, RunRequest] = {}
        self._reused = reused

    def commit(self, records: list[Record]) -> None:
        taken = records if self.room is None else records[: self.room]
        self.kept += taken
        if self.room is not None:
            self.room -= len(taken)
            if self.room <= 0:
                raise JournalFailed("the process was killed")

    def records(self) -> Iterator[Record]:
        yield from self.kept

    def requests(self) -> list[tuple[int, RunRequest]]:
        return list(self.asked.items())

    def settled(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self.asked.pop(number, None)

    def reuse(self) -> Mapping[str, bytes]:
        return self._reused


def luck(*parts: object) -> int:
    """A number that depends on `parts` alone."""
    return crc32(repr(parts).encode())


@dataclass
class World:
    """What lies outside of a run: the effects that steps had, by the step's name and attempt."""

    seed: int
    mended: bool = False  # nothing fails any more
    begun: Counter[str] = field(default_factory=Counter)
    done: set[str] = field(default_factory=set)
    watch: Callable[[str, bool], None] = lambda _node, _begins: None
    """Called when a step begins, and when it has ended."""


WORLD = World(0)


async def _step(context: Context, value: int) -> int:
    key = f"{context.node}@{context.attempt}"
    WORLD.begun[key] += 1
    WORLD.watch(context.node, True)
    try:
        for _ in range(luck(key) % 3):
            await asyncio.sleep(0)
    finally:
        WORLD.watch(context.node, False)
    WORLD.done.add(key)
    if not WORLD.mended and luck(WORLD.seed, context.node, context.attempt) % 5 == 0:
        raise RuntimeError("bad luck")
    return value + 1


@operator("sim.effect", version="1.0.0", inline=False)
async def effect(context: Context, value: int) -> int:
    """Changes the world, and must not be repeated."""
    return await _step(context, value)


@operator("sim.step", version="1.0.0", idempotent=True, inline=False)
async def step(context: Context, value: int) -> int:
    """Changes the world, and may be repeated."""
    return await _step(context, value)


@operator("sim.plain", version="1.0.0", pure=True)
def plain(value: int) -> int:
    """Changes nothing: a function that goes to a thread, with others where there are some."""
    return value


OPERATORS = {**kit.operators(), "sim.effect": effect, "sim.plain": plain, "sim.step": step}


class Making:
    """Random workflows whose nodes give integers, with sub-workflows in `children`."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.children: list[Document] = []

    def graph(self, depth: int, seen: list[str], edges: list[Document] | None = None) -> tuple[Document, str]:
        """Nodes, and an expression over them; `seen` are the integers that they may read.

        Conditional edges go to `edges`; a loop's body has none.
        """
        nodes: Document = {}
        seen = list(seen)
        for i in range(self.rng.randrange(2, 5)):
            name = f"n{depth}{i}"
            before = [one for one in nodes if one.startswith(f"n{depth}")]
            node, port, beside = self.node(depth, self.rng.choice(seen), name, before)
            if not beside and self.rng.random() < 0.25:
                node = {**node, "for_each": "[0, 1, 2]", "concurrency": self.rng.choice([1, 3])}
                node["fail_fast"] = self.rng.random() < 0.5
                port = f"{port}[1]" if port else ""
            if self.rng.random() < 0.15:
                node["when"] = f"({self.rng.choice(seen)}) % 2 == 0"
            if node.get("control") != "merge" and len(before) > 1 and self.rng.random() < 0.2:
                node |= {"after": self.rng.sample(before, 2), "join": "any"}
            if edges is not None and before and self.rng.random() < 0.25:
                edges += [
                    {"from": source, "to": name, "when": f"({self.rng.choice(seen)}) % 3 != 0"}
                    for source in self.rng.sample(before, min(len(before), self.rng.choice([1, 2])))
                ]
            nodes |= {**beside, name: node}
            if port:  # null, where the node was skipped
                whole = f"{name}.{port.removesuffix('[1]')}"
                seen.append(f"({whole} == null || {name}.{port} == null ? 0 : int({name}.{port}))")
        return nodes, f"({seen[-1]}) + ({self.rng.choice(seen)})"

    def node(
        self, depth: int, value: str, name: str, before: Sequence[str]
    ) -> tuple[Document, str, Document]:
        """A node, the port that holds an integer, or nothing, and nodes that belong to it."""
        kinds = ["value", "step", "step", "effect", "delay", "approval", "branch", "merge", "spared", "all"]
        kind = self.rng.choice([*kinds, "loop", "loop", "child", "child"] if depth < 2 else kinds)
        after: Document = {"after": [before[-1]]} if before and self.rng.random() < 0.5 else {}
        given = {"inputs": {"value": f"${{{{ {value} }}}}"}}
        match kind:
            case "value":
                pure = "debug.value" if luck(name, value) % 2 else "sim.plain"
                return {"operator": pure, **given}, "result", {}
            case "step" | "effect":
                return {"operator": f"sim.{kind}", **given, **self.troubles(value)}, "result", {}
            case "delay":
                return {"control": "delay", "for": self.rng.choice(["1s", "5s", "20s"]), **after}, "", {}
            case "approval":
                return {"control": "approval", "message": f"${{{{ {value} }}}}?", **after}, "", {}
            case "branch":
                return {"control": "branch", "condition": f"({value}) > 3", **after}, "", {}
            case "merge":
                arms: Document = {
                    f"b{name}": {"control": "branch", "condition": f"({value}) % 2 == 0", **after},
                    f"t{name}": {"operator": "sim.step", **given, "after": [f"b{name}.true"]},
                    f"f{name}": {"operator": "debug.value", **given, "after": [f"b{name}.false"]},
                }
                return {"control": "merge", "after": [f"t{name}", f"f{name}"]}, "result", arms
            case "all":
                spares: Document = {f"s{name}": {"operator": "debug.value", "inputs": {"value": [7, 8, 9]}}}
                each: Document = {"operator": "sim.step", **given, **self.troubles(value), "fail_fast": False}
                each |= {"for_each": "[0, 1, 2]", "on_error": {"fallback": f"s{name}"}}
                return each, "result[1]", spares
            case "spared":
                spare: Document = {f"s{name}": {"operator": "debug.value", **given}}
                tried = {"operator": "sim.step", **given, "on_error": {"fallback": f"s{name}"}}
                return tried, "result", spare
        return self.nested(depth, value, kind)

    def troubles(self, value: str) -> Document:
        """How a step that fails is tried again, and what it means in the end."""
        handling: list[Document] = [
            {},
            {"on_error": "skip"},
            {"on_error": {"value": {"result": 7}}},
            {"on_error": {"value": {"result": f"${{{{ ({value}) + 100 }}}}"}}},
        ]
        attempts = self.rng.choice([1, 4])
        handled = self.rng.choice(handling if attempts > 1 else handling[1:])
        return {"retry": {"attempts": attempts, "initial": "1s"}, **handled}

    def nested(self, depth: int, value: str, kind: str) -> tuple[Document, str, Document]:
        """A loop or a sub-workflow."""
        edges: list[Document] | None = [] if kind == "child" else None
        read = ["inputs.x"] if kind == "child" else [value, "state.x"]
        below, result = self.graph(depth + 1, read, edges)
        again: Document = {"retry": {"attempts": 3, "initial": "1s"}} if self.rng.random() < 0.5 else {}
        if kind == "loop":
            end = {"until": f"iteration >= {self.rng.randrange(3)}"}
            loop: Document = {"control": "loop", "state": {"x": f"${{{{ {value} }}}}"}, "body": below, **end}
            return {**loop, "next": {"x": result}, **again}, "x", {}
        self.children.append(
            {"name": "child", "inputs": {"x": {"type": "integer"}}, "nodes": below, "edges": edges,
             "outputs": {"x": f"${{{{ {result} }}}}"}}
        )  # fmt: skip
        name = f"child{len(self.children) - 1}"
        return {"workflow": name, "inputs": {"x": f"${{{{ {value} }}}}"}, **again}, "x", {}


def made(seed: int) -> Prepared:
    """A run of a random workflow, ready to begin."""
    making = Making(Random(seed))
    edges: list[Document] = []
    nodes, result = making.graph(0, ["inputs.x"], edges)
    document: Document = {
        "name": "world", "inputs": {"x": {"type": "integer", "default": 1}}, "nodes": nodes, "edges": edges,
        "outputs": {"x": f"${{{{ {result} }}}}"},
    }  # fmt: skip
    everybody = {f"child{i}": i for i in range(len(making.children))}
    children = tuple(
        ChildDocument(document=dumps(loads(json.dumps(one), "json"), "json"), base="/", references=everybody)
        for one in making.children
    )
    meta = RunMeta(
        run_id=f"run-{seed}", workflow=dumps(loads(json.dumps(document), "json"), "json"), source=None,
        inputs=b"", cwd="/", base="/", created_at=0.0, children=children, references=everybody, concurrency=3,
    )  # fmt: skip
    infos = {name: one.info for name, one in OPERATORS.items()}
    return recalled(meta, Catalog(operators=infos, models={}), lambda *_: OPERATORS, {}, {"x": 1}, keys={})


class NoModels:
    async def close(self) -> None: ...


def engine(
    prepared: Prepared,
    disk: Disk,
    clock: FastClock,
    elsewhere: Elsewhere | None = None,
    arbiter: Arbiter | None = None,
) -> Engine:
    """With `elsewhere`, no expression is evaluated on the loop."""
    executor = Executor(
        run_id=prepared.meta.run_id, cwd=Path("/"), base=Path("/"), artifacts=MemoryArtifacts(clock.now_s),
        models=NoModels(),  # type: ignore[arg-type]  # no node asks one
        arbiter=arbiter or AtOnce(), clock=clock, log=lambda *_: None, capture=capture, threads=2,
        expressions=None if elsewhere is None else lambda: elsewhere,  # type: ignore[arg-type,return-value]
        heavy_steps=-1,
    )  # fmt: skip
    return Engine(prepared.job, disk, executor, clock, 1)


def replayed(prepared: Prepared, disk: Disk) -> RunReplay:
    replay = RunReplay(prepared.job.plan, limit=prepared.job.limit)
    for record in disk.kept:
        replay.apply(record)
    return replay


class Story:
    """One run through all its lives."""

    def __init__(
        self,
        seed: int,
        *,
        calm: bool,
        reused: Mapping[str, bytes] | None = None,
        lives_max: int = LIVES_MAX,
        arbiter: Callable[[Random], Arbiter] = lambda _: AtOnce(),
    ) -> None:
        """`arbiter` makes that of each life."""
        self._arbiter = arbiter
        self.prepared, self.rng, self.calm = made(seed), Random(seed + 1), calm
        self.disk, self.clock = Disk(reused or {}), FastClock()
        self.seed, self.lives, self.skipped, self.lives_max = seed, 0, False, lives_max
        self.stops = 0
        self.sealed: dict[str, int] = {}  # how often steps had begun when their end was durable

    async def tell(self) -> RunResult | None:
        """Live until the end, or until no life is left.

        Raises AssertionError if the run stands still without a reason.
        """
        retry: list[str] = []
        skip: list[str] = []
        while self.lives < self.lives_max:
            self.lives += 1
            self.disk.room = self.rng.randrange(1, 40) if not self.calm and self.lives < 30 else None
            self.clock.set_by_s += 0.0 if self.calm else self.rng.choice([-9e6, -30.0, 0.0, 30.0, 9e6])
            elsewhere = None if self.calm or self.seed % 2 else Elsewhere(lambda: self.rng.randrange(4))
            life = engine(self.prepared, self.disk, self.clock, elsewhere, self._arbiter(self.rng))
            if not self.calm and self.rng.random() < 0.2:
                self.ask(RunRequest(kind="pause"))
            stopping = None
            if not self.calm and self.rng.random() < 0.5 and self.lives < 60:
                self.disk.room = None  # this process is stopped, not killed
                stopping = asyncio.ensure_future(stop(life, self.rng.choice([0, 1, 2, 5, 10, 20, 40, 80])))
            with contextlib.suppress(JournalFailed):
                result = await life.run(list(self.disk.records()), retry, skip)
                if result.status is RunStatus.INTERRUPTED:
                    self.stopped(result)
                elif result.status not in (RunStatus.WAITING, RunStatus.PAUSED):
                    return result
            if stopping is not None:
                stopping.cancel()
            retry, skip = self.decide()
        assert self.lives < LIVES_MAX, f"seed {self.seed}: it did not end in {LIVES_MAX} lives"
        return None

    def stopped(self, result: RunResult) -> None:
        """The stop is the last that is recorded, and what ran is seen to be as it was."""
        self.stops += 1
        replay, last = replayed(self.prepared, self.disk), self.disk.kept[-1]
        assert isinstance(last, PausedRecord), last
        assert (last.stopped_by, replay.stopped_by) == ("SIGTERM", "SIGTERM")
        assert replay.left_as() is RunStatus.INTERRUPTED
        assert replay.nodes() == result.nodes
        for name, node in result.nodes.items():
            assert (node.finished_at is None) or node.status is not NodeStatus.RUNNING or node.error, name

    def ask(self, request: RunRequest) -> None:
        self.disk.asked[len(self.disk.asked) + 1000 * self.lives] = request

    def decide(self) -> tuple[list[str], list[str]]:
        """What a person does between two lives: answer, and look whether effects are there."""
        replay = replayed(self.prepared, self.disk)
        retry: list[str] = []
        skip: list[str] = []
        self.look(replay)
        in_doubt = {replay.machine.name(slot): slot for slot in replay.doubtful}
        for name, slot in (replay.waiting() | in_doubt).items():
            if slot in replay.asked:
                kind = "approve" if luck(self.seed, name) % 2 else "reject"
                self.ask(RunRequest(kind=kind, node=name))  # type: ignore[arg-type]
            elif f"{name}@{replay.machine.attempts[slot]}" in WORLD.begun:
                skip.append(name)
                self.skipped = True
            else:
                retry.append(name)
        return retry, skip

    def look(self, replay: RunReplay) -> None:
        """Nothing that had finished at an earlier look has begun again.

        Another attempt of a loop or sub-workflow has slots of its own, of the same names.
        """
        latest = {replay.machine.name(slot): slot for slot in range(len(replay.machine.status))}
        for record in self.disk.kept:
            if isinstance(record, FinishedRecord) and not record.cached_from:
                slot = record.slot
                if latest[replay.machine.name(slot)] != slot:
                    continue
                name = f"{replay.machine.name(slot)}@{replay.machine.attempts[slot]}"
                count = WORLD.begun[name]
                assert self.sealed.setdefault(f"{slot}:{name}", count) == count, f"{name} ran again"


async def stop(life: Engine, turns: int) -> None:
    """A signal, after so many turns of the loop."""
    for _ in range(turns):
        await asyncio.sleep(0)
    life.interrupt("SIGTERM")


def tell(
    seed: int,
    *,
    mended: bool = False,
    watch: Callable[[str, bool], None] = lambda _node, _begins: None,
    **how: object,
) -> tuple[Story, RunResult | None]:
    global WORLD
    WORLD = World(seed, mended, watch=watch)
    story = Story(seed, **how)  # type: ignore[arg-type]
    return story, asyncio.run(story.tell())


def troubled(replay: RunReplay) -> set[str]:
    """The workflow's own nodes, and their elements, that may run again after an ended run.

    They did not succeed, hold what did not, or come after such.
    """
    machine, plan = replay.machine, replay.machine.root.plan
    bad = {slot for slot, status in enumerate(machine.status) if status not in (SUCCEEDED, SKIPPED)}
    bad |= {*replay.handled(), *(slot for slot in replay.errors if machine.status[slot] == SKIPPED)}
    found: set[int] = set()
    for slot in bad:
        at = slot
        while machine.frame(at) is not machine.root:
            at = machine.frame(at).parent
        found.add(at)
    todo = [at for at in found if at < len(plan.nodes)] + [
        machine.element_of[at][0].slot for at in found if at >= len(plan.nodes)
    ]
    after: set[int] = set()
    while todo:
        for link in plan.links[todo.pop()]:
            if link.target not in after:
                after.add(link.target)
                todo.append(link.target)
    names = {machine.name(at) for at in found | after}
    return names | {f"{plan.nodes[at].name}[{number}]" for at in after for number in range(3)}


def reused_by(old: Story, *first: str) -> dict[str, bytes]:
    """What a rerun takes over of a run, by name."""
    reader = engine(old.prepared, old.disk, old.clock)
    found = reader.reusable(old.disk.kept, RerunScope(first=first), lambda *_: None, RunPrints()).results
    return {name: written(result, old.prepared.sealer) for name, result in found.items()}


@pytest.mark.parametrize("seed", SEEDS)
def test_a_run_in_a_storm_ends_as_the_same_run_in_calm(seed: int) -> None:
    _, calm = tell(seed, calm=True)
    story, storm = tell(seed, calm=False)
    context = f"seed {seed}, {story.lives} lives"
    assert calm is not None, context
    assert storm is not None, context
    story.look(replayed(story.prepared, story.disk))
    if not story.skipped:
        assert (storm.status, storm.outputs) == (calm.status, calm.outputs), context
    assert replayed(story.prepared, story.disk).nodes() == storm.nodes, context


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rerun_of_a_run_cut_off_at_any_moment_ends_as_one_without_interruption(seed: int) -> None:
    _, calm = tell(seed, calm=True)
    chance = Random(seed + 2)
    lives = chance.choice([1, 1, 2, 4, LIVES_MAX])
    old, ended = tell(seed, calm=lives == LIVES_MAX, lives_max=lives)
    names = sorted(replayed(old.prepared, old.disk).nodes())
    first = chance.choice([None, *names])
    reused = reused_by(old, *([first] if first else []))
    story, new = tell(seed, calm=chance.random() < 0.5, reused=reused)
    context = f"seed {seed}, {lives} lives, from {first}"
    assert not [key for key in WORLD.begun if key.rpartition("@")[0] in reused], context
    assert first is None or first not in reused, context
    assert new is not None, context
    if not (story.skipped or old.skipped):  # a rerun takes over what a person skipped
        assert calm is not None, context
        assert (new.status, new.outputs) == (calm.status, calm.outputs), context
    troubled = old.skipped or any(isinstance(record, FailedRecord) for record in old.disk.kept)
    if ended is not None and first is None and not troubled:
        assert not WORLD.begun, context


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rerun_after_all_is_mended_ends_as_a_new_run(seed: int) -> None:
    """Whatever had failed is tried again, handled or not, of elements and inside of others as well."""
    old, ended = tell(seed, calm=seed % 2 == 0)
    reused = reused_by(old)
    _, fresh = tell(seed, calm=True, mended=True)
    story, new = tell(seed, calm=seed % 3 == 0, mended=True, reused=reused)
    context = f"seed {seed}, {len(reused)} taken over"
    assert ended is not None, context
    assert fresh is not None, context
    assert new is not None, context
    assert not [key for key in WORLD.begun if key.rpartition("@")[0] in reused], context
    replay = replayed(old.prepared, old.disk)
    assert not {replay.machine.name(slot) for slot in replay.handled()} & reused.keys(), context
    assert {key.partition("@")[0] for key in WORLD.begun if "." not in key} <= troubled(replay), context
    if not (story.skipped or old.skipped):
        assert (new.status, new.outputs) == (fresh.status, fresh.outputs), context
        errors = {node.error.code for node in new.nodes.values() if node.error is not None}
        assert errors <= {"in-doubt"}, context  # in which a person decided for another attempt
