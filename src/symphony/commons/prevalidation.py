"""Rules that answer in microseconds whether a request is worth sending. No I/O, no business rules.

A rule passes a value or raises `ValidationFailed`, whose `details["field"]` names the place
(`spec.steps[3].name`). The text never repeats the value, which may be a secret.
"""

import re
from collections.abc import Callable, Collection, Iterable, Sized
from dataclasses import dataclass
from operator import attrgetter
from typing import Generic, Protocol, TypeVar

from symphony.commons.errors import Detail, ValidationFailed

T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class PreValidationRule(Protocol[T_contra]):
    """One technical check."""

    def validate(self, value: T_contra, /) -> None:
        """Return if `value` is fine. Raises ValidationFailed."""
        ...


@dataclass(frozen=True, slots=True)
class Rule(Generic[T_contra]):
    """A rule made from a function that raises ValidationFailed or returns."""

    check: Callable[[T_contra], None]

    def validate(self, value: T_contra, /) -> None:
        """Return if `value` is fine. Raises ValidationFailed."""
        self.check(value)


def predicate(holds: Callable[[T], bool], message: str, *, hint: str | None = None) -> Rule[T]:
    """Return a rule that fails with `message` if `holds` returns False."""

    def check(value: T) -> None:
        if not holds(value):
            raise ValidationFailed(message, hint=hint)

    return Rule(check)


def all_of(*rules: PreValidationRule[T]) -> Rule[T]:
    """Return a rule that every one of `rules` must pass. It reports all failures, each with its place."""
    checks = tuple(rule.validate for rule in rules)

    def check(value: T) -> None:
        failures: list[ValidationFailed] = []
        for one in checks:
            try:
                one(value)
            except ValidationFailed as failure:
                failures.append(failure)
        if failures:
            raise _joined(failures)

    return Rule(check)


def any_of(*rules: PreValidationRule[T]) -> Rule[T]:
    """Return a rule that passes if at least one rule does; the error tells why each did not."""
    if not rules:
        raise ValueError("any_of needs at least one rule")

    def check(value: T) -> None:
        failures: list[str] = []
        for rule in rules:
            try:
                return rule.validate(value)
            except ValidationFailed as failure:
                failures.append(failure.message)
        raise ValidationFailed(" and ".join(failures))

    return Rule(check)


def not_(rule: PreValidationRule[T], message: str) -> Rule[T]:
    """Return a rule that fails with `message` if `rule` passes."""

    def check(value: T) -> None:
        try:
            rule.validate(value)
        except ValidationFailed:
            return
        raise ValidationFailed(message)

    return Rule(check)


def optional(rule: PreValidationRule[T]) -> Rule[T | None]:
    """Return a rule that passes None and applies `rule` to anything else."""

    def check(value: T | None) -> None:
        if value is not None:
            rule.validate(value)

    return Rule(check)


def field(name: str, rule: PreValidationRule[T]) -> Rule[object]:
    """Return `rule` on the attribute `name` of the value; the error's place begins with that name."""
    get: Callable[[object], T] = attrgetter(name)

    def check(value: object) -> None:
        try:
            rule.validate(get(value))
        except ValidationFailed as failure:
            raise _at(name, failure) from None

    return Rule(check)


def each(rule: PreValidationRule[T]) -> Rule[Iterable[T]]:
    """Return `rule` on every element; stops at the first that fails and names its index."""

    def check(values: Iterable[T]) -> None:
        for index, value in enumerate(values):
            try:
                rule.validate(value)
            except ValidationFailed as failure:
                raise _at(f"[{index}]", failure) from None

    return Rule(check)


def length(minimum: int = 0, maximum: int | None = None) -> Rule[Sized]:
    """Return a rule for a length between `minimum` and `maximum` characters, bytes or elements, both
    included.
    """

    def check(value: Sized) -> None:
        size = len(value)
        if size < minimum:
            raise ValidationFailed("is empty" if size == 0 else f"has {size} of at least {minimum}")
        if maximum is not None and size > maximum:
            raise ValidationFailed(f"has {size:,} of at most {maximum:,}")

    return Rule(check)


def not_blank(text: str) -> None:
    """The rule function behind `filled`. Raises ValidationFailed if only spaces are there."""
    if not text or text.isspace():
        raise ValidationFailed("is empty")


filled: Rule[str] = Rule(not_blank)
"""A rule for text that is more than spaces."""


def pattern(expression: str, meaning: str) -> Rule[str]:
    """Return a rule that the whole text matches the regular `expression`; `meaning` says it in words."""
    compiled = re.compile(expression)
    return predicate(lambda text: compiled.fullmatch(text) is not None, f"is not {meaning}")


def one_of(choices: Collection[T]) -> Rule[T]:
    """Return a rule for one of `choices`."""
    known = tuple(choices)
    return predicate(lambda value: value in known, f"is not one of {', '.join(map(str, known))}")


def in_range(minimum: float | None = None, maximum: float | None = None) -> Rule[float]:
    """Return a rule for a number between `minimum` and `maximum`, both included. Not-a-number is in no
    range.
    """
    low = float("-inf") if minimum is None else minimum
    high = float("inf") if maximum is None else maximum
    bounds = [f"at least {minimum}"] * (minimum is not None) + [f"at most {maximum}"] * (maximum is not None)
    return predicate(lambda value: low <= value <= high, f"is not {' and '.join(bounds) or 'a number'}")


def _at(place: str, failure: ValidationFailed) -> ValidationFailed:
    """Return `failure` with `place` before the place that it names."""
    problems = failure.details.get("problems")
    if isinstance(problems, list):
        return _joined([_at(place, _of_problem(problem)) for problem in problems])
    inner = str(failure.details.get("field", ""))
    where = place + ("." if inner and not inner.startswith("[") else "") + inner
    text = str(failure.details.get("problem", failure.message))
    return ValidationFailed(
        f"{where} {text}",
        code=failure.code,
        details={**failure.details, "field": where, "problem": text},
        hint=failure.hint,
    )


def _of_problem(problem: Detail) -> ValidationFailed:
    assert isinstance(problem, dict)
    details = {key: value for key, value in problem.items() if key in ("field", "problem")}
    hint = str(problem["hint"]) if problem.get("hint") else None
    return ValidationFailed(str(problem["message"]), details=details, hint=hint)


def _joined(failures: list[ValidationFailed]) -> ValidationFailed:
    """Return several failures as one: `details["problems"]` holds each with `message` and `field`."""
    if len(failures) == 1:
        return failures[0]
    problems: list[Detail] = []
    for failure in failures:
        nested = failure.details.get("problems")
        if isinstance(nested, list):
            problems += nested
        else:
            problems.append({"message": failure.message, "hint": failure.hint, **failure.details})
    messages = [str(problem["message"]) for problem in problems if isinstance(problem, dict)]
    hints = (failure.hint for failure in failures if failure.hint)
    return ValidationFailed("; ".join(messages), details={"problems": problems}, hint=next(hints, None))
