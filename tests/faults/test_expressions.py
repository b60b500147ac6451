"""Expressions whose values were wrong, or whose evaluation ended the process."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

Take: TypeAlias = Callable[[str], Any]


def table(path: Path) -> None:
    """20,000 rows with an empty column."""
    path.write_text("id,note\n" + "".join(f"{number},\n" for number in range(20_000)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workflow", "outputs"),
    [("workflow.yaml", {"n": 20_000}), ("mid-run.yaml", {"n": 1}), ("loop.yaml", {"n": 30_000})],
)
def test_null_kills_process_runs_to_its_end(fault: Take, workflow: str, outputs: dict[str, int]) -> None:
    case = fault("null-kills-process")
    table(case.folder / "t.csv")
    result = case.run(workflow, timeout_s=120)  # its exit status is that of no signal
    assert (result["status"], result["outputs"]) == ("succeeded", outputs)


@pytest.mark.slow
def test_cel_backquote_names_a_field(fault: Take) -> None:
    case = fault("cel-backquote")
    assert case.run("wrong.yaml")["outputs"] == {"there": True, "direct": True, "c": 7}
    assert case.run("refused.yaml")["outputs"] == {"there": "text/html"}
