"""The repository report tells the truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Take: TypeAlias = Callable[[str], Any]

EXAMPLE = Path(__file__).parents[2] / "examples" / "repo-report" / "workflow.yaml"


@pytest.mark.slow
def test_report_overload_lists_no_stub_as_undocumented(fault: Take) -> None:
    outputs = fault("report-overload").run(str(EXAMPLE), "--input", "path=.", timeout_s=120)["outputs"]
    assert (outputs["files"], outputs["undocumented"]) == (1, 0)
