"""When a process that died is started again."""

import pytest

from symphony.pit.processes import Restarts


def test_restarts_wait_longer_after_each_death_up_to_ten_seconds() -> None:
    restarts = Restarts()
    waits = []
    for _ in range(12):
        waits.append(restarts.delay_s())
        restarts.died()
    assert waits[:6] == pytest.approx([0, 0, 0.1, 0.2, 0.4, 0.8])
    assert waits[-1] == 10.0
    assert restarts.deaths == 12
    restarts.worked()
    assert restarts.delay_s() == 0.0
