"""Patterns of parameters: a template may be somebody else's."""

import pytest

from symphony.workflow.templates.patterns import difference, refusal


@pytest.mark.slow
@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(a|a)+", "(?:a|a|aa)+b", r"(a*)*\1", "(.*.*)*=", "(a?){40}a{40}b"]
)
def test_a_pattern_that_tries_ever_more_ways_does_not_match_within_a_second(pattern: str) -> None:
    assert difference(pattern, "a" * 60 + "!") is not None  # re would try for years


@pytest.mark.parametrize("pattern", ["a{1000000000}", "((a{1000}){1000}){1000}", "(?:[ab]{1000}c){1000}"])
def test_a_pattern_that_counts_beyond_what_texts_have_takes_no_memory(pattern: str) -> None:
    assert refusal(pattern) is None
    assert difference(pattern, "a" * 1_000) == f"does not match {pattern}"


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("[a-z]+", "abc"), (".*[.]csv", "a.csv"), (r"\d{4}-\d{2}-\d{2}", "2024-01-31"), ("[^\n]+", "a line"),
        (r"(\d{1,3}\.){3}\d{1,3}", "10.0.0.1"), (".{1,10000}", "x" * 10_000), ("(?i)YES|no", "yes"),
        (r"(?P<a>x)(?P=a)", "xx"), ("a(?=b)b", "ab"), (r"\w+", "é"),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_in_re(pattern: str, text: str) -> None:
    assert refusal(pattern) is None
    assert difference(pattern, text) is None
    assert difference(pattern, f"{text}\n#") == f"does not match {pattern}"
