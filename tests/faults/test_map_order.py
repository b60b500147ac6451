"""Maps whose keys came out in another order in every process."""

from collections.abc import Callable

import pytest
from tests.faults.conftest import Fault

pytestmark = pytest.mark.slow


def test_the_text_of_a_map_that_an_expression_built_is_the_same_in_every_process(
    fault: Callable[[str], Fault],
) -> None:
    case = fault("map-as-text-random-order")
    expected = 'Summarise {"alpha": 2, "bravo": 4, "mike": 3, "x": 5, "zulu": 3}'
    for _ in range(4):
        result = case.run("flow.yaml", "--no-cache")
        assert result["outputs"] == {"prompt": expected}
