"""A template and its parameters: checks what is given, and makes a workflow of it. Pure."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.inputs import bad_path, beyond, expected, parse_value
from symphony.workflow.model import InputSpec, Workflow
from symphony.workflow.problems import Code, Problem, did_you_mean, shown
from symphony.workflow.templates.patterns import difference
from symphony.workflow.templates.places import (
    as_text,
    found_at,
    set_at,
    with_words,
    without_template,
)
from symphony.workflow.types import mismatch
from symphony.workflow.values import spelled


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. `spec` has type, default, bounds and description; the rest is what inputs lack.

    Lengths count characters of texts, elements of lists. `pattern` must match the whole text, or each
    text of a list. `sets` are places of the document, such as `nodes.tests.concurrency`.
    """

    name: str
    spec: InputSpec
    input: bool
    pattern: str | None = None
    min_length: int | None = None
    max_length: int | None = None
    examples: tuple[Value, ...] = ()
    label: str = ""
    group: str = ""
    widget: str | None = None
    order: int = 0
    sets: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        """True if the parameter must be given."""
        return self.spec.required

    def wrong(self, value: Value) -> str | None:
        """Return why `value` cannot be given, as half a sentence; None if it can."""
        return (
            mismatch(value, self.spec.type)
            or beyond(value, self.spec)
            or bad_path(value, self.spec.type)
            or self._wrong_length(value)
            or self._wrong_text(value)
        )

    def _wrong_length(self, value: Value) -> str | None:
        if not isinstance(value, str | list):
            return None
        unit = "character" if isinstance(value, str) else "element"
        for limit, less, word in ((self.min_length, True, "at least"), (self.max_length, False, "at most")):
            if limit is not None and (len(value) < limit if less else len(value) > limit):
                return f"it has {len(value)} {unit}s, and must have {word} {limit}"
        return None

    def _wrong_text(self, value: Value) -> str | None:
        if self.pattern is None:
            return None
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, str) and (why := difference(self.pattern, one)) is not None:
                return f"{shown(one)} {why}"
        return None


class WorkflowTemplate(msgspec.Struct, frozen=True, dict=True):
    """A template that is sound. `tree` is its document, `workflow` what it says with all defaults."""

    workflow: Workflow
    parameters: Mapping[str, Parameter]
    tree: Mapping[str, Tree]

    @cached_property
    def ordered(self) -> tuple[Parameter, ...]:
        """Return the parameters as a form shows them: by group in order of appearance, then by `order`,
        then as written.
        """
        groups = list(dict.fromkeys(one.group for one in self.parameters.values()))
        return tuple(sorted(self.parameters.values(), key=lambda one: (groups.index(one.group), one.order)))

    def parse(self, texts: Sequence[tuple[str, str]]) -> tuple[dict[str, Value], tuple[Problem, ...]]:
        """Return the values of pairs of name and text, read as inputs of runs are, and a problem for
        each unreadable one.
        """
        values: dict[str, Value] = {}
        problems: list[Problem] = []
        for name, text in texts:
            known = self.parameters.get(name)
            if name in values:
                problems.append(_problem("duplicate-name", name, "it is given twice", "give it once"))
                continue
            values[name] = text
            if known is not None:
                try:
                    values[name] = parse_value(text, known.spec.type)
                except ValueError as error:
                    problems.append(_wrong(known, str(error)))
        return values, tuple(problems)

    def check(self, given: Mapping[str, Value]) -> tuple[Problem, ...]:
        """Return everything that is wrong with the given values, and every parameter that is missing."""
        problems = [self._unknown(name) for name in given if name not in self.parameters]
        for name, parameter in self.parameters.items():
            if name in given:
                why = parameter.wrong(given[name])
                if why is not None:
                    problems.append(_wrong(parameter, why))
            elif parameter.required:
                problems.append(_missing(parameter))
        return tuple(problems)

    def make(self, given: Mapping[str, Value], *, made_from: str) -> dict[str, Tree]:
        """Return the document of a plain workflow with these values, which `check` must have accepted.

        `made_from` is noted in its metadata.
        """
        values = self._values(given)
        tree = without_template(self.tree, made_from)
        for name, parameter in self.parameters.items():
            if parameter.input and name in given:
                found = found_at(tree, ("inputs", name))
                assert isinstance(found, dict)
                found["default"] = spelled(given[name])
            for place in parameter.sets:
                set_at(tree, place, spelled(values[name]))
        made = with_words(tree, {name: as_text(value) for name, value in values.items()})
        assert isinstance(made, dict)
        return made

    def _values(self, given: Mapping[str, Value]) -> dict[str, Value]:
        defaults = {name: one.spec.default for name, one in self.parameters.items()}
        known = {name: None if value is msgspec.UNSET else value for name, value in defaults.items()}
        return {**known, **{name: given[name] for name in known if name in given}}

    def _unknown(self, name: str) -> Problem:
        listed = f"it has {', '.join(self.parameters)}" if self.parameters else "it has none"
        hint = did_you_mean(name, self.parameters, listed)
        return _problem("unknown-port", name, f"the template has no parameter {shown(name)}", hint)


def _problem(code: Code, name: str, message: str, hint: str) -> Problem:
    return Problem(code=code, place=f"parameters.{name}", message=message, hint=hint)


def _wrong(parameter: Parameter, why: str) -> Problem:
    return _problem("type-mismatch", parameter.name, why, f"expected {wanted(parameter)}")


def _missing(parameter: Parameter) -> Problem:
    about = f" ({parameter.spec.description})" if parameter.spec.description else ""
    return _problem(
        "missing-input",
        parameter.name,
        f"parameter {parameter.name} needs a value{about}",
        f"give it: {_usage(parameter)}",
    )


def _usage(parameter: Parameter) -> str:
    example, kind = example_of(parameter), parameter.spec.type
    if example is None and kind.choices and kind.kind == "enum":
        return f"--param {parameter.name}={kind.choices[0]} (one of {', '.join(kind.choices)})"
    return f"--param {parameter.name}={kind.kind.upper() if example is None else example}"


def example_of(parameter: Parameter) -> str | None:
    """Return an example as it is typed, if there is one."""
    return as_text(parameter.examples[0]) if parameter.examples else None


def wanted(parameter: Parameter) -> str:
    """Return what may be given, in words: type, bounds, lengths, pattern, an example."""
    parts = [expected(parameter.spec)]
    if parameter.min_length is not None or parameter.max_length is not None:
        low, high = parameter.min_length or 0, parameter.max_length
        unit = "elements" if parameter.spec.type.kind == "list" else "characters"
        parts.append(f"{low} to {high} {unit}" if high is not None else f"at least {low} {unit}")
    if parameter.pattern is not None:
        parts.append(f"matching {parameter.pattern}")
    example = example_of(parameter)
    if example is not None:
        parts.append(f"for instance {example}")
    return ", ".join(parts)
