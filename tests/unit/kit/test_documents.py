"""json.parse and json.query, and data that is nested too deeply, on every way in."""

from pathlib import Path
from typing import Any

import pytest

from symphony.kit.errors import InputRefused

DEEP = [200, 201, 499, 500, 501, 700, 984, 985, 986, 990, 2_000, 100_000]


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize("depth", DEEP)
def test_json_that_is_nested_too_deeply_is_a_bad_input(run: Any, tmp_path: Path, depth: int) -> None:
    file = tmp_path / "deep.json"
    file.write_text(nested(depth))
    lines = tmp_path / "deep.jsonl"
    lines.write_text("1\n" + '{"a":' * depth + "1" + "}" * depth)
    if depth == 200:
        assert run("json.parse", text=nested(depth)) == run("data.read", path=file)
        assert (
            run("files.convert", path=file, to="yaml", target=str(tmp_path / "deep.yaml"))["problem"] is None
        )
        return
    with pytest.raises(InputRefused, match="nested"):
        run("json.parse", text=nested(depth))
    with pytest.raises(InputRefused, match=r"line 2.*nested"):
        run("json.parse", text=lines.read_text(), lines=True)
    for path in (file, lines):
        with pytest.raises(InputRefused, match="nested"):
            run("data.read", path=path)
    converted = run("files.convert", path=file, to="yaml", target=str(tmp_path / "deep.yaml"))
    assert "nested" in converted["problem"]


@pytest.mark.parametrize("format", ["yaml", "toml"])
@pytest.mark.parametrize("depth", DEEP)
def test_other_documents_that_are_nested_too_deeply_are_a_bad_input(
    run: Any, tmp_path: Path, format: str, depth: int
) -> None:
    file = tmp_path / f"deep.{format}"
    file.write_text(f"{'a = ' if format == 'toml' else ''}{nested(depth)}\n")
    with pytest.raises(InputRefused, match=r"nested|deep"):
        run("data.read", path=file)


@pytest.mark.parametrize(
    "expression",
    [
        "foo[8:2:0]", "foo[::0]", "foo[?@ > `1`][::0]", "[foo[0:1:0]]", "sort([`1`, `\"a\"`])",
        "abs(`\"a\"`)", "to_number(`\"1e999\"`)", "`1e999`", "`123456789012345678901234567890`",
        "sum(`[\"a\"]`)", "max_by(foo, &nothing.length(@))",
        "foo[99999999999999999999999]", "join(`1`, foo)", "nonsense(@)", "foo[",
    ],
)  # fmt: skip
def test_an_expression_that_cannot_be_evaluated_is_a_bad_input(run: Any, expression: str) -> None:
    try:
        found = run("json.query", data={"foo": [1, 2, 3]}, expression=expression)["result"]
    except InputRefused as refused:
        assert refused.message.startswith("input expression")  # either answer is right
    else:
        assert found is None or isinstance(found, int | list)


def test_a_slice_of_step_zero_is_a_bad_input(run: Any) -> None:
    with pytest.raises(InputRefused, match="step cannot be"):
        run("json.query", data={"foo": [1, 2, 3]}, expression="foo[8:2:0]")


def test_a_query_that_wraps_its_data_too_deeply_is_a_bad_input(run: Any) -> None:
    data: Any = 1
    for _ in range(200):
        data = [data]
    assert run("json.query", data=data, expression="@")["result"] == data
    with pytest.raises(InputRefused, match="nested more than 200 deep"):
        run("json.query", data=data, expression="[@]")
