"""Loops whose state grows, as they were met."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from tests.faults.conftest import Fault

pytestmark = pytest.mark.slow


def taken(fault: Fault) -> int:
    """The bytes of journals and artifacts."""
    kept = [*(fault.home / "journal").iterdir(), *(fault.home / "artifacts").rglob("packs/*")]
    return sum(path.stat().st_size for path in kept)


def test_loop_state_grows_squared(fault: Callable[[str], Fault]) -> None:
    sizes, found = list[int](), fault("loop-state-grows-squared")
    for rounds in (200, 400, 800):
        case = Fault(found.folder, found.home.with_name(f"home-{rounds}"))
        assert case.run("flow.yaml", "--input", f"n={rounds}")["outputs"] == {"n": rounds}
        sizes.append(taken(case))
    first, second = (later - earlier for earlier, later in pairwise(sizes))
    assert second < 2.9 * first
    assert sizes[-1] < 800_000


def test_loop_state_that_doubles_is_stopped(fault: Callable[[str], Fault]) -> None:
    case = fault("loop-state-grows-squared")
    case.home.mkdir()
    (case.home / "config.toml").write_text("[symphony]\nvalue_mb = 4\n", encoding="utf-8")
    result = case.run("doubling.yaml")
    error = result["error"]
    assert isinstance(error, dict)
    assert error["code"] == "limit-exceeded"
    assert "value of grow#" in error["message"]
    assert "value_mb" in error["hint"]
    assert taken(case) < 10 << 20
