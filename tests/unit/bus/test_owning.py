"""Who owns what all processes of a home share: the search of one process, and of many in a simulation."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.bus.core.owning import AGAIN, LOOK_AGAIN_S, PATIENCE_S, OwnerRole, OwnerSearch


def test_the_first_that_takes_the_lock_is_the_owner_and_stays_so() -> None:
    search = OwnerSearch()
    search.took()
    assert search.standing is OwnerRole.OWNER
    search.lost(search.tenure)
    search.reached(7)
    assert search.standing is OwnerRole.OWNER


def test_an_owner_that_answers_makes_this_process_a_member() -> None:
    search = OwnerSearch()
    search.reached(7)
    assert (search.standing, search.holder) == (OwnerRole.MEMBER, 7)


def test_what_is_heard_late_of_an_earlier_owner_changes_nothing() -> None:
    search = OwnerSearch()
    search.reached(7)
    first = search.tenure
    search.lost(first)
    assert search.standing is OwnerRole.SEEKING
    search.reached(8)
    search.lost(first)
    assert (search.standing, search.holder) == (OwnerRole.MEMBER, 8)


def test_a_process_goes_on_alone_after_its_patience_and_keeps_looking() -> None:
    search = OwnerSearch(patience_s=5.0)
    assert search.missed("nobody answers", 7, 100.0) <= AGAIN.max_s
    search.missed("nobody answers", 7, 104.9)
    assert search.standing is OwnerRole.SEEKING
    assert search.missed("nobody answers", 7, 105.0) == LOOK_AGAIN_S
    assert (search.standing, search.holder, search.why) == (OwnerRole.ALONE, 7, "nobody answers")
    assert not search.over
    search.reached(7)
    assert search.standing is OwnerRole.MEMBER


def test_each_search_has_the_whole_patience() -> None:
    search = OwnerSearch(patience_s=5.0)
    search.missed("", None, 0.0)
    search.reached(7)
    search.lost(search.tenure)
    search.missed("", None, 100.0)
    assert search.standing is OwnerRole.SEEKING


def test_an_owner_that_cannot_serve_this_process_leaves_it_alone_at_once() -> None:
    search = OwnerSearch()
    assert search.refused("another version", 7) == LOOK_AGAIN_S
    assert search.standing is OwnerRole.ALONE


@given(st.floats(0.0, 1.0))
def test_nobody_is_kept_waiting_longer_than_the_patience_and_one_pause(chance: float) -> None:
    search, now_s = OwnerSearch(), 0.0
    while search.standing is OwnerRole.SEEKING:
        pause_s = search.missed("", None, now_s, chance)
        assert 0 <= pause_s <= LOOK_AGAIN_S
        now_s += pause_s + 0.001
    assert now_s <= PATIENCE_S + LOOK_AGAIN_S + AGAIN.max_s


@pytest.mark.parametrize("seed", range(50))
def test_in_any_order_of_deaths_and_stops_there_is_never_more_than_one_owner(seed: int) -> None:
    """The lock is modelled as the operating system has it: it is free once its holder has died."""
    rng = Random(seed)
    searches = {pid: OwnerSearch() for pid in range(5)}
    tenures = dict.fromkeys(searches, 0)
    due = dict.fromkeys(searches, 0.0)
    stopped: set[int] = set()
    holder: int | None = None
    now_s = 0.0
    for _ in range(400):
        now_s += rng.uniform(0.0, 0.5)
        match rng.randrange(8):
            case 0 if len(searches) > 1:
                dead = rng.choice(sorted(searches))
                del searches[dead]
                stopped.discard(dead)
                if holder == dead:
                    holder = None
            case 1:
                stopped.add(rng.choice(sorted(searches)))
            case 2 if stopped:
                stopped.discard(rng.choice(sorted(stopped)))
        for pid, search in searches.items():
            if pid in stopped:
                continue
            if search.standing is OwnerRole.MEMBER and (search.holder != holder or holder in stopped):
                search.lost(tenures[pid])
            if search.over or due[pid] > now_s:
                continue
            if holder is None:
                holder = pid
                search.took()
            elif holder in stopped:
                due[pid] = now_s + search.missed("it does not answer", holder, now_s)
            else:
                search.reached(holder)
            tenures[pid] = search.tenure
        owners = [pid for pid, search in searches.items() if search.standing is OwnerRole.OWNER]
        assert owners == ([] if holder is None else [holder]), f"seed {seed}"
    now_s += PATIENCE_S
    stopped.clear()
    for pid, search in searches.items():
        if not search.over:
            if holder is None:
                holder = pid
                search.took()
            else:
                search.reached(holder)
    assert all(search.over for search in searches.values())
