"""Which phase of a model may follow which."""

from itertools import product

import pytest

from symphony.pit.pool.core.lifecycle import NEXT_PHASES, IllegalPhase, Lifecycle
from symphony.ports.pool import ModelPhase

WAYS: dict[ModelPhase, list[ModelPhase]] = {
    ModelPhase.COLD: [],
    ModelPhase.WARMING: [ModelPhase.WARMING],
    ModelPhase.HOT: [ModelPhase.WARMING, ModelPhase.HOT],
    ModelPhase.COOLING: [ModelPhase.WARMING, ModelPhase.HOT, ModelPhase.COOLING],
    ModelPhase.FAILED: [ModelPhase.WARMING, ModelPhase.FAILED],
}
"""How each phase is reached."""


def reached(phase: ModelPhase) -> Lifecycle:
    life = Lifecycle("m", 0.0)
    for step in WAYS[phase]:
        life.move(step, "on the way", 1.0)
    return life


@pytest.mark.parametrize(("before", "after"), list(product(ModelPhase, ModelPhase)))
def test_a_phase_is_followed_by_those_of_the_table_alone(before: ModelPhase, after: ModelPhase) -> None:
    life = reached(before)
    since_s = life.since_s
    if after in NEXT_PHASES[before]:
        changed = life.move(after, "because", 3.5)
        assert (changed.before, changed.after, changed.reason) == (before, after, "because")
        assert changed.lasted_s == 3.5 - since_s
        assert (life.phase, life.since_s) == (after, 3.5)
    else:
        with pytest.raises(IllegalPhase, match=f"is {before}: it cannot become {after}"):
            life.move(after, "because", 3.5)
        assert (life.phase, life.since_s) == (before, since_s)


def test_a_clock_that_goes_back_makes_no_negative_durations() -> None:
    life = Lifecycle("m", 10.0)
    assert life.move(ModelPhase.WARMING, "asked for", 9.0).lasted_s == 0.0
