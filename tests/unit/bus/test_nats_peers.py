"""What is known of the other processes on a NATS server."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.bus.adapters.nats_peers import LOST_AFTER_S, SUSPECT_AFTER_S, Changes, Peers, State
from symphony.bus.core.registry import BEAT_S
from symphony.commons.errors import ValidationFailed


def state(
    process: str, version: int, *names: str, wants: tuple[str, ...] = (), gone: tuple[str, ...] = ()
) -> State:
    return State(process, version, {name: [] for name in names}, list(wants), list(gone))


def test_what_came_and_went_is_told_once() -> None:
    peers = Peers()
    assert peers.told(state("p", 1, "a", "b"), 0.0) == Changes({"a": [], "b": []}, [])
    assert peers.told(state("p", 2, "b", "c"), 0.0) == Changes({"c": []}, ["a"])
    assert peers.told(state("p", 2, "b", "c"), 0.0) == Changes()
    assert peers.told(state("p", 1, "a"), 0.0) == Changes(), "an older state that comes late says nothing"
    assert peers.told(state("p", 3, "b", gone=("d",)), 0.0) == Changes({}, ["c", "d"])
    assert peers.forget("p") == Changes({}, ["b"])
    assert peers.forget("p") == Changes()


def test_a_name_that_another_process_took_over_is_not_gone() -> None:
    peers = Peers()
    peers.told(state("old", 1, "a", "b"), 0.0)
    assert peers.told(state("new", 1, "a"), 0.0) == Changes()
    assert peers.forget("old") == Changes({}, ["b"])
    assert peers.names() == {"a": []}


def test_a_life_sign_with_an_unknown_state_asks_for_it() -> None:
    peers = Peers()
    assert peers.heard("p", 0, 0.0)
    peers.told(state("p", 1), 0.0)
    assert not peers.heard("p", 1, 0.0)
    assert peers.heard("p", 2, 0.0)


def test_a_silent_process_is_suspect_first_and_lost_later() -> None:
    peers = Peers()
    peers.told(state("p", 1), 0.0)
    found: list[tuple[float, list[str], list[str]]] = []
    for beat in range(20):
        suspects, lost = peers.silent(beat * BEAT_S)
        if suspects or lost:
            found.append((beat * BEAT_S, suspects, lost))
    (first_s, suspects, _), (last_s, _, lost) = found
    assert suspects == lost == ["p"]
    assert SUSPECT_AFTER_S <= first_s < SUSPECT_AFTER_S + BEAT_S
    assert LOST_AFTER_S <= last_s < LOST_AFTER_S + BEAT_S


@pytest.mark.parametrize(
    "wrong", [state("p", 1, "a b"), state("p", 1, "a.*"), state("p", 1, wants=("a.>.b",))]
)
def test_what_is_no_name_or_pattern_is_refused_and_changes_nothing(wrong: State) -> None:
    peers = Peers()
    peers.told(state("p", 0, "kept"), 0.0)
    with pytest.raises(ValidationFailed):
        peers.told(wrong, 0.0)
    assert peers.names() == {"kept": []}


@given(
    st.lists(st.tuples(st.sampled_from("pqr"), st.sets(st.sampled_from("abc")), st.booleans()), max_size=30)
)
def test_joined_and_gone_add_up_to_what_is_there(steps: list[tuple[str, set[str], bool]]) -> None:
    peers, there = Peers(), set[str]()
    for version, (process, names, dies) in enumerate(steps):
        found = peers.forget(process) if dies else peers.told(state(process, version, *names), 0.0)
        assert not there & found.joined.keys()
        assert set(found.gone) <= there
        there = (there | found.joined.keys()) - set(found.gone)
        assert there == set(peers.names())
