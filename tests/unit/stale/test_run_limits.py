"""Which runs are beyond the limits of a home."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.stale.core.run_limits import RunFacts, RunLimits, beyond

NOW_S = 1_800_000_000.0
facts = st.lists(
    st.tuples(st.one_of(st.none(), st.floats(-10, 1_000)), st.integers(0, 100)), max_size=12
).map(
    lambda found: [
        RunFacts(f"r{number}", None if age is None else NOW_S - age, size)
        for number, (age, size) in enumerate(found)
    ]
)
limits = st.builds(
    RunLimits,
    max_age_s=st.one_of(st.none(), st.floats(0, 1_000)),
    max_count=st.one_of(st.none(), st.integers(0, 12)),
    max_bytes=st.one_of(st.none(), st.integers(0, 1_000)),
)


@given(facts, limits)
def test_runs_that_may_go_on_stay_whatever_the_limits(runs: list[RunFacts], limit: RunLimits) -> None:
    gone = beyond(runs, limit, NOW_S)
    assert not [run for run in runs if run.ended_at is None and run.run_id in gone]


@given(facts)
def test_without_limits_all_runs_stay(runs: list[RunFacts]) -> None:
    assert beyond(runs, RunLimits(), NOW_S) == {}


@given(facts, st.integers(0, 12), st.integers(0, 1_000))
def test_what_ended_stays_within_number_and_bytes(runs: list[RunFacts], count: int, size: int) -> None:
    ended = [run for run in runs if run.ended_at is not None]
    left = [run for run in ended if run.run_id not in beyond(ended, RunLimits(max_count=count), NOW_S)]
    assert left == ended[:count]
    left = [run for run in ended if run.run_id not in beyond(ended, RunLimits(max_bytes=size), NOW_S)]
    assert sum(run.size for run in left) <= size
    assert left == ended[: len(left)]


@given(facts, limits, limits)
def test_a_looser_limit_never_lets_more_go(runs: list[RunFacts], a: RunLimits, b: RunLimits) -> None:
    def looser(x: float | None, y: float | None) -> float | None:
        return None if x is None or y is None else max(x, y)

    loose = RunLimits(
        max_age_s=looser(a.max_age_s, b.max_age_s),
        max_count=None if None in (a.max_count, b.max_count) else max(a.max_count or 0, b.max_count or 0),
        max_bytes=None if None in (a.max_bytes, b.max_bytes) else max(a.max_bytes or 0, b.max_bytes or 0),
    )
    assert set(beyond(runs, loose, NOW_S)) <= set(beyond(runs, a, NOW_S))
