"""data.table."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kit.conftest import Runner

from symphony.commons.widths import columns
from symphony.kit.errors import InputRefused, OutputTooLarge

KIT = Runner(Path())


def table(rows: list[Any], **inputs: Any) -> str:
    text: str = KIT("data.table", rows=rows, **inputs)["text"]
    return text


def test_numbers_are_aligned_to_the_right_and_wide_characters_count_as_two() -> None:
    rows = [{"name": "Ada", "lines": 12}, {"name": "日本", "lines": 7.5}, {"name": None, "lines": None}]
    assert table(rows, titles={"name": "Name"}) == (
        "| Name | lines |\n| ---- | ----: |\n| Ada  |    12 |\n| 日本 |   7.5 |\n|      |       |\n"
    )


def test_marks_bars_and_line_breaks_are_shown_as_they_are() -> None:
    text = table([{"a": "x|y\r\n*b* <i> `c`", "b": {"k": [1, True]}}])
    assert text.splitlines()[2] == r'| x\|y<br>\*b\* \<i\> \`c\` | \{"k":\[1,true\]\} |'


def test_columns_that_are_markdown_lose_only_bars_and_line_breaks() -> None:
    rows = [{"a": "[x|y](https://e.org)\n**b** \\| c"}]
    assert table(rows, markdown=["a"]).splitlines()[2] == r"| [x\|y](https://e.org) **b** \| c |"


def test_numbers_are_rounded_where_not_all_of_a_column_are_integers() -> None:
    rows = [{"a": 1, "b": 2, "c": "1.234"}, {"a": -0.001, "b": None, "c": 1.234}]
    assert [line.split(" | ") for line in table(rows, decimals=2).splitlines()[2:]] == [
        ["| 1.00", "  2", "1.234 |"], ["| 0.00", "   ", "1.234 |"],
    ]  # fmt: skip
    assert table([{"a": 2.5}, {"a": 2**53 + 1}], decimals=0).splitlines()[2:] == [
        "|                2 |", "| 9007199254740993 |"
    ]  # fmt: skip


def test_an_underscore_within_a_word_is_not_escaped() -> None:
    assert table([{"known_ages": "_a_b__c_ _"}]).splitlines()[::2] == [
        "| known_ages    |", r"| \_a_b__c\_ \_ |"
    ]  # fmt: skip


def test_lists_are_rows_with_numbered_columns_or_those_that_are_named() -> None:
    assert table([[1, "a"], [2]]).splitlines()[0] == "|  c1 | c2  |"
    assert table([[1, "a"], [2]], columns=["n", "s", "t"]).splitlines()[0] == "|   n | s   | t   |"


def test_a_limit_tells_how_many_rows_are_left_out() -> None:
    rows = [{"n": n} for n in range(1_500)]
    assert table(rows, limit=1).endswith("|   0 |\n\n… and 1,499 more rows\n")
    assert table(rows[:2], limit=1).endswith("\n… and 1 more row\n")
    assert "more" not in table(rows, limit=1_500)
    with pytest.raises(OutputTooLarge, match="10,020 rows") as caught:
        table([{"n": 0}] * 10_020)
    assert "limit" in (caught.value.hint or "")


def test_long_texts_are_cut_visibly_if_that_is_asked_for() -> None:
    assert table([{"a": "ab\ncd ef"}], width=4).splitlines()[2] == "| ab … |"
    assert table([{"a": "日本語"}], width=5).splitlines()[2] == "| 日本… |"
    long = "x" * 200
    assert [len(line) for line in table([{"a": long}, {"a": "y"}]).splitlines()] == [64, 64, 204, 64]


def test_a_table_without_rows_has_its_head_and_without_columns_is_empty() -> None:
    assert table([], columns=["a"]) == "| a   |\n| --- |\n"
    assert table([]) == ""


@pytest.mark.parametrize(
    ("rows", "inputs", "said"),
    [
        ([{"a": 1}, [1]], {}, r"rows\[1\] is not a map, and rows\[0\] is"),
        ([5], {}, r"rows\[0\] is not a map"),
        ([{"a": 1}], {"columns": ["b"]}, "'b', which no row has"),
        ([{"a": 1}], {"columns": ["a", "a"]}, "names one twice"),
        ([{"a": 1}], {"titles": {"b": "B"}}, "titles has 'b'"),
        ([{"a": 1}], {"markdown": ["b"]}, "markdown has 'b'"),
        ([[1], [1, 2]], {"columns": ["a"]}, r"rows\[1\] has more elements"),
        ([{"a": b"x"}], {}, r"rows\[0\] has bytes"),
        ([{"a": 1}], {"limit": -1}, "limit"),
        ([{"a": 1}], {"width": 0}, "width"),
        ([{"a": 1}], {"decimals": 16}, "decimals"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_refused(rows: list[Any], inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        table(rows, **inputs)


TEXTS = st.text(
    st.sampled_from("ab 1|\\`*_~<>&#[]()!-+.:;$@\n\r\t日é") | st.characters(exclude_categories=["C", "Z"]),
    max_size=12,
)


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=4))
def test_every_text_is_shown_as_it_is_by_a_reader_of_markdown(pairs: list[tuple[str, str]]) -> None:
    written = table([{"a": one, "b": other} for one, other in pairs])
    assert len(written.splitlines()) == 2 + len(pairs)
    page = KIT("markdown.html", text=written)["html"]
    cells = re.findall(r"<td>(.*?)</td>", page, re.DOTALL)
    shown = [html.unescape(cell.replace("<br />", " ")).split() for cell in cells]
    assert shown == [text.split() for pair in pairs for text in pair]


@given(st.lists(st.text(st.sampled_from("aé日b"), min_size=1, max_size=8), min_size=1, max_size=5))
def test_all_lines_are_equally_wide(texts: list[str]) -> None:
    assert len({columns(line) for line in table([{"a": text, "n": 1} for text in texts]).splitlines()}) == 1
