"""Inline operators: the short way gives the same as the long one. And what is made or waited for late."""

import asyncio
import gc
import json
import sys
from types import FrameType

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.commons.collector import SELDOM
from symphony.pit.tracker.core.lazy_nodes import LazyNodes
from symphony.pit.tracker.core.plan import PlanNode, make_plan
from symphony.pit.tracker.core.records import BegunRecord, FinishedRecord
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.feed import Feed
from symphony.pit.tracker.engine.recording import Recorder
from symphony.pit.tracker.store.journal import MemoryStore
from symphony.ports.runs import RunResult
from symphony.ports.values import ArtifactRef
from symphony.workflow import loads


@operator("test.double", version="1.0.0", pure=True)
async def double(number: int) -> int:
    """Twice the number."""
    return 2 * number


@operator("test.repeat", version="1.0.0", pure=True)
async def repeat(text: str, times: int) -> str:
    """The text, several times."""
    return text * times


@operator("test.wrong", version="1.0.0", pure=True)
async def wrong() -> int:
    """Break its own declaration."""
    return "one"  # type: ignore[return-value]


async def ran(nodes: dict[str, object], **environment: str) -> RunResult:
    document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes, "env": sorted(environment)})
    async with Symphony.open(memory=True, operators=[double, repeat, wrong]) as symphony:
        return await (await symphony.start(loads(document, "json"), environment=environment)).result()


def node(operator_: str, **inputs: object) -> dict[str, object]:
    return {"operator": operator_, "inputs": inputs}


def test_a_type_that_shows_only_when_the_node_runs_is_refused() -> None:
    nodes = {"a": node("debug.value", value="x"), "b": node("test.double", number="${{ a.result }}")}
    result = asyncio.run(ran(nodes))
    error = result.nodes["b"].error
    assert error is not None
    assert (error.code, "number" in error.message) == ("type-mismatch", True)


def test_an_output_that_breaks_its_declaration_fails_the_node() -> None:
    error = asyncio.run(ran({"a": node("test.wrong")})).nodes["a"].error
    assert error is not None
    assert error.code == "type-mismatch"


def test_a_large_output_travels_as_a_reference_that_knows_where_it_came_from() -> None:
    async def run() -> None:
        nodes = {"a": node("test.repeat", text="ab", times=50_000)}
        document = {"symphony": 1, "name": "t", "nodes": nodes, "outputs": {"out": "${{ a.result }}"}}
        async with Symphony.open(memory=True, operators=[repeat]) as symphony:
            handle = await symphony.start(loads(json.dumps(document), "json"))
            out = (await handle.result()).outputs["out"]
            assert isinstance(out, ArtifactRef)
            assert out.size == 100_000
            made = [one for one in symphony.artifacts.find(out.digest).provenance if one.node == "a"]
            assert [set(one.inputs) for one in made] == [{"text", "times"}]

    asyncio.run(run())


def test_a_node_reads_null_of_one_that_was_skipped() -> None:
    nodes = {
        "a": {**node("debug.value", value=1), "when": "false"},
        "b": {**node("debug.value", value="${{ a.result }}"), "join": "any", "after": ["c"]},
        "c": node("debug.value", value=2),
    }
    result = asyncio.run(ran(nodes))
    assert result.status == "succeeded"
    assert result.nodes["b"].status == "succeeded"


def test_those_who_wait_for_the_disk_together_share_a_commit() -> None:
    async def run() -> int:
        plan, store = make_plan([PlanNode("a")], [()]), MemoryStore()
        replay = RunReplay(plan, limit=1)
        recorder = Recorder(store, replay, Feed(replay, store.records), lambda error: None, lambda: None)
        recorder.record(BegunRecord(0, 1.0, 1))
        await asyncio.gather(*(recorder.durable() for _ in range(10)))
        committed = len(store.batches)
        await recorder.close()
        return committed

    assert asyncio.run(run()) == 1


def test_nodes_that_are_made_late_are_those_made_at_once() -> None:
    replay = RunReplay(make_plan([PlanNode("a"), PlanNode("b")], [(), ()]), limit=2)
    replay.apply(BegunRecord(0, 1.0, 1))
    replay.apply(FinishedRecord(0, 3.0, 2.0, b"\x80", None, None))
    late = LazyNodes(lambda: replay)
    assert (list(late), len(late), dict(late)) == (["a", "b"], 2, replay.nodes())
    assert late["a"].duration_ms == 1000.0


@operator("test.thresholds", version="1.0.0", pure=True)
async def thresholds() -> list[int]:
    """How often Python looks for cycles now."""
    return [*gc.get_threshold()]


def test_cycles_are_looked_for_seldom_while_a_run_goes_on() -> None:
    before = gc.get_threshold()
    document = {"symphony": 1, "name": "t", "nodes": {"a": node("test.thresholds")},
                "outputs": {"now": "${{ a.result }}"}}  # fmt: skip

    async def run() -> RunResult:
        async with Symphony.open(memory=True, operators=[thresholds]) as symphony:
            return await (await symphony.start(loads(json.dumps(document), "json"))).result()

    found = asyncio.run(run()).outputs["now"]
    assert found == [*SELDOM]
    assert gc.get_threshold() == before


def test_references_in_a_list_are_not_looked_up_by_name_while_the_run_goes_on() -> None:
    """The same count of look-ups, and of texts that are split, for few and for many nodes."""

    def counted(count: int) -> int:
        nodes = {f"a{i}": node("debug.value", value=i) for i in range(3)}
        listed = ["${{ a0.result }}", "${{ a1.result }}", "${{ a2.result }}", 4]
        nodes |= {f"b{i}": node("debug.value", value={"all": listed}) for i in range(count)}
        calls = 0

        def trace(frame: FrameType, event: str, _: object) -> None:
            nonlocal calls
            calls += event == "call" and frame.f_code.co_filename.endswith(("/scope.py", "/splitting.py"))

        async def run() -> None:
            nonlocal calls
            async with Symphony.open(memory=True) as symphony:
                document = json.dumps({"symphony": 1, "name": "t", "nodes": nodes})
                handle = await symphony.start(loads(document, "json"))
                calls = 0
                sys.setprofile(trace)
                try:
                    result = await handle.result()
                finally:
                    sys.setprofile(None)
                assert result.status == "succeeded"

        asyncio.run(run())
        return calls

    assert counted(40) == counted(5)


def test_an_element_that_picks_its_own_from_a_list_costs_the_same_however_long_the_list_is() -> None:
    """The evaluator, which copies what it reads, is not asked; nor is the list looked through again."""

    def counted(count: int) -> int:
        nodes = {
            "r": node("debug.value", value=list(range(count))),
            "each": {"for_each": "r.result", **node("debug.value", value="${{ r.result[index] }}")},
        }
        read = 0

        def trace(frame: FrameType, event: str, _: object) -> None:
            nonlocal read
            read += event == "call" and frame.f_code.co_filename.endswith(("/celtypes.py", "/evaluation.py"))

        async def run() -> RunResult:
            async with Symphony.open(memory=True) as symphony:
                document = {
                    "symphony": 1,
                    "name": "t",
                    "nodes": nodes,
                    "outputs": {"out": "${{ each.result }}"},
                }
                handle = await symphony.start(loads(json.dumps(document), "json"))
                sys.setprofile(trace)
                try:
                    return await handle.result()
                finally:
                    sys.setprofile(None)

        assert asyncio.run(run()).outputs["out"] == list(range(count))
        return read

    counted(1)  # what is remembered of the text
    assert counted(400) == counted(100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${{ r.result[index] + 1 }}", [*range(1, 101)]),
        ("${{ r.result[0] + r.result[index] * 2 }}", [*range(0, 200, 2)]),
        ("no ${{ r.result[index] }}", [f"no {number}" for number in range(100)]),
    ],
)
def test_an_element_that_computes_with_its_own_of_a_list_has_the_evaluator_copy_no_list(
    text: str, expected: list[object]
) -> None:
    nodes = {
        "r": node("debug.value", value=list(range(100))),
        "each": {"for_each": "r.result", **node("debug.value", value=text)},
    }
    given: list[int] = []

    def trace(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "given" and "celtypes" in frame.f_code.co_filename:
            value = frame.f_locals["value"]
            given.append(len(value) if isinstance(value, list) else 0)

    async def run() -> RunResult:
        async with Symphony.open(memory=True) as symphony:
            document = {"symphony": 1, "name": "t", "nodes": nodes, "outputs": {"out": "${{ each.result }}"}}
            handle = await symphony.start(loads(json.dumps(document), "json"))
            sys.setprofile(trace)
            try:
                return await handle.result()
            finally:
                sys.setprofile(None)

    assert asyncio.run(run()).outputs["out"] == expected
    assert sum(given) == 0
