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


@pytest.mark.parametrize(
    ("expression", "data", "wanted"),
    [
        ("contains(@, `1`)", [True], False), ("contains(@, `true`)", [1], False),
        ("contains(@, `1`)", [1.0], True), ("contains(@, `[1]`)", [[True]], False),
        ("contains(@, `1`)", "x1", False), ("contains(@, '1')", "x1", True),
        ("@ == `[1, {\"a\": 0}]`", [True, {"a": False}], False), ("@ == `[1]`", [1.0], True),
        ("@ != `{\"a\": [1]}`", {"a": [True]}, True), ("[?@ == `1`]", [True, 1, "1"], [1]),
    ],
)  # fmt: skip
def test_a_query_compares_as_json_does(run: Any, expression: str, data: Any, wanted: Any) -> None:
    assert run("json.query", data=data, expression=expression)["result"] == wanted


@pytest.mark.parametrize(
    "text", ["nan", "inf", "-Infinity", "1_000", " 12 ", "١٢", "010", "+1", "1.", "0x10"]
)
def test_a_query_makes_no_number_of_what_json_spells_otherwise(run: Any, text: str) -> None:
    assert run("json.query", data=text, expression="to_number(@)")["result"] is None


def test_a_query_makes_numbers_of_texts_and_of_nothing_else(run: Any) -> None:
    data = ["0", "-12", "1.50", "1e2", 7, 1.5, True, None, [], {}]
    found = run("json.query", data=data, expression="map(&to_number(@), @)")["result"]
    assert [repr(one) for one in found] == ["0", "-12", "1.5", "100.0", "7", "1.5", *["None"] * 4]


@pytest.mark.parametrize(
    "expression", ["&a", "[&a]", "{a: &@}", '`"\\ud800"`', '{"\\uDFFF": @}', '[`"\\ud83d"`]']
)
def test_what_a_query_makes_that_is_no_value_is_a_bad_input(run: Any, expression: str) -> None:
    with pytest.raises(InputRefused, match="gives"):
        run("json.query", data={}, expression=expression)


def test_a_query_may_spell_a_surrogate_pair(run: Any) -> None:
    assert run("json.query", data={}, expression='`"\\ud83d\\ude00"`')["result"] == "😀"
