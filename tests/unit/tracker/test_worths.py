"""Results of nodes that are quicker to run again than to look up are not kept, and that is told."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.commons.time import SystemClock
from symphony.pit.artifacts.cache.result_cache import ResultCache
from symphony.pit.artifacts.cache.results import CacheEntry
from symphony.pit.tracker.nodes import measures
from symphony.pit.tracker.nodes.measures import LargeWorth, NodesWorth, Worth
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.runs import RunResult
from symphony.workflow import loads

QUICKER = "quicker to run again"


@operator("test.add", version="1.0.0", pure=True)
def add(numbers: list[int]) -> int:
    """A sum, long in the making for 99; the list is used up."""
    if numbers == [99]:
        sum(range(3_000_000))
    total = sum(numbers)
    numbers.clear()
    return total


def node(*numbers: int, **more: object) -> dict[str, object]:
    return {"operator": "test.add", "inputs": {"numbers": list(numbers)}, **more}


def ran(nodes: dict[str, dict[str, object]], home: Path) -> RunResult:
    document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes}).encode()

    async def whole() -> RunResult:
        async with Symphony.open(home, operators=[add]) as symphony:
            return await (await symphony.start(loads(document, "json"))).result()

    result = asyncio.run(whole())
    assert result.status == "succeeded"
    return result


def cached(result: RunResult) -> set[str]:
    return {name for name, node in result.nodes.items() if str(node.status) == "cached"}


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """All calls are, however slow the machine is."""
    monkeypatch.setattr(measures, "CHEAP_S", 1e9)


@pytest.mark.usefixtures("cheap")
def test_nodes_of_a_quick_operator_are_not_kept_and_say_so(tmp_path: Path) -> None:
    nodes = {f"n{i}": node(i, 1) for i in range(90)} | {"long": node(*range(100))}
    ran(nodes, tmp_path)
    result = ran({**nodes, "after": node(1, after=["n1"])}, tmp_path)
    assert cached(result) == set()
    told = {name: one.not_cached for name, one in result.nodes.items()}
    assert told["after"] == QUICKER
    assert Runs(tmp_path, SystemClock(), lambda run: None).result(result.run_id).nodes["after"].not_cached


@pytest.mark.usefixtures("cheap")
@pytest.mark.parametrize(("count", "more"), [(15, {}), (40, {"cache": "on"})])
def test_nodes_of_an_operator_that_is_seldom_called_or_to_be_cached_are_kept(
    count: int, more: dict[str, object], tmp_path: Path
) -> None:
    nodes = {f"n{i}": node(i, 1, **more) for i in range(count)}
    ran(nodes, tmp_path)
    result = ran(nodes, tmp_path)
    assert cached(result) == set(nodes)
    assert {one.not_cached for one in result.nodes.values()} == {None}


@pytest.mark.usefixtures("cheap")
def test_results_of_which_too_few_came_to_tell_are_kept(tmp_path: Path) -> None:
    nodes = {f"n{i}": node(i, 1, when=str(i < 5).lower()) for i in range(40)}
    ran(nodes, tmp_path)
    assert cached(ran(nodes, tmp_path)) == {f"n{i}" for i in range(5)}


@pytest.mark.usefixtures("cheap")
def test_a_long_call_among_quick_ones_is_kept_under_what_it_was_given_and_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nodes = {f"n{i}": node(i, 1) for i in range(40)}
    nodes["long"] = node(99, after=list(nodes))
    monkeypatch.setattr(measures, "LONG_S", 0.005)
    assert ran(nodes, tmp_path).nodes["long"].not_cached is None
    monkeypatch.setattr(measures, "LONG_S", 1e9)
    assert "long" in cached(ran(nodes, tmp_path))


@pytest.mark.usefixtures("cheap")
def test_what_was_kept_once_is_found_however_quick_it_is(tmp_path: Path) -> None:
    ran({"n7": node(7, 1, cache="on")}, tmp_path)
    nodes = {f"n{i}": node(i, 1) for i in range(40)}
    nodes["again"] = node(7, 1, after=list(nodes))
    assert cached(ran(nodes, tmp_path)) == {"n7", "again"}


@pytest.mark.usefixtures("cheap")
def test_keys_of_quick_nodes_are_neither_made_nor_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, get_many = Counter[str](), ResultCache.get_many

    def got(self: ResultCache, keys: list[str]) -> dict[str, CacheEntry]:
        asked["keys"] += len(keys)
        return get_many(self, keys)

    monkeypatch.setattr(ResultCache, "get_many", got)
    told = []
    for count in (100, 400):
        asked.clear()
        first = {f"n{i}": node(i, 1) for i in range(64)}
        ran(first | {f"m{i}": node(i, 2, after=["n0"]) for i in range(count)}, tmp_path)
        told.append(asked["keys"])
    assert told[1] <= told[0] + 64, "only those are that begin before it is known"


def test_one_call_that_waits_for_others_makes_no_operator_slow_and_many_do() -> None:
    worth = Worth()
    for _ in range(99):
        worth.note(1e-6, 1e-6)
    worth.note(0.02, 1e-6)
    assert worth.cheap
    for _ in range(33):
        worth.note(0.02, 1e-6)
    assert not worth.cheap


def test_a_call_that_computes_for_long_counts_whole() -> None:
    worth = Worth()
    for _ in range(99):
        worth.note(1e-6, 1e-6)
    worth.note(0.02, 0.02)
    assert not worth.cheap


def test_each_call_with_large_inputs_tells_of_itself_once_the_others_are_quick() -> None:
    others = NodesWorth()
    worth = LargeWorth(others=others)
    assert worth.keeps(1e-6, 1e-6)
    for _ in range(16):
        others.note(1e-6, 1e-6)
    assert not worth.keeps(1e-6, 1e-6)
    assert not worth.keeps(0.01, 1e-6)
    assert worth.keeps(0.001, 0.001)
    assert worth.keeps(0.1, 1e-6)
    assert worth.needs_key(lambda: False)
