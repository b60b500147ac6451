"""text.split, text.join, text.regex."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.kit import text
from symphony.kit.errors import InputRefused, OutputTooLarge


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"text": "a\r\nb\n\nc\rd\n"}, ["a", "b", "", "c", "d"]),
        ({"text": ""}, []),
        ({"text": "\n"}, [""]),
        ({"text": "a\n\nb", "keep_empty": False}, ["a", "b"]),
        ({"text": "a,b,,c", "separator": ","}, ["a", "b", "", "c"]),
        ({"text": "a,b,,c", "separator": ",", "limit": 1}, ["a", "b,,c"]),
        ({"text": "a,b", "separator": ",", "limit": 0}, ["a,b"]),
        ({"text": "", "separator": ","}, [""]),
        ({"text": "a\u2028b\x0cc"}, ["a\u2028b\x0cc"]),
    ],
)
def test_text_is_split_at_a_separator_or_into_lines(options: dict[str, object], expected: list[str]) -> None:
    assert text.split(**options) == expected  # type: ignore[arg-type]


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(InputRefused, match="separator"):
        text.split("a", separator="")


@given(st.lists(st.text(alphabet="ab,\n é"), min_size=1), st.sampled_from([",", "::", "\n"]))
def test_joining_what_was_split_gives_the_text_back(parts: list[str], separator: str) -> None:
    whole = separator.join(parts)
    assert separator.join(text.split(whole, separator=separator)) == whole


async def test_texts_are_joined_with_a_separator_between() -> None:
    assert await text.join(["a", "b", "c"], separator="-") == "a-b-c"
    assert await text.join([]) == ""


async def test_a_text_that_would_take_gigabytes_is_not_joined() -> None:
    separator = "x" * 4_000_000
    with pytest.raises(OutputTooLarge, match="11,996,003,000 characters"):
        await text.join(["a"] * 3_000, separator=separator)
    assert len(await text.join(["a"] * 20, separator=separator)) == 76_000_020


def test_a_regular_expression_finds_groups_and_replaces() -> None:
    found = text.regex("x=1, yy=22", r"(?P<key>\w+)=(\d+)(!)?", replace=r"\2:\g<key>")
    assert found["found"] is True
    assert found["text"] == "1:x, 22:yy"
    assert found["matches"][1] == {
        "text": "yy=22", "start": 5, "end": 10, "groups": ["yy", "22", None], "named": {"key": "yy"},
    }  # fmt: skip


def test_a_limit_bounds_matches_and_replacements() -> None:
    found = text.regex("aaaa", "a", replace="b", limit=2)
    assert (len(found["matches"]), found["text"]) == (2, "bbaa")
    assert text.regex("aaaa", "a", replace="b", limit=0)["text"] == "aaaa"
    assert text.regex("a\nA", "^a$", ignore_case=True, multiline=True)["matches"][1]["start"] == 2


def test_an_exploding_pattern_is_stopped() -> None:
    with pytest.raises(OutputTooLarge, match="took longer") as caught:
        text.regex("a" * 50, "(a|a)+$b", seconds=0.05)
    assert caught.value.code == "timeout"


@pytest.mark.parametrize(
    "options", [{"pattern": "("}, {"pattern": "a", "replace": r"\9"}, {"pattern": "a", "limit": -1}]
)
def test_a_malformed_pattern_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputRefused, match="input"):
        text.regex("a", **options)  # type: ignore[arg-type]


def test_a_difference_has_all_lines_of_both_texts_in_order(run: Any) -> None:
    found = run("text.diff", first="a\nb\nc\n", second="a\nB\nc\nd\n")
    assert [(line["kind"], line["text"]) for line in found["lines"]] == [
        ("same", "a"), ("removed", "b"), ("added", "B"), ("same", "c"), ("added", "d"),
    ]  # fmt: skip
    assert (found["removed"], found["added"]) == (1, 2)
    assert found["text"].startswith("--- first\n+++ second\n@@ -1,3 +1,4 @@\n")
    assert run("text.diff", first="x\x0cy", second="x\x0cy") == {
        "lines": [{"kind": "same", "text": "x\x0cy"}], "removed": 0, "added": 0, "text": "",
    }  # fmt: skip
