"""What validation says to write in place of a value that does not fit."""

import pytest

from symphony.ports.values import Value
from symphony.workflow.types import parse_type
from symphony.workflow.validation.remedies import remedy


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
