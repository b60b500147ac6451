"""Running again what had failed and was handled, single elements, and what the cache has."""

import asyncio
from pathlib import Path

import pytest
from tests.unit.tracker.test_reuse import BROKEN, OPERATORS, RAN, ROUNDS, fresh, twice

from symphony import operator
from symphony.app import Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.forecast import Forecast
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import Value
from symphony.workflow import loads

__all__ = ["fresh"]  # before each test

HANDLED = """
name: handled
nodes:
  before: {operator: test.step, inputs: {name: before, value: 1}}
  each:
    operator: test.step
    for_each: [0, 1, 2, 3]
    concurrency: 1
    inputs: {name: "e${{ item }}", value: "${{ item + before.result }}"}
    on_error: HANDLING
  beside: {operator: test.step, inputs: {name: beside, value: "${{ before.result }}"}}
  after: {operator: test.step, inputs: {name: after, value: "${{ each.result }}"}}
outputs: {all: "${{ after.result }}"}
"""


@pytest.mark.parametrize(
    ("handling", "gave"),
    [("skip", None), ("{value: {result: 7}}", 7), ("{value: {result: '${{ item }}'}}", 3)],
)
def test_elements_whose_failure_was_handled_are_tried_again_alone(
    tmp_path: Path, handling: str, gave: Value
) -> None:
    BROKEN.add("e3")
    old, new, ran = twice(tmp_path, HANDLED.replace("HANDLING", handling))
    assert old.outputs == {"all": [1, 2, 3, gave]}
    assert ran == ["e3", "after"]
    assert new.outputs == {"all": [1, 2, 3, 4]}
    assert new.nodes["each[0]"].cached_from == old.run_id


def test_from_an_element_takes_the_other_elements_of_a_node_that_succeeded(tmp_path: Path) -> None:
    _, _, ran = twice(tmp_path, HANDLED.replace("HANDLING", "skip"), first="each[2]")
    assert ran == ["e2", "after"]


KIDS = """
name: nested
nodes:
  kids:
    control: loop
    for_each: [a, b]
    concurrency: 1
    state: {x: 0}
    body:
      one: {operator: test.step, inputs: {name: "${{ item }}one", value: "${{ state.x }}"}}
      each:
        operator: test.step
        for_each: [1, 2]
        concurrency: 1
        inputs: {name: "e${{ item }}", value: "${{ one.result }}"}
      two: {operator: test.step, inputs: {name: "${{ item }}two", value: "${{ each.result }}"}}
    next: {x: state.x + 1}
    until: iteration >= 1
  after: {operator: test.step, inputs: {name: after}, after: [kids]}
"""


@pytest.mark.parametrize("reused", ["", "all", "kids[0]", "kids[1]", "kids[1]#1.each[1]"])
@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ("kids.two", "atwo aone e1 e2 atwo btwo bone e1 e2 btwo after"),
        ("kids#1.two", "atwo btwo after"),
        ("kids[1].two", "btwo bone e1 e2 btwo after"),
        ("kids[0]#1.two", "atwo after"),
        ("kids[0]#1.each[1]", "e2 atwo after"),
        ("kids#1.each[0]", "e1 atwo e1 btwo after"),
        ("kids[1]#1", "bone e1 e2 btwo after"),
    ],
)
def test_from_takes_any_path_with_numbers_or_without(
    tmp_path: Path, first: str, expected: str, reused: str
) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            old = await (await symphony.start(loads(KIDS, "yaml"))).result()
            assert old.error is None
            if reused:
                part = None if reused == "all" else reused
                old = await (await symphony.rerun(old.run_id, first=part)).result()
            RAN.clear()
            new = await (await symphony.rerun(old.run_id, first=first)).result()
            assert new.status is RunStatus.SUCCEEDED

    asyncio.run(whole())
    assert expected.split() == RAN


@pytest.mark.parametrize("first", ["kids[7].two", "kids[0].three", "kids.three", "kids.two[0]", "kids#7.two"])
def test_from_an_unknown_path_is_refused_and_the_journal_is_not_blamed(tmp_path: Path, first: str) -> None:
    with pytest.raises(SymphonyError) as refused:
        twice(tmp_path, KIDS, first=first)
    assert refused.value.code == "unknown-node"


def test_several_elements_may_be_named_at_once(tmp_path: Path) -> None:
    _, _, ran = twice(tmp_path, HANDLED.replace("HANDLING", "skip"), first=["each[2]", "each[0]", "beside"])
    assert sorted(ran) == ["after", "beside", "e0", "e2"]


def test_a_fallback_whose_node_fails_again_is_not_repeated(tmp_path: Path) -> None:
    text = """
name: spared
nodes:
  first: {operator: test.step, inputs: {name: first}, on_error: {fallback: spare}}
  spare: {operator: test.step, inputs: {name: spare, value: 5}}
  after: {operator: test.step, inputs: {name: after, value: "${{ first.result }}"}}
outputs: {x: "${{ after.result }}"}
"""

    async def whole() -> tuple[list[str], RunResult]:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            BROKEN.add("first")
            old = await (await symphony.start(loads(text, "yaml"))).result()
            RAN.clear()
            return list(RAN), await (await symphony.rerun(old.run_id)).result()

    _, new = asyncio.run(whole())
    assert RAN == ["first", "after"]
    assert new.outputs == {"x": 5}
    assert new.nodes["spare"].cached_from is not None
    BROKEN.clear()
    RAN.clear()


NESTED = """
name: nested
nodes:
  grow:
    control: loop
    state: {x: 0}
    until: iteration >= 2
    body:
      one: {operator: test.step, inputs: {name: "one${{ iteration }}", value: "${{ state.x + 1 }}"}}
      two:
        operator: test.step
        for_each: "[0, 1]"
        concurrency: 1
        inputs: {name: "two${{ iteration }}${{ item }}", value: "${{ one.result }}"}
        on_error: {value: {result: 0}}
    next: {x: "two.result[0] + two.result[1]"}
outputs: {x: "${{ grow.x }}"}
"""


def test_a_failure_that_was_handled_in_a_loop_is_tried_again_with_the_rounds_after_it(tmp_path: Path) -> None:
    BROKEN.add("two11")
    old, new, ran = twice(tmp_path, NESTED)
    assert old.outputs == {"x": 8}
    assert ran == ["two11", "one2", "two20", "two21"]
    assert new.outputs == {"x": 14}
    assert {name for name, node in new.nodes.items() if node.cached_from} == {
        "grow#0.one", "grow#0.two", "grow#1.one", "grow#1.two[0]"
    }  # fmt: skip


POLL = """
name: polling
nodes:
  poll:
    control: loop
    state: {status: waiting, tries: 0}
    until: state.status == "done"
    max_iterations: 9
    body:
      ask: {operator: test.poll, inputs: {INPUTS}, on_error: HANDLED}
      beside: {operator: test.step, inputs: {name: beside, value: "${{ ask.result }}"}}
    next: {status: ask.result, tries: state.tries + 1}
  after: {operator: test.step, inputs: {name: after, value: "${{ poll.status }}"}}
outputs: {status: "${{ after.result }}"}
"""


def polled(home: Path, text: str, answers: list[str]) -> tuple[RunResult, list[str], RunResult]:
    """Run a loop whose questions get these answers, empty ones failures, and again with good ones."""

    @operator("test.poll", version="1.0.0", pure=False)
    async def poll(name: str) -> str:
        RAN.append(name)
        answer = answers.pop(0) if answers else "done"
        if not answer:
            raise RuntimeError("it does not answer")
        return answer

    async def whole() -> tuple[RunResult, list[str], RunResult]:
        async with Symphony.open(home, operators=[*OPERATORS, poll]) as symphony:
            old = await (await symphony.start(loads(text, "yaml"))).result()
            RAN.clear()
            new = await (await symphony.rerun(old.run_id)).result()
            return old, list(RAN), new

    return asyncio.run(whole())


@pytest.mark.parametrize("handled", ["skip", "{value: {result: unknown}}"])
@pytest.mark.parametrize("answers", [["", "done"], ["", "waiting", "", "", "done"]])
def test_a_poll_that_failed_and_then_did_not_is_not_repeated(
    tmp_path: Path, handled: str, answers: list[str]
) -> None:
    text = POLL.replace("INPUTS", "name: ask").replace("HANDLED", handled)
    old, ran, new = polled(tmp_path, text, [*answers])
    assert old.handled_failures >= 1
    assert ran == []
    assert new.outputs == old.outputs == {"status": "done"}
    assert new.handled_failures == 0


def test_a_failure_of_other_work_in_a_round_is_tried_again(tmp_path: Path) -> None:
    text = POLL.replace("INPUTS", "name: 'page${{ state.tries }}'").replace("HANDLED", "skip")
    _, ran, _ = polled(tmp_path, text, ["", "waiting", "done"])
    assert ran[0] == "page0"


def test_a_failure_that_the_final_state_was_made_from_is_tried_again(tmp_path: Path) -> None:
    text = POLL.replace("INPUTS", "name: ask").replace("HANDLED", "{value: {result: unknown}}")
    text = text.replace("tries: 0}", "tries: 0, log: ''}").replace(
        "tries: state.tries + 1}", "tries: state.tries + 1, log: 'state.log + ask.result'}"
    )
    _, ran, _ = polled(tmp_path, text, ["", "done"])
    assert ran[0] == "ask"


def test_a_poll_that_failed_in_the_last_round_is_tried_again(tmp_path: Path) -> None:
    text = POLL.replace("INPUTS", "name: ask").replace("HANDLED", "{value: {result: done}}")
    _, ran, _ = polled(tmp_path, text, ["waiting", ""])
    assert ran[0] == "ask"


def test_of_a_loop_that_was_tried_again_the_failures_of_the_last_attempt_count(tmp_path: Path) -> None:
    text = """
name: retried
nodes:
  grow:
    control: loop
    state: {x: 0}
    until: "true"
    retry: {attempts: 2, initial: 1ms}
    body:
      soft: {operator: test.once, inputs: {name: soft}, on_error: skip}
      free: {operator: debug.value, inputs: {value: 1}}
      hard: {operator: test.once, inputs: {name: hard}, after: [soft, free], join: any}
    next: {x: "1"}
outputs: {x: "${{ grow.x }}"}
"""
    seen: set[str] = set()

    @operator("test.once", version="1.0.0", pure=False)
    async def once(name: str) -> Value:
        RAN.append(name)
        if name not in seen:
            seen.add(name)
            raise RuntimeError("the first time")
        return 1

    async def whole() -> RunResult:
        async with Symphony.open(tmp_path, operators=[once]) as symphony:
            old = await (await symphony.start(loads(text, "yaml"))).result()
            assert old.status is RunStatus.SUCCEEDED
            RAN.clear()
            return await (await symphony.rerun(old.run_id)).result()

    new = asyncio.run(whole())
    assert RAN == []
    assert new.nodes["grow"].cached_from is not None


CHILD = """
name: child
inputs: {n: {type: integer}}
nodes:
  soft: {operator: test.step, inputs: {name: "soft${{ inputs.n }}", value: 1}, on_error: skip}
  hard: {operator: test.step, inputs: {name: "hard${{ inputs.n }}", value: 2}}
outputs: {soft: "${{ soft.result }}", hard: "${{ hard.result }}"}
"""
PARENT = """
name: parent
nodes:
  a: {workflow: child, for_each: "[0, 1, 2]", concurrency: 1, inputs: {n: "${{ item }}"}}
  after: {operator: test.step, inputs: {name: after, value: "${{ a.soft }}"}}
outputs: {soft: "${{ after.result }}"}
"""


def nested(folder: Path) -> Path:
    (folder / "child.yaml").write_text(CHILD, encoding="utf-8")
    (folder / "parent.yaml").write_text(PARENT, encoding="utf-8")
    return folder / "parent.yaml"


def test_in_the_elements_of_a_sub_workflow_only_what_was_handled_is_tried_again(tmp_path: Path) -> None:
    async def whole() -> RunResult:
        async with Symphony.open(tmp_path / "home", operators=OPERATORS) as symphony:
            BROKEN.add("soft1")
            old = await (await symphony.start(nested(tmp_path))).result()
            assert old.outputs == {"soft": [1, None, 1]}
            RAN.clear()
            BROKEN.clear()
            handle = await symphony.rerun(old.run_id)
            assert handle.reused == ReuseSummary(
                run_id=old.run_id, nodes=2, reused=0, elements={"a": (2, 3)},
                again={"a": "failures inside of it were handled", "after": "it depends on what runs again"},
            )  # fmt: skip
            return await handle.result()

    new = asyncio.run(whole())
    assert RAN == ["soft1", "after"]
    assert new.outputs == {"soft": [1, 1, 1]}


def test_a_rerun_of_a_rerun_knows_what_was_handled_and_what_was_taken_over(tmp_path: Path) -> None:
    async def whole() -> list[str]:
        text = loads(HANDLED.replace("HANDLING", "skip"), "yaml")
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            BROKEN.update(["e1", "e3"])
            one = await (await symphony.start(text)).result()
            BROKEN.discard("e1")
            two = await (await symphony.rerun(one.run_id)).result()
            assert two.outputs == {"all": [1, 2, 3, None]}
            BROKEN.clear()
            three = await (await symphony.rerun(two.run_id)).result()
            assert three.outputs == {"all": [1, 2, 3, 4]}
            four = await (await symphony.rerun(three.run_id)).result()
            assert four.nodes["each"].cached_from == three.run_id
            RAN.clear()
            five = await (await symphony.rerun(four.run_id, first="each[2]")).result()
            assert five.outputs == {"all": [1, 2, 3, 4]}
            assert five.nodes["each[3]"].cached_from == three.run_id
            with pytest.raises(SymphonyError, match=r"each has 4 elements, each\[0\] to each\[3\]"):
                await symphony.rerun(four.run_id, first="each[4]")
            return list(RAN)

    assert asyncio.run(whole()) == ["e2", "after"]


def test_a_step_inside_of_what_was_taken_over_as_a_whole_is_found_in_the_run_that_it_ran_in(
    tmp_path: Path,
) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            one = await (await symphony.start(loads(NESTED, "yaml"))).result()
            two = await (await symphony.rerun(one.run_id)).result()
            three = await (await symphony.rerun(two.run_id)).result()
            RAN.clear()
            four = await (await symphony.rerun(three.run_id, first=["grow#1.two[1]", "grow#2"])).result()
            assert RAN == ["two11", "one2", "two20", "two21"]
            assert four.outputs == one.outputs
            assert four.nodes["grow#1.two[0]"].cached_from == one.run_id
            with pytest.raises(SymphonyError, match="grow has 3 rounds"):
                await symphony.rerun(three.run_id, first="grow#3")
            symphony.runs.delete(one.run_id)
            with pytest.raises(SymphonyError, match="took over grow as a whole from a run that is gone"):
                await symphony.rerun(three.run_id, first="grow#1.one")
            RAN.clear()
            five = await (await symphony.rerun(three.run_id, first="grow")).result()
            assert five.outputs == one.outputs
            assert len(RAN) == 9

    asyncio.run(whole())


def test_elements_of_what_was_taken_over_as_a_whole_run_again_though_that_run_is_gone(tmp_path: Path) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path / "home", operators=OPERATORS) as symphony:
            one = await (await symphony.start(nested(tmp_path))).result()
            two = await (await symphony.rerun(one.run_id)).result()
            RAN.clear()
            handle = await symphony.rerun(two.run_id, first=["a[2].hard", "a[0]"])
            assert handle.reused is not None
            assert handle.reused.elements == {"a": (1, 3)}
            three = await handle.result()
            assert sorted(RAN) == ["after", "hard0", "hard2", "soft0"]
            assert three.nodes["a[2].soft"].cached_from == one.run_id
            symphony.runs.delete(one.run_id)
            RAN.clear()
            four = await (await symphony.rerun(two.run_id, first="a[1]")).result()
            assert RAN == ["soft1", "hard1", "after"]
            assert four.outputs == one.outputs

    asyncio.run(whole())


CACHED = """
name: cached
nodes:
  a: {operator: test.pure, cache: "on", inputs: {name: a, value: 1}}
  each:
    operator: test.pure
    cache: "on"
    for_each: [0, 1, 2]
    inputs: {name: "e${{ item }}", value: "${{ a.result }}"}
  b: {operator: test.pure, cache: "on", inputs: {name: b, value: "${{ each.result }}"}}
outputs: {b: "${{ b.result }}"}
"""


@pytest.mark.parametrize(
    ("first", "expected"),
    [("a", ["a", "b", "e0", "e1", "e2"]), ("each", ["b", "e0", "e1", "e2"]), ("each[1]", ["b", "e1"])],
)
def test_what_is_run_on_purpose_takes_no_result_of_the_cache(
    tmp_path: Path, first: str, expected: list[str]
) -> None:
    assert sorted(twice(tmp_path, CACHED, first=first)[2]) == expected


def test_what_failed_may_take_a_result_of_the_cache(tmp_path: Path) -> None:
    async def whole() -> None:
        text = loads(CACHED, "yaml")
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            BROKEN.add("b")
            old = await (await symphony.start(text)).result()
            BROKEN.clear()
            good = await (await symphony.start(text)).result()
            RAN.clear()
            new = await (await symphony.rerun(old.run_id)).result()
            assert new.nodes["b"].cached_from == good.run_id
            assert RAN == []

    asyncio.run(whole())


def test_a_round_may_be_named(tmp_path: Path) -> None:
    _, _, ran = twice(tmp_path, ROUNDS, first="grow#1")
    assert ran == ["one1", "two1", "one2", "two2", "e0", "e1", "e2"]


@pytest.mark.parametrize(
    ("first", "told"),
    [
        ("each[3]", r"each has 3 elements, each\[0\] to each\[2\]"),
        ("each[x]", "no node"),
        ("grow#3", "grow has 3 rounds, grow#0 to grow#2"),
        ("grow#9.one", "grow has 3 rounds, grow#0 to grow#2"),
        ("grow#1.nope", "no node"),
        ("each[7].x", r"each has 3 elements, each\[0\] to each\[2\]"),
        ("grow[0]", "grow has no elements"),
        ("each#0", "each has no rounds"),
        ("", "no node ''"),
        ("grow#1.", "no node"),
        ("ea", "no node"),
        ("x" * 10_000, "no node"),
    ],
)
def test_steps_that_are_not_there_are_told_with_those_that_are(tmp_path: Path, first: str, told: str) -> None:
    with pytest.raises(SymphonyError, match=told) as caught:
        twice(tmp_path, ROUNDS, first=first)
    assert caught.value.code == "unknown-node"
    assert len(caught.value.message) < 400


def files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def planned(plan: Forecast) -> dict[str, tuple[str, str]]:
    return {name: (node.reuse, node.why) for name, node in plan.nodes.items()}


def test_a_plan_of_a_rerun_tells_what_runs_and_why_and_changes_nothing(tmp_path: Path) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            BROKEN.add("e3")
            old = await (await symphony.start(loads(HANDLED.replace("HANDLING", "skip"), "yaml"))).result()
            RAN.clear()
            before = files_in(tmp_path)
            plan = symphony.plan_rerun(old.run_id, first="beside")
            assert plan.rerun_of == old.run_id
            assert planned(plan) == {
                "before": ("reused", f"run {old.name}"),
                "each": ("partly", "3 of 4 elements, 1 again: failures inside of it were handled"),
                "beside": ("runs", "it was asked for"),
                "after": ("runs", "it depends on what runs again"),
            }
            assert files_in(tmp_path) == before
            assert symphony.runs.ids() == [old.run_id]
            assert RAN == []

    asyncio.run(whole())


def test_the_journal_keeps_what_takes_no_result_of_the_cache(tmp_path: Path) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=OPERATORS) as symphony:
            old = await (await symphony.start(loads(CACHED, "yaml"))).result()
            BROKEN.add("b")
            new = await symphony.rerun(old.run_id, first="each")
            assert (await new.result()).status is RunStatus.FAILED
            meta = symphony.runs.meta(new.run_id)
            assert (meta.rerun_of, meta.afresh) == (old.run_id, ("each",))
            BROKEN.clear()
            again = await (await symphony.rerun(new.run_id)).result()
            assert symphony.runs.meta(again.run_id).afresh == ()

    asyncio.run(whole())
