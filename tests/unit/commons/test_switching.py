"""Threads switch quickly while a journal is written, less so while operators run in threads."""

import sys
from collections.abc import Iterator

import pytest

from symphony.commons.switching import QUICK_S, SHARED_S, Switching

USUAL_S = 0.005


@pytest.fixture(autouse=True)
def _usual() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(USUAL_S)
    yield
    sys.setswitchinterval(before)


def now() -> float:
    return round(sys.getswitchinterval(), 6)


def test_the_last_writer_sets_back_what_the_first_found() -> None:
    switching = Switching()
    for _ in range(2):
        switching.writer_begins()
        assert now() == QUICK_S
    switching.writer_ends()
    assert now() == QUICK_S
    switching.writer_ends()
    assert now() == USUAL_S


def test_threads_are_given_longer_while_an_operator_runs_in_one() -> None:
    switching = Switching()
    switching.operator_begins()
    assert now() == USUAL_S
    switching.writer_begins()
    assert now() == SHARED_S
    switching.operator_begins()
    switching.operator_ends()
    assert now() == SHARED_S
    switching.operator_ends()
    assert now() == QUICK_S
    switching.operator_begins()
    assert now() == SHARED_S
    switching.writer_ends()
    switching.operator_ends()
    assert now() == USUAL_S


def test_what_somebody_else_sets_meanwhile_stays() -> None:
    switching = Switching()
    switching.writer_begins()
    sys.setswitchinterval(0.001)
    switching.operator_begins()
    switching.operator_ends()
    switching.writer_ends()
    assert now() == 0.001
    switching.writer_begins()
    assert now() == QUICK_S
    switching.writer_ends()
    assert now() == 0.001


def test_who_wants_it_quicker_still_is_left_alone() -> None:
    sys.setswitchinterval(0.0001)
    switching = Switching()
    switching.writer_begins()
    assert now() == 0.0001
    switching.writer_ends()
    assert now() == 0.0001
