"""No fault is forgotten: a test runs each."""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS = "".join(path.read_text(encoding="utf-8") for path in HERE.glob("test_*.py"))


@pytest.mark.parametrize("case", sorted(path.name for path in (HERE / "cases").iterdir() if path.is_dir()))
def test_a_test_takes_the_case_by_its_name(case: str) -> None:
    assert f'"{case}"' in TESTS
