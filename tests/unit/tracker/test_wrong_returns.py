"""An operator whose function returns something else than it declares."""

from typing import cast

import pytest

from symphony import operator, run
from symphony.testing import workflow

FLOW = "name: test\nnodes:\n  a: {operator: %s}\n"


@operator("wrong.forgets", version="1.0.0")
def forgets() -> float:
    """Has no return."""
    return cast(float, None)


@operator("wrong.kind", version="1.0.0")
def kind() -> float:
    """Returns a text."""
    return cast(float, "1")


@pytest.mark.parametrize(
    ("name", "function", "gave"),
    [
        ("wrong.forgets", "forgets", "None; is a return missing?"),
        ("wrong.kind", "kind", "a value of type str"),
    ],
)
def test_the_error_names_the_function_its_line_and_what_it_gave(name: str, function: str, gave: str) -> None:
    result = run(workflow(FLOW % name), operators=[forgets, kind], memory=True)
    assert result.error is not None
    assert result.error.code == "type-mismatch"
    assert result.error.hint is not None
    assert result.error.hint.startswith(f"{function} in {__file__}:")
    assert result.error.hint.endswith(f" declares result as number, and gave {gave}")
