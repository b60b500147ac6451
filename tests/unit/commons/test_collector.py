"""Python looks for cycles seldom while a run goes on, and as before after it."""

import gc
from collections.abc import Iterator

import pytest

from symphony.commons.collector import SELDOM, seldom_collected

USUAL = (700, 10, 10)


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*USUAL)
    yield
    gc.set_threshold(*before)


def test_the_last_to_leave_sets_back_what_the_first_found() -> None:
    with seldom_collected:
        with seldom_collected:
            assert gc.get_threshold() == SELDOM
        assert gc.get_threshold() == SELDOM
    assert gc.get_threshold() == USUAL


def test_what_somebody_else_sets_meanwhile_stays() -> None:
    with seldom_collected:
        gc.set_threshold(1_000, 5, 5)
    assert gc.get_threshold() == (1_000, 5, 5)


@pytest.mark.parametrize("wanted", [(0, 10, 10), (50_000, 20, 20)])
def test_who_wants_it_as_seldom_or_never_is_left_alone(wanted: tuple[int, int, int]) -> None:
    gc.set_threshold(*wanted)
    with seldom_collected:
        assert gc.get_threshold() == wanted
    assert gc.get_threshold() == wanted


def test_a_failure_inside_sets_it_back_too() -> None:
    with pytest.raises(ZeroDivisionError), seldom_collected:
        raise ZeroDivisionError
    assert gc.get_threshold() == USUAL
