"""What the pool expects: from graphs, from earlier runs, from pauses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.pool.core.forecast import IdleTimes, Lookahead, Markov


def test_the_nearest_need_of_any_run_counts() -> None:
    ahead = Lookahead()
    ahead.announce("one", {"a": 2, "b": 1})
    ahead.announce("two", {"a": 1})
    assert ahead.distances() == {"a": 1, "b": 1}
    ahead.announce("two", {})
    assert ahead.distances() == {"a": 2, "b": 1}
    ahead.forget("one")
    assert ahead.distances() == {}


def test_a_run_that_needs_nothing_more_is_known_until_it_ends() -> None:
    ahead = Lookahead()
    ahead.announce("one", {})
    assert list(ahead.runs) == ["one"]
    ahead.forget("one")
    assert list(ahead.runs) == []


def test_what_was_seen_once_is_no_certainty() -> None:
    chain = Markov()
    chain.observe("r", "a")
    chain.observe("r", "b")
    assert chain.next_of("a") == {"b": 0.5}


def test_what_always_follows_becomes_nearly_certain() -> None:
    chain = Markov()
    for number in range(200):
        chain.observe(f"r{number}", "a")
        chain.observe(f"r{number}", "b")
    assert chain.next_of("a")["b"] > 0.95


def test_runs_that_nobody_reports_as_ended_do_not_fill_the_memory() -> None:
    chain = Markov()
    chain.observe("old", "a")
    chain.observe("kept", "b")
    for number in range(Markov.RUNS_MAX - 1):
        chain.observe(f"r{number}", "a")
        chain.observe("kept", "b")
    chain.observe("old", "c")
    chain.observe("kept", "c")
    assert (chain.next_of("a"), chain.next_of("b")) == ({}, {"c": 0.5})


def test_habits_change() -> None:
    chain = Markov(decay=0.9)
    for number in range(100):
        chain.observe(f"r{number}", "a")
        chain.observe(f"r{number}", "b" if number < 60 else "c")
    assert chain.next_of("a")["c"] > 0.8 > chain.next_of("a")["b"]


def test_runs_with_a_graph_and_runs_that_ended_are_not_guessed_about() -> None:
    chain = Markov()
    for run in ("past", "now"):
        chain.observe(run, "a")
        chain.observe(run, "b")
    chain.forget("past")
    chain.observe("now", "a")
    assert chain.likely(set()) == {"b": pytest.approx(0.66, abs=0.01)}
    assert chain.likely({"now"}) == {}
    chain.forget("now")
    assert chain.likely(set()) == {}


def test_a_model_that_is_asked_again_and_again_is_not_its_own_successor() -> None:
    chain = Markov()
    for _ in range(5):
        chain.observe("r", "a")
    assert chain.next_of("a") == {}


@given(st.lists(st.sampled_from("abcd"), max_size=60))
def test_probabilities_are_those_of_at_most_one_of_all(models: list[str]) -> None:
    chain = Markov()
    for model in models:
        chain.observe("r", model)
    for model in "abcd":
        found = chain.next_of(model)
        assert model not in found
        assert all(0 < one < 1 for one in found.values())
        assert sum(found.values()) < 1


def test_few_pauses_say_nothing() -> None:
    pauses = IdleTimes()
    for _ in range(IdleTimes.OBSERVATIONS_MIN - 1):
        pauses.observe(1.0)
    assert pauses.percentile_s(0.99) is None


@given(
    st.lists(st.floats(0.0, 80_000.0), min_size=IdleTimes.OBSERVATIONS_MIN, max_size=200),
    st.floats(0.01, 1.0),
)
def test_a_percentile_covers_its_share_and_is_at_most_a_bin_too_long(
    pauses: list[float], share: float
) -> None:
    times = IdleTimes()
    for pause_s in pauses:
        times.observe(pause_s)
    found = times.percentile_s(share)
    assert found is not None
    covered = sum(pause_s <= found for pause_s in pauses)
    assert covered >= share * len(pauses)
    if found > 0.25:
        below = sum(pause_s <= found / 2**0.5 * (1 - 1e-12) for pause_s in pauses)
        assert below < share * len(pauses)


def test_pauses_of_over_a_day_are_no_reason_to_keep_a_model() -> None:
    times = IdleTimes()
    for _ in range(20):
        times.observe(200_000.0)
    assert times.percentile_s(0.5) is None
