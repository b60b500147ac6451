"""How long to wait before the next try."""

import pytest

from symphony.commons.backoff import backoff_s


@pytest.mark.parametrize(
    ("growth", "waits"),
    [("constant", [2, 2, 2, 2]), ("linear", [2, 4, 6, 7]), ("exponential", [2, 4, 7, 7])],
)
def test_waits_grow_up_to_the_cap(growth: str, waits: list[float]) -> None:
    found = [
        backoff_s(attempt, base_s=2, cap_s=7, growth=growth)  # type: ignore[arg-type]
        for attempt in range(1, 5)
    ]
    assert found == waits
    assert backoff_s(10**9, base_s=2, cap_s=7) == 7


def test_jitter_is_the_part_that_is_waited() -> None:
    assert backoff_s(2, base_s=1, cap_s=10, jitter=0.25) == 0.5
    assert backoff_s(2, base_s=1, cap_s=10, jitter=0) == 0


def test_attempts_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1, not 0"):
        backoff_s(0, base_s=1, cap_s=10)
