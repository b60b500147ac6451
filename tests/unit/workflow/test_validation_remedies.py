"""What validation says to write in place of a value that does not fit."""

import pytest

from symphony.ports.values import Value
from symphony.workflow.catalog import Port
from symphony.workflow.types import ANY, parse_type
from symphony.workflow.validation.remedies import remedy
from symphony.workflow.validation.scope import port_hint


@pytest.mark.parametrize(
    ("value", "kind", "said"),
    [
        ("item.name", "list[string]", "write a list: [item.name]"),
        ("x, y", "list[string]?", 'write a list: ["x, y"]'),
        ("true", "list[string]", 'write a list: ["true"]'),
        (True, "list[boolean]", "write a list: [true]"),
        (1, "list[string]", None),
        ("x" * 50, "list[string]", "write a list, with it as its element"),
        ("10", "integer?", "leave the quotes out: 10"),
        ("1.5", "number", "leave the quotes out: 1.5"),
        ("1.5", "integer", None),
        ("ten", "integer", None),
        ("end", "enum[last, first]", "use last or first"),
        (5, "enum[only]", "use only"),
        ({}, "list[string]", None),
        (None, "list[string]", None),
    ],
)
def test_a_likely_slip_is_told_with_what_to_write(value: Value, kind: str, said: str | None) -> None:
    assert remedy(value, parse_type(kind)) == said


@pytest.mark.parametrize(
    ("names", "what", "hint"),
    [
        ("", "output", "it has no outputs"),
        ("result", "output", "its only output is result"),
        ("items condition", "output", "its outputs are items, condition"),
        ("text pattern", "input", "its inputs are text, pattern"),
        ("zzzy", "output", "did you mean zzzy?"),
    ],
)
def test_an_unknown_port_is_told_those_that_there_are(names: str, what: str, hint: str) -> None:
    assert port_hint("zzz", {name: Port(type=ANY) for name in names.split()}, what) == hint
