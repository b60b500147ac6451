"""Short operators in batches: what each gives is what it would give alone, and a slow one holds up nobody."""

import asyncio
import contextvars
import json
import threading
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.waiting import PATIENCE_S

from symphony import Context, operator
from symphony.app import Symphony
from symphony.commons.errors import IoFailed
from symphony.commons.time import SystemClock
from symphony.pit.artifacts import ResultCache
from symphony.pit.artifacts.cache.results import CacheEntry
from symphony.pit.artifacts.cache.write_behind import WriteBehind
from symphony.pit.tracker.core.records import FinishedRecord
from symphony.pit.tracker.engine import batches
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.nodes import measures
from symphony.pit.tracker.nodes.keys import ResultKeys
from symphony.pit.tracker.nodes.measures import BATCH_MAX, Pace, Worth
from symphony.pit.tracker.nodes.threads import DaemonThreads
from symphony.pit.tracker.store.journal import read_run
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import RunEvent, RunResult
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.workflow import loads

LEFT: contextvars.ContextVar[int] = contextvars.ContextVar("left", default=-1)
SEEN: list[int] = []
GO, BEGUN = threading.Event(), threading.Event()
CALLS: Counter[int] = Counter()


@operator("test.kinds", version="1.0.0", pure=True)
def kinds(what: str, number: int, context: Context) -> str:
    """As it is told."""
    if LEFT.get() != -1:
        return f"the context of {LEFT.get()}"
    LEFT.set(number)
    for line in range(number % 3):
        print(f"{what} {line}")
    print(f"the end of {number}", end="")
    match what:
        case "fail":
            raise ValueError(f"not {number}")
        case "exit":
            raise SystemExit(number)
        case "wrong":
            return number  # type: ignore[return-value]
        case "large":
            return f"{number} " * 20_000
        case "again" if context.attempt == 1:
            raise OSError("once")
    return f"{context.node} {context.attempt} {what}"


@operator("test.count", version="1.0.0", pure=True)
def count(number: int) -> int:
    """The next number."""
    CALLS[number] += 1
    return number + 1


@operator("test.half", version="1.0.0", pure=True)
def half(number: int) -> float:
    """The number, divided by two; whole where it can be."""
    return number // 2 if number % 2 == 0 else number / 2


@operator("test.counts", version="1.0.0", pure=True)
def counts(number: int) -> int:
    """The number, after some milliseconds."""
    return number + 0 * sum(range(200_000))


@operator("test.waits", version="1.0.0", pure=True)
def waits(number: int) -> bool:
    """The first waits until the last has been called; the others are quick."""
    SEEN.append(number)
    if number == 100:
        BEGUN.set()
        return GO.wait(PATIENCE_S)
    if number == 163:
        GO.set()
    return True


OPERATORS = [kinds, count, half, counts, waits]


def document(nodes: dict[str, object]) -> bytes:
    outputs = {name: f"${{{{ {name}.result }}}}" for name in nodes}
    return json.dumps({"symphony": 1, "name": "t", "nodes": nodes, "outputs": outputs}).encode()


def fan_out(
    name: str, items: Sequence[Value], inputs: dict[str, object], **more: object
) -> dict[str, object]:
    return {"operator": name, "for_each": list(items), "inputs": inputs, **more}


Told = tuple[dict[str, tuple[str, int, object]], dict[str, object]]


def ran(nodes: dict[str, object], home: Path | None = None, *, times: int = 1) -> tuple[RunResult, list[str]]:
    """The last of some runs, and what its nodes printed, by node in order."""

    async def whole() -> tuple[RunResult, list[str]]:
        async with Symphony.open(home, memory=home is None, operators=OPERATORS) as symphony:
            for _ in range(times):
                handle = await symphony.start(loads(document(nodes), "json"))
                result = await handle.result()
            lines = (
                []
                if home is None
                else [f"{line.node}: {line.text}" for line in symphony.runs.logs(result.run_id)]
            )
            return result, sorted(lines)

    return asyncio.run(whole())


def told(result: RunResult) -> Told:
    """What the nodes of a run came to."""
    nodes = {}
    for name, node in result.nodes.items():
        error = None if node.error is None else (node.error.code, node.error.message, node.error.hint)
        nodes[name] = (str(node.status), node.attempts, error)
    return nodes, {name: shown(value) for name, value in result.outputs.items()}


def shown(value: StoredValue) -> object:
    return value.digest if isinstance(value, ArtifactRef) else value


WHAT = st.sampled_from(["plain", "plain", "plain", "fail", "exit", "wrong", "large", "again"])


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.lists(WHAT, min_size=1, max_size=90),
    st.sampled_from([{}, {"concurrency": 3}, {"concurrency": 200}]),
    st.sampled_from([{"on_error": "skip"}, {"on_error": {"value": {"result": "instead"}}}]),
    st.booleans(),
)
def test_a_batch_gives_what_its_members_give_alone(
    what: list[str], concurrency: dict[str, object], on_error: dict[str, object], again: bool
) -> None:
    more = {**concurrency, **on_error}
    if again:
        more["retry"] = {"attempts": 2, "initial": "1ms"}
    inputs: dict[str, object] = {"what": "${{ item }}", "number": "${{ index }}"}
    nodes: dict[str, object] = {
        "first": fan_out("test.count", list(range(64)), {"number": "${{ item }}"}),
        "a": {**fan_out("test.kinds", what, inputs, **more), "after": ["first"]},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(measures, "BATCH_MAX", 1)
        alone = told(ran(nodes)[0])
    assert told(ran(nodes)[0]) == alone


def test_what_members_print_is_in_their_own_logs_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = ["plain", "fail", "exit", "wrong"] * 30
    inputs: dict[str, object] = {"what": "${{ item }}", "number": "${{ index }}"}
    nodes: dict[str, object] = {"a": fan_out("test.kinds", what, inputs, on_error="skip")}
    result, together = ran(nodes, tmp_path / "one")
    monkeypatch.setattr(measures, "BATCH_MAX", 1)
    other, alone = ran(nodes, tmp_path / "other")
    assert told(result) == told(other)
    assert together == alone
    assert f"a[{len(what) - 1}]: the end of {len(what) - 1}" in together


def test_what_is_quick_is_recorded_once_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SLOW_S", 600.0)
    nodes: dict[str, object] = {"a": fan_out("test.count", list(range(500)), {"number": "${{ item }}"})}

    async def whole() -> list[RunEvent]:
        async with Symphony.open(memory=True, operators=OPERATORS) as symphony:
            handle = await symphony.start(loads(document(nodes), "json"))
            return [event async for event in handle.events()]

    types = Counter(event.type for event in asyncio.run(whole()))
    assert types["node.finished"] == 501
    assert types["node.started"] == 0


def test_what_takes_a_while_is_told_to_have_begun_while_it_runs() -> None:
    GO.clear()
    nodes: dict[str, object] = {"a": {"operator": "test.waits", "inputs": {"number": 100}}}

    async def whole() -> list[str]:
        types = []
        async with Symphony.open(memory=True, operators=OPERATORS) as symphony:
            handle = await symphony.start(loads(document(nodes), "json"))
            async for event in handle.events():
                types.append(event.type)
                if event.type == "node.started":
                    GO.set()
            assert (await handle.result()).outputs["a"] is True
        return types

    assert asyncio.run(whole()) == ["run.started", "node.started", "node.finished", "run.finished"]


def test_a_slow_member_holds_up_nobody_behind_it() -> None:
    SEEN.clear()
    GO.clear()
    nodes: dict[str, object] = {"a": fan_out("test.waits", list(range(164)), {"number": "${{ item }}"})}
    result = ran(nodes)[0]
    assert result.status == "succeeded"
    assert {str(node.status) for node in result.nodes.values()} == {"succeeded"}
    assert sorted(SEEN) == list(range(164)), "each was called once"


def test_members_behind_a_slow_one_are_cancelled_without_having_begun() -> None:
    async def whole() -> RunResult:
        async with Symphony.open(memory=True, operators=OPERATORS) as symphony:
            handle = await symphony.start(loads(document(nodes), "json"))
            await asyncio.to_thread(BEGUN.wait, 20)
            handle.cancel()
            return await asyncio.wait_for(handle.result(), 20)

    SEEN.clear()
    GO.clear()
    BEGUN.clear()
    items = [*range(64), 100, 163]
    nodes: dict[str, object] = {
        "a": fan_out("test.waits", items, {"number": "${{ item }}"}, concurrency=1),
    }
    result = asyncio.run(whole())
    GO.set()
    assert result.status == "cancelled"
    assert [*range(64), 100] == SEEN


def test_elements_of_a_short_operator_share_hops_and_queries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops, queries = Counter[str](), Counter[str]()
    submit, read = DaemonThreads.submit, WriteBehind.read

    def submitted(self: DaemonThreads, *arguments: object, **named: object) -> "Future[object]":
        hops["all"] += 1
        return submit(self, *arguments, **named)  # type: ignore[arg-type]

    def asked(self: WriteBehind, kind: type, query: str, *arguments: object) -> list[object]:
        queries[query] += 1
        return read(self, kind, query, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(DaemonThreads, "submit", submitted)
    monkeypatch.setattr(WriteBehind, "read", asked)
    # So that it is no matter of luck how long a call takes.
    monkeypatch.setattr(measures, "BATCH_S", 5.0)
    elements = fan_out("test.count", list(range(2_000)), {"number": "${{ item }}"}, cache="on")
    for status in ("succeeded", "cached"):
        hops.clear()
        queries.clear()
        result = ran({"a": elements}, tmp_path)[0]
        assert str(result.nodes["a[1999]"].status) == status
        assert hops["all"] < 2_000 / 8
        assert sum(queries.values()) < 2_000 / 8


def test_a_look_into_the_cache_that_fails_for_all_is_done_for_each_and_fails_one_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "BATCH_S", 5.0)
    elements = fan_out("test.count", list(range(64)), {"number": "${{ item }}"}, cache="on", on_error="skip")
    ran({"a": elements}, tmp_path)
    look, alone = ResultCache.get_many, Counter[str]()

    def looked(self: ResultCache, keys: Sequence[str]) -> dict[str, CacheEntry]:
        alone.update(keys if len(keys) == 1 else ())
        if len(keys) > 1 or len(alone) == 5:
            raise IoFailed("the disk is gone")
        return look(self, keys)

    monkeypatch.setattr(ResultCache, "get_many", looked)
    result = ran({"a": elements}, tmp_path)[0]
    found = Counter(str(node.status) for name, node in result.nodes.items() if name != "a")
    assert found == {"cached": 63, "skipped": 1}


@pytest.mark.parametrize(
    ("name", "cheap_s", "status", "told"),
    [("test.count", 10.0, "succeeded", "quicker to run again"), ("test.counts", 0.0, "cached", None)],
)
def test_what_is_quicker_to_run_again_is_not_kept(
    name: str, cheap_s: float, status: str, told: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "CHEAP_S", cheap_s)
    nodes: dict[str, object] = {"a": fan_out(name, list(range(100)), {"number": "${{ item }}"})}
    result = ran(nodes, tmp_path, times=2)[0]
    assert {str(node.status) for name, node in result.nodes.items() if name != "a"} == {status}
    assert result.nodes["a"].not_cached == told
    assert Runs(tmp_path, SystemClock(), lambda run: None).result(result.run_id).nodes["a"].not_cached == told


def test_with_cache_on_everything_is_kept_however_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measures, "CHEAP_S", 1e9)
    inputs: dict[str, object] = {"number": "${{ item }}"}
    nodes: dict[str, object] = {
        "a": fan_out("test.count", list(range(500)), inputs, cache="on"),
        "b": {"operator": "debug.value", "inputs": {"value": 7}, "cache": "on"},
    }
    result = ran(nodes, tmp_path, times=2)[0]
    assert {str(node.status) for name, node in result.nodes.items() if name != "a"} == {"cached"}


def test_the_first_attempt_goes_alone_and_then_as_many_as_fit() -> None:
    pace = Pace()
    assert pace.size == 1
    pace.note(0.001, 1)
    assert pace.size == 5
    pace.note(1e-9, 1)
    pace = Pace()
    pace.note(1e-9, 1)
    assert pace.size == BATCH_MAX


def test_batches_that_run_beside_others_make_the_next_no_smaller() -> None:
    pace = Pace()
    pace.note(0.001, 10)
    before = pace.size
    pace.note(0.010, 10, 0.0009, alone=False)
    assert pace.size == before
    pace.note(0.010, 10, 0.009, alone=False)
    assert pace.size < before


def test_few_calls_tell_nothing_of_what_is_cheap() -> None:
    worth, entry = Worth(), CacheEntry(operator="o", outputs={}, run_id="r", node="n", created_at=1.0)
    for _ in range(15):
        worth.note(1e-6)
        assert worth.kept(("k", entry)) == []
    assert not worth.cheap
    worth.note(1e-6)
    assert worth.cheap
    assert worth.kept(("k", entry)) == []
    worth.note(1.0)
    assert not worth.cheap
    assert worth.kept(("k", entry)) == [("k", entry)]


def test_what_is_quicker_than_its_own_key_is_made_is_cheap() -> None:
    worth = Worth()
    for _ in range(16):
        worth.note_key(0.01)
        worth.note(0.001)
    assert worth.cheap
    for _ in range(3_000):
        worth.note_key(1e-6)
    worth.note(0.001)
    assert not worth.cheap


def test_one_long_call_tells_that_results_are_worth_keeping() -> None:
    worth, entry = Worth(), CacheEntry(operator="o", outputs={}, run_id="r", node="n", created_at=1.0)
    worth.note(1e-6)
    assert worth.kept(("a", entry)) == []
    worth.note(1.0)
    assert worth.kept(("b", entry)) == [("a", entry), ("b", entry)]


def test_results_that_are_all_cached_are_taken_without_a_hop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops = Counter[str]()
    submit = DaemonThreads.submit

    def submitted(self: DaemonThreads, *arguments: object, **named: object) -> "Future[object]":
        hops["all"] += 1
        return submit(self, *arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(DaemonThreads, "submit", submitted)
    counts = []
    for elements in (1_000, 3_000):
        nodes: dict[str, object] = {
            "a": fan_out("test.count", list(range(elements)), {"number": "${{ item }}"}, cache="on")
        }
        ran(nodes, tmp_path)
        hops.clear()
        result = ran(nodes, tmp_path)[0]
        assert str(result.nodes[f"a[{elements - 1}]"].status) == "cached"
        counts.append(hops["all"])
    assert counts[1] <= counts[0] + 64, "only the first ones go to threads, until all of a batch are found"


@pytest.mark.parametrize("first", [True, False])
def test_keys_that_are_made_together_are_those_that_are_made_alone(
    first: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs: dict[str, object] = {"what": "a", "number": "${{ item }}"}
    nodes: dict[str, object] = {
        "a": fan_out("test.count", list(range(300)), {"number": "${{ item }}"}, cache="on"),
        "b": fan_out("test.kinds", list(range(300)), inputs, cache="on"),
    }
    for alone in (first, not first):
        with monkeypatch.context() as patched:
            if alone:
                patched.setattr(ResultKeys, "of_inputs", lambda *_: None)
            result = ran(nodes, tmp_path)[0]
    statuses = {str(node.status) for name, node in result.nodes.items() if "[" in name}
    assert statuses == {"cached"}


def test_a_hit_is_recorded_as_the_call_was(tmp_path: Path) -> None:
    nodes: dict[str, object] = {
        "a": fan_out("test.count", list(range(300)), {"number": "${{ item }}"}, cache="on"),
        "b": fan_out("test.half", list(range(300)), {"number": "${{ item }}"}, cache="on"),
    }
    bodies = []
    for _ in range(2):
        result = ran(nodes, tmp_path)[0]
        path = Runs(tmp_path, SystemClock(), lambda run: None).journal_path(result.run_id)
        records = [one for one in read_run(path)[1] if isinstance(one, FinishedRecord)]
        assert len(records) == 602
        bodies.append({one.slot: one.outputs for one in records})
    assert {one.cached_from is None for one in records if one.outputs is not None} == {False}
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("more", [{}, {"on_error": "skip"}, {"retry": {"attempts": 2, "initial": "1ms"}}])
@pytest.mark.parametrize("concurrency", [1, 7, 300])
def test_elements_that_gather_behind_the_first_come_to_what_they_would_alone(
    more: dict[str, object], concurrency: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = ["again" if "retry" in more else "plain", "plain", "large"] * 20
    what[41] = "fail" if "on_error" in more or concurrency == 1 else "plain"
    inputs: dict[str, object] = {"what": "${{ item }}", "number": "${{ index }}"}
    nodes: dict[str, object] = {
        "a": fan_out("test.kinds", what, inputs, concurrency=concurrency, **more),
        "b": fan_out("test.count", list(range(50)), {"number": "${{ item }}"}),
    }
    together = told(ran(nodes)[0])
    monkeypatch.setattr(Engine, "_gathered_too", lambda *_: False)
    alone = told(ran(nodes)[0])
    if what[41] == "fail" and "on_error" not in more:  # the others of the run are cancelled when they may
        together = ({k: v for k, v in together[0].items() if k < "a[41]"}, {})
        alone = ({k: v for k, v in alone[0].items() if k < "a[41]"}, {})
    assert together == alone
