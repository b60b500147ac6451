"""Labels: what people tell the elements of a fan-out by, beside their numbers."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from symphony import Symphony, operator
from symphony import run as run_kept
from symphony.pit.tracker.core.labels import LABELLED_MAX, own_labels, shown_label
from symphony.pit.tracker.core.names import elements_of
from symphony.pit.tracker.core.records import ExpandedRecord, FailedRecord, decode_batch, encode_batch
from symphony.ports.runs import RunResult
from symphony.ports.values import Value
from symphony.testing import workflow
from symphony.workflow import loads, validate


@operator("own.fail_at", version="1.0.0", pure=True)
async def fail_at(item: object, bad: object) -> object:
    """Fail at one element."""
    print("at", item)
    if item == bad:
        raise ValueError("cannot take it")
    return item


def kept(text: str, home: Path, environment: dict[str, str] | None = None) -> tuple[RunResult, RunResult]:
    """A run as its process gives it, and as it is read afterwards."""

    async def whole() -> tuple[RunResult, RunResult]:
        async with Symphony.open(home, operators=[fail_at]) as symphony:
            handle = await symphony.start(workflow(text), environment=environment)
            result = await handle.result()
            return result, symphony.runs.result(result.run_id)

    return asyncio.run(whole())


def labels(result: RunResult) -> dict[str, str | None]:
    return {name: node.label for name, node in result.nodes.items() if "[" in name}


EACH = """
name: T
nodes:
  a: {{operator: own.fail_at, for_each: {items}, inputs: {{item: "${{{{ item }}}}", bad: {bad}}}}}
"""


def test_an_element_is_its_own_label_if_it_is_a_short_text_or_a_number(tmp_path: Path) -> None:
    items = '[pkgs/p07/, 7, -1.5, true, null, {"x": 1}, [1], "", "' + "x" * 60 + '", "' + "x" * 61 + '"]'
    result, read = kept(EACH.format(items=items, bad="none"), tmp_path)
    assert [*labels(result).values()] == [
        "pkgs/p07/", "7", "-1.5", None, None, None, None, None, "x" * 60, None,
    ]  # fmt: skip
    assert labels(read) == labels(result)


def test_the_error_names_the_element_that_failed_with_its_label(tmp_path: Path) -> None:
    result, read = kept(EACH.format(items="[apple, pear]", bad="pear"), tmp_path)
    assert result.error is not None
    assert result.error.node == "a"
    assert result.error.message.startswith("a[1] pear: ")
    assert result.error.message.endswith("ValueError: cannot take it")
    assert result.nodes["a"].error == result.error == read.error
    assert result.nodes["a[1]"].error is not None
    assert not result.nodes["a[1]"].error.message.startswith("a[1]")


def test_what_runs_inside_elements_has_the_labels_of_all_around_it(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text("""
name: below
inputs: {word: {type: string}}
nodes:
  rounds:
    control: loop
    state: {n: 0}
    until: iteration == 1
    body:
      each:
        operator: own.fail_at
        for_each: '[inputs.word + "1", inputs.word + "2"]'
        inputs: {item: "${{ item }}", bad: pear2}
    next: {n: state.n + 1}
outputs: {n: "${{ rounds.n }}"}
""")
    (tmp_path / "above.yaml").write_text("""
name: above
nodes:
  w: {workflow: below.yaml, for_each: [apple, pear], concurrency: 1, inputs: {word: "${{ item }}"}}
""")
    result = run_kept(tmp_path / "above.yaml", home=tmp_path / "home", operators=[fail_at])
    assert result.error is not None
    assert result.error.message.startswith("w[1].rounds#0.each[1] pear > pear2: ")
    assert result.nodes["w[0].rounds#1.each[0]"].label == "apple > apple1"
    assert result.nodes["w[0].rounds"].label == "apple"
    symphony = Symphony.open(tmp_path / "home")
    assert dict(symphony.runs.result(result.run_id).nodes) == dict(result.nodes)
    lines = {line.node: line.label for line in symphony.runs.logs(result.run_id)}
    assert lines["w[0].rounds#0.each[1]"] == "apple > apple2"
    events = [event for event in symphony.runs.events(result.run_id) if event.type == "node.failed"]
    assert events[0].data["label"] == "pear > pear2"


def test_a_secret_is_not_in_a_label(tmp_path: Path) -> None:
    text = EACH.format(items="'[\"Bearer \" + env.TOKEN]'", bad="none").replace(
        "name: T", "name: T\nenv: [TOKEN]"
    )
    result, read = kept(text, tmp_path, {"TOKEN": "hunter2hunter2"})
    assert labels(result) == labels(read) == {"a[0]": "Bearer ***"}


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("a\nb\tc", "a\\nb\\tc"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("\u202eevil\u2066\u061c", "\\u202eevil\\u2066\\u061c"),
        ("lone \ud800", "lone \\ud800"),
        (" \n", " \\n"),
        ("   ", None),
        ("x" * 1_000_000, "x" * 100 + "…"),
        ("\x1b" * 1_000_000, "\\x1b" * 25 + "…"),
    ],
)
def test_a_label_is_one_bounded_line_that_moves_no_cursor(text: str, label: str | None) -> None:
    assert shown_label(text, lambda shown: shown) == label


@pytest.mark.parametrize(
    "items",
    [
        ["a", "b/c.py"], ["a", "b\n"], ["a", "x" * 61], ["a", ""], ["a", " "], ["é", "日本"], ["\u202e"],
        [1, 2], [1, True], [1, "a", None], [float("nan")], [],
    ],
)  # fmt: skip
def test_the_short_way_gives_the_labels_that_the_general_one_does(items: list[Value]) -> None:
    assert own_labels(items, None) == own_labels(items, lambda text: text)


WRITTEN = """
name: T
inputs: {{items: {{}}}}
env: [TOKEN]
nodes:
  a:
    operator: own.fail_at
    for_each: inputs.items
    label: '{label}'
    inputs: {{item: "${{{{ item }}}}", bad: 1}}
"""


def written(label: str, items: list[Value], home: Path, **environment: str) -> RunResult:
    """A run whose node says what its elements are told by."""

    async def whole() -> RunResult:
        async with Symphony.open(home, operators=[fail_at]) as symphony:
            text = WRITTEN.format(label=label)
            handle = await symphony.start(workflow(text), {"items": items}, environment=environment)
            result = await handle.result()
            assert dict(symphony.runs.result(result.run_id).nodes) == dict(result.nodes)
            return result

    return asyncio.run(whole())


def test_a_written_label_sees_item_and_index(tmp_path: Path) -> None:
    result = written('item.name + "-" + string(index)', [{"name": "apple"}, {"name": "pear"}], tmp_path)
    assert labels(result) == {"a[0]": "apple-0", "a[1]": "pear-1"}


def test_a_label_that_cannot_be_made_is_left_out_with_one_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    items: list[Value] = [{"name": "x"}, {"name": None}, {}, None, "secret of \x1b[31m", {"name": 3}]
    result = written("item.name", items, tmp_path, TOKEN="secret of ")
    assert result.status == "succeeded"
    assert [*labels(result).values()] == ["x", None, None, None, None, None]
    assert [record.getMessage() for record in caplog.records] == [
        "the label of a[1] is left out: it gave null, not a string"
    ]


def test_a_label_that_would_hold_the_loop_is_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ten = "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]"
    label = f"string(size({ten}.map(x, {ten}.map(y, {ten}.map(z, x * y * z * item)))))"
    assert set(labels(written(label, [2, 3], tmp_path)).values()) == {None}
    assert "takes too long" in caplog.records[0].getMessage()


def test_written_labels_hide_secrets_and_are_bounded(tmp_path: Path) -> None:
    items: list[Value] = ["to hunter2hunter2", "\x1b" * 1_000_000, "x" * 395 + "hunter2hunter2"]
    result = written("item", items, tmp_path, TOKEN="hunter2hunter2")
    assert labels(result)["a[0]"] == "to ***"
    assert labels(result)["a[1]"] == "\\x1b" * 25 + "…"
    shown = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(b"hunte" in body for body in shown)


def test_labels_of_many_elements_take_several_turns_and_are_all_there(tmp_path: Path) -> None:
    count = 1234
    result = written('"n" + string(item)', [n + 2 for n in range(count)], tmp_path)
    assert labels(result) == {f"a[{n}]": f"n{n + 2}" for n in range(count)}


def test_a_written_label_of_very_many_elements_is_evaluated_for_those_that_fail(tmp_path: Path) -> None:
    result = written('"n" + string(item)', [*range(LABELLED_MAX + 1)], tmp_path)
    assert {name: label for name, label in labels(result).items() if label} == {"a[1]": "n1"}
    assert result.error is not None
    assert result.error.message.startswith("a[1] n1: ")


def test_a_resumed_run_has_the_labels_that_were_recorded(tmp_path: Path) -> None:
    text = """
name: T
nodes:
  ask: {control: approval, for_each: [apple, pear], label: '"the " + item', message: "${{ item }}?"}
"""

    async def whole() -> tuple[RunResult, RunResult]:
        async with Symphony.open(tmp_path) as symphony:
            waiting = await (await symphony.start(workflow(text))).result()
            for node in ("ask[0]", "ask[1]"):
                symphony.runs.answer(waiting.run_id, node, approved=True)
            return waiting, await (await symphony.resume(waiting.run_id)).result()

    waiting, ended = asyncio.run(whole())
    assert labels(waiting) == labels(ended) == {"ask[0]": "the apple", "ask[1]": "the pear"}


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("index", "type-mismatch"), ("[item]", "type-mismatch"), ("item +", "bad-expression"),
        ("inputs.items[0]", "bad-expression"), ("env.TOKEN", "bad-expression"), ("run.id", "bad-expression"),
        ("a.result[0]", "bad-expression"), ("nonesuch.x", "unknown-node"), ("5", "type-mismatch"),
    ],
)  # fmt: skip
def test_a_label_is_a_string_of_item_and_index_alone(label: str, code: str) -> None:
    catalog = Symphony.open(memory=True, operators=[fail_at]).catalog
    report = validate(loads(WRITTEN.format(label=label), "yaml"), catalog)
    assert [(error.code, error.place) for error in report.errors] == [(code, "nodes.a.label")]


def test_in_the_body_of_a_loop_the_place_of_a_bad_label_is_told() -> None:
    text = """
name: T
nodes:
  r:
    control: loop
    until: "true"
    body: {x: {operator: debug.value, for_each: [1], label: index, inputs: {value: 1}}}
"""
    [error] = validate(loads(text, "yaml")).errors
    assert (error.code, error.place) == ("type-mismatch", "nodes.r.body.x.label")


def test_of_very_many_elements_those_that_fail_have_labels(tmp_path: Path) -> None:
    text = EACH.format(items="inputs.items", bad="7").replace("name: T", "name: T\ninputs: {items: {}}")

    async def whole() -> RunResult:
        async with Symphony.open(tmp_path, operators=[fail_at]) as symphony:
            handle = await symphony.start(workflow(text), {"items": list(range(LABELLED_MAX + 1))})
            return await handle.result()

    result = asyncio.run(whole())
    assert {name: label for name, label in labels(result).items() if label} == {"a[7]": "7"}
    assert dict(Symphony.open(tmp_path).runs.result(result.run_id).nodes) == dict(result.nodes)


def test_records_have_labels_only_where_there_are_some() -> None:
    plain = [ExpandedRecord(1, 2.0, 3), FailedRecord(1, 2.0, 2.0, ("a", "b", None), 1)]
    assert msgspec.msgpack.decode(encode_batch(plain)) == [
        [6, 1, 2.0, 3],
        [3, 1, 2.0, 2.0, ["a", "b", None], 1],
    ]
    told = [ExpandedRecord(1, 2.0, 2, ["x", None]), FailedRecord(1, 2.0, 2.0, None, 1, label="y")]
    assert list(decode_batch(encode_batch(told))) == told


def test_the_elements_around_a_step_are_named_from_the_outermost() -> None:
    assert [*elements_of("a[1].b#2.c[33].d")] == ["a[1]", "a[1].b#2.c[33]"]
    assert [*elements_of("a.b#2")] == []
