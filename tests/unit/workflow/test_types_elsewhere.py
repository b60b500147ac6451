"""Types that are written as in other languages."""

import pytest

from symphony.workflow.documents import format_named
from symphony.workflow.files import read_bytes


@pytest.mark.parametrize(
    ("kind", "meant"),
    [
        ("str", "string"),
        ("int", "integer"),
        ("Int", "integer"),
        ("float", "number"),
        ("bool", "boolean"),
        ("list", "list[T], such as list[string]"),
        ("List[str]", "list[T], such as list[string]"),
        ("list[str]", "string"),
        ("dict", "map[T], such as map[any]"),
        ("map", "map[T], such as map[any]"),
        ("int?", "integer"),
    ],
)
def test_a_type_of_another_language_is_told_the_type_of_this_one(kind: str, meant: str) -> None:
    text = f"name: x\ninputs: {{n: {{type: '{kind}'}}}}\nnodes: {{a: {{command: ls}}}}"
    found = list(read_bytes(text.encode(), format_named("yaml")).problems)
    assert [(one.place, one.message, one.hint) for one in found] == [
        ("inputs.n.type", f"'{kind}' is not a type", f"did you mean {meant}?")
    ]
