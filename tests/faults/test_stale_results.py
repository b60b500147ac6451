"""Results of earlier runs that were taken though what they depend on had changed."""

from collections.abc import Callable

import pytest
from tests.faults.conftest import Fault

pytestmark = pytest.mark.slow


def test_paths_inside_maps_lists_and_records_count_by_content(fault: Callable[[str], Fault]) -> None:
    case = fault("cache-stale-paths-inside")
    for text in ("old", "new"):
        (case.folder / "a.txt").write_text(text)
        result = case.run("flow.yaml", "--operators", "ops.py")
        assert result["outputs"] == {"a": text, "b": text, "c": text}
