from dataclasses import dataclass

import pytest

from symphony.commons.errors import ValidationFailed
from symphony.commons.prevalidation import (
    PreValidationRule,
    all_of,
    any_of,
    each,
    field,
    filled,
    in_range,
    length,
    not_,
    one_of,
    optional,
    pattern,
    predicate,
)


@dataclass
class Step:
    name: str


@dataclass
class Spec:
    name: str
    steps: list[Step]


@dataclass
class Request:
    spec: Spec


REQUEST = field(
    "spec",
    all_of(
        field("name", all_of(filled, length(maximum=5))),
        field("steps", all_of(length(1, 3), each(field("name", filled)))),
    ),
)


def test_a_good_request_passes() -> None:
    REQUEST.validate(Request(Spec("build", [Step("a"), Step("b")])))


def test_a_failure_names_the_place_down_to_the_element() -> None:
    with pytest.raises(ValidationFailed, match=r"^spec\.steps\[1\]\.name is empty$") as caught:
        REQUEST.validate(Request(Spec("build", [Step("a"), Step(" ")])))
    assert caught.value.details["field"] == "spec.steps[1].name"


def test_all_failures_are_told_at_once_each_with_its_place() -> None:
    with pytest.raises(ValidationFailed) as caught:
        REQUEST.validate(Request(Spec("too long", [])))
    assert caught.value.message == "spec.name has 8 of at most 5; spec.steps is empty"
    problems = caught.value.details["problems"]
    assert isinstance(problems, list)
    assert [problem["field"] for problem in problems] == ["spec.name", "spec.steps"]


@pytest.mark.parametrize(
    ("rule", "good", "bad", "message"),
    [
        (length(2, 3), "ab", "a", "has 1 of at least 2"),
        (length(1), [1], [], "is empty"),
        (length(0, 2), b"ab", b"abc", "has 3 of at most 2"),
        (pattern(r"[a-z]+", "a lower-case word"), "abc", "abc\n", "is not a lower-case word"),
        (one_of(["free", "pro"]), "pro", "gold", "is not one of free, pro"),
        (in_range(0, 1), 1, 1.01, "is not at least 0 and at most 1"),
        (in_range(minimum=0), 0, float("nan"), "is not at least 0"),
        (in_range(), 5, float("nan"), "is not a number"),
        (any_of(one_of(["a"]), one_of(["b"])), "b", "c", "is not one of a and is not one of b"),
        (not_(one_of(["root"]), "is reserved"), "me", "root", "is reserved"),
        (optional(filled), None, "", "is empty"),
        (predicate(str.isupper, "is not in capitals"), "A", "a", "is not in capitals"),
        (each(filled), ["a"], ["a", ""], r"\[1\] is empty"),
    ],
)
def test_rules_pass_the_good_and_name_what_is_wrong_with_the_bad(
    rule: PreValidationRule[object], good: object, bad: object, message: str
) -> None:
    rule.validate(good)
    with pytest.raises(ValidationFailed, match=f"^{message}$"):
        rule.validate(bad)


def test_no_rule_repeats_the_value() -> None:
    for rule in (pattern("x", "an x"), one_of(["x"]), length(0, 1)):
        with pytest.raises(ValidationFailed) as caught:
            rule.validate("hunter2")
        assert "hunter2" not in repr(caught.value)


def test_any_of_nothing_is_a_mistake_of_the_programmer() -> None:
    with pytest.raises(ValueError, match="at least one"):
        any_of()
