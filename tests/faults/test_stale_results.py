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


def test_a_template_given_as_text_counts_with_the_files_that_it_includes(
    fault: Callable[[str], Fault],
) -> None:
    case = fault("inline-template-include-stale")
    for text in ("hello\n", "goodbye\n"):
        (case.folder / "part.txt").write_text(text)
        assert case.run("flow.yaml")["outputs"] == {"text": text}
    nodes = case.run("flow.yaml")["nodes"]
    assert isinstance(nodes, dict)
    assert nodes["out"]["status"] == "cached"
