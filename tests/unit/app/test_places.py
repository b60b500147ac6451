"""The error of a run says where the node that failed stands in the file that the run was read from."""

import asyncio
from pathlib import Path

import pytest

from symphony import Symphony, run
from symphony.cli.console.blocks import BlockPage
from symphony.cli.views.ending import error_text
from symphony.ports.runs import RunError, RunResult
from symphony.workflow import check_file, dumps, loads

MAIN = """\
name: main
nodes:
  fine: {operator: debug.value, inputs: {value: 1}}
  sub:
    workflow: below
    for_each: [apple, pear]
    inputs: {word: "${{ item }}"}
"""
BELOW = """\
name: below
inputs: {word: {type: string}}
nodes:
  rounds:
    control: loop
    until: iteration == 1
    body:
      boom:
        operator: debug.fail
        when: inputs.word == "pear"
        inputs: {message: no}
"""


def failing(folder: Path) -> RunResult:
    (folder / "main.yaml").write_text(MAIN)
    (folder / "below.yaml").write_text(BELOW)
    return run(folder / "main.yaml", home=folder / "home")


def place(error: RunError | None) -> tuple[str | None, ...]:
    assert error is not None
    name = None if error.file is None else Path(error.file).name
    return name, error.place, f"{error.line}:{error.column}"


def test_the_innermost_node_that_failed_is_told_with_its_own_file(tmp_path: Path) -> None:
    result = failing(tmp_path)
    assert place(result.error) == ("below.yaml", "nodes.rounds.body.boom", "8:7")
    assert result.error is not None
    assert result.error.node == "sub"
    assert Symphony.open(tmp_path / "home").runs.result(result.run_id).error == result.error


def test_each_cause_of_a_fan_out_that_runs_to_its_end_has_its_own_place(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text(
        "name: main\n"
        "nodes:\n"
        "  groups:\n"
        "    workflow: group\n"
        "    for_each: [[one, two], [three, one, two, two]]\n"
        "    fail_fast: false\n"
        "    inputs: {words: '${{ item }}'}\n"
    )
    (tmp_path / "group.yaml").write_text(
        "name: group\n"
        "inputs: {words: {type: 'list[string]'}}\n"
        "nodes:\n"
        "  each: {workflow: word, for_each: inputs.words, fail_fast: false, inputs: {word: '${{ item }}'}}\n"
    )
    (tmp_path / "word.yaml").write_text(
        "name: word\n"
        "inputs: {word: {type: string}}\n"
        "nodes:\n"
        "  two: {operator: debug.fail, when: inputs.word == 'two', inputs: {message: it is two}}\n"
        "  three: {operator: debug.fail, when: inputs.word == 'three', inputs: {message: it is three}}\n"
    )
    result = run(tmp_path / "main.yaml", home=tmp_path / "home")
    assert place(result.error) == ("word.yaml", "nodes.two", "4:3")
    assert result.error is not None
    assert (result.error.code, result.error.node) == ("elements-failed", "groups")
    told = [
        (one.node, one.label, one.message, one.count, one.place and one.place.line)
        for one in result.error.causes
    ]
    assert told == [
        ("groups[0].each[1].two", "two", "it is two", 3, 4),
        ("groups[1].each[0].three", "three", "it is three", 1, 5),
    ]
    assert Symphony.open(tmp_path / "home").runs.result(result.run_id).error == result.error
    block = error_text(result, BlockPage(width=80)).splitlines()
    assert block[1].endswith("word.yaml:4:3 (nodes.two)")
    assert block[2] == "  also groups[1].each[0].three three: it is three"
    assert block[3].endswith("word.yaml:5:3 (nodes.three)")


def test_of_many_causes_the_first_five_are_told_and_the_others_counted(tmp_path: Path) -> None:
    flow = loads(
        "name: T\n"
        "nodes:\n"
        "  a:\n"
        "    operator: debug.fail\n"
        "    for_each: [1, 2, 3, 4, 5, 6, 7, 1]\n"
        "    fail_fast: false\n"
        "    inputs: {message: 'no ${{ item }}'}\n",
        "yaml",
    )
    result = run(flow, home=tmp_path / "home")
    assert result.error is not None
    told = [(one.node, one.count, one.place) for one in result.error.causes]
    assert told == [("a[0]", 2, None), *((f"a[{number}]", 1, None) for number in range(1, 5))]
    shown = Symphony.open(tmp_path / "home").runs.result(result.run_id)
    assert error_text(shown, BlockPage(width=80)).splitlines()[-1] == (
        "  also 2 more: symphony runs show t-1 --elements"
    )


def test_what_was_told_stays_when_the_file_changes(tmp_path: Path) -> None:
    result = failing(tmp_path)
    (tmp_path / "below.yaml").write_text("# another line\n" + BELOW)
    (tmp_path / "main.yaml").unlink()
    assert Symphony.open(tmp_path / "home").runs.result(result.run_id).error == result.error


@pytest.mark.parametrize("format_", ["yaml", "toml", "json", "pretty-json", "msgpack", "bincode"])
def test_every_format_tells_the_file_and_text_the_line(format_: str, tmp_path: Path) -> None:
    flow = loads("name: T\nnodes:\n  a: {operator: debug.fail, inputs: {message: no}}\n", "yaml")
    path = tmp_path / f"flow.{format_.removeprefix('pretty-')}"
    path.write_bytes(dumps(flow, format_))
    error = run(path, memory=True).error
    assert error is not None
    assert (error.file, error.place) == (str(path), "nodes.a")
    if format_ in ("msgpack", "bincode"):
        assert error.line is None
    else:
        assert error.line is not None
        assert "a" in path.read_text().splitlines()[error.line - 1]


def test_a_step_is_found_where_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text("name: T\nsteps:\n  - {name: one, command: 'true'}\n  - {name: two, command: exit 3}\n")
    assert place(run(path, memory=True).error) == ("flow.yaml", "nodes.two", "4:5")


def test_a_workflow_made_in_code_has_no_place() -> None:
    flow = loads("name: T\nnodes:\n  a: {operator: debug.fail, inputs: {message: no}}\n", "yaml")
    assert place(run(flow, memory=True).error) == (None, None, "None:None")


@pytest.mark.parametrize(
    ("before", "told"),
    [("", ("flow.yaml", "nodes.a", "4:3")), ("#\n", ("flow.yaml", "nodes.a", "None:None"))],
)
def test_a_resumed_run_tells_the_line_if_the_file_is_as_it_was(
    before: str, told: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(
        "name: T\nnodes:\n  ask: {control: approval}\n"
        "  a: {operator: debug.fail, after: [ask], inputs: {message: no}}\n"
    )

    async def whole() -> RunResult:
        async with Symphony.open(tmp_path / "home") as symphony:
            waiting = await (await symphony.start(path)).result()
            symphony.runs.answer(waiting.run_id, "ask", approved=True)
        path.write_text(before + path.read_text())
        async with Symphony.open(tmp_path / "home") as symphony:
            return await (await symphony.resume(waiting.run_id)).result()

    assert place(asyncio.run(whole()).error) == told


def test_a_rerun_tells_the_line_too(tmp_path: Path) -> None:
    async def whole(run_id: str) -> RunResult:
        async with Symphony.open(tmp_path / "home") as symphony:
            return await (await symphony.rerun(run_id)).result()

    first = failing(tmp_path)
    assert place(asyncio.run(whole(first.run_id)).error) == place(first.error)


def test_a_rerun_of_a_mended_file_is_told_with_that_file_by_later_ones_too(tmp_path: Path) -> None:
    first, mended = tmp_path / "first.yaml", tmp_path / "mended.yaml"
    text = "name: T\nnodes:\n  a: {operator: debug.fail, inputs: {message: no}}\n"
    first.write_text(text)
    mended.write_text("# mended\n" + text)

    async def whole() -> list[RunResult]:
        async with Symphony.open(tmp_path / "home") as symphony:
            results = [await (await symphony.start(first)).result()]
            results.append(await (await symphony.rerun(results[-1].run_id, file=mended)).result())
            results.append(await (await symphony.rerun(results[-1].run_id)).result())
            return results

    assert [place(result.error) for result in asyncio.run(whole())] == [
        ("first.yaml", "nodes.a", "3:3"),
        *[("mended.yaml", "nodes.a", "4:3")] * 2,
    ]


@pytest.mark.parametrize(
    ("below", "said"),
    [
        ("name: b\nnodes:\n  x:\n    operator: nonesuch.op\n",
         "subs/below.yaml:4:5 is not valid: nodes.x.operator: "),
        ("name: b\nnodes:\n  x:\n    command: 'true'\n    retry: 3\n",
         "subs/below.yaml:5:5 is not valid: nodes.x.retry: "),
        ("name: b\nnodes:\n\tx: 1\n", "subs/below.yaml:3:1 is not valid: "),
        ("name: b\nnodes:\n  x: {workflow: deeper}\n",
         "subs/below.yaml:3:7 is not valid: nodes.x.workflow: deeper.yaml:2:1 is not valid: nodes: "),
    ],
)  # fmt: skip
def test_a_bad_sub_workflow_is_told_with_its_file_and_line(below: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "subs").mkdir()
    (tmp_path / "subs" / "below.yaml").write_text(below)
    (tmp_path / "subs" / "deeper.yaml").write_text("name: d\nnodes: {}\n")
    path = tmp_path / "main.yaml"
    path.write_text("name: main\nnodes:\n  sub: {workflow: subs/below}\n")
    _, report = check_file(path)
    [error] = report.errors
    assert (error.code, error.place, error.line) == ("unknown-workflow", "nodes.sub.workflow", 3)
    assert error.message.startswith(said)


def test_an_output_that_cannot_be_made_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "flow.yaml"
    path.write_text(
        "name: T\ninputs: {zero: {type: integer, default: 0}}\n"
        "nodes: {a: {operator: debug.value, inputs: {value: 1}}}\n"
        'outputs:\n  fine: "${{ a.result }}"\n  bad: "${{ 1 / inputs.zero }}"\n'
    )
    result = run(path, home=tmp_path / "home")
    assert place(result.error) == ("flow.yaml", "outputs.bad", "6:3")
    assert result.error is not None
    assert result.error.message.startswith("output bad: division by zero")
    assert Symphony.open(tmp_path / "home").runs.result(result.run_id).error == result.error


def test_an_output_of_a_sub_workflow_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "below.yaml").write_text(
        "name: B\ninputs: {n: {type: integer}}\nnodes: {a: {operator: debug.value, inputs: {value: 1}}}\n"
        'outputs: {bad: "${{ 1 / inputs.n }}"}\n'
    )
    path = tmp_path / "flow.yaml"
    path.write_text("name: T\nnodes:\n  sub: {workflow: below, inputs: {n: 0}}\n")
    error = run(path, memory=True).error
    assert place(error) == ("flow.yaml", "nodes.sub", "3:3")
    assert error is not None
    assert error.message.startswith("output bad: division by zero")
