"""Moments beyond calendars: told as the nearest one, wherever they come from."""

import logging
import math

import pytest

from symphony.cli.console import output
from symphony.commons import moments
from symphony.commons.log_outputs import _with_record
from symphony.ipc.envelope import EndpointId, EventPayload
from symphony.ipc.stationery import Stationery

BEYOND = (1e300, 8.64e16, 1e12, 253_402_300_800.0, -1e300, -8.64e16, -62_135_596_801.0)


@pytest.mark.parametrize("at", [*BEYOND, math.inf, -math.inf, math.nan, 0.0, -1.5])
def test_every_number_is_a_moment_that_can_be_told(at: float) -> None:
    assert moments.iso(at).endswith("Z")
    assert len(moments.iso(at)) == len("2026-01-31T12:00:00.000Z")
    assert len(output.moment(at)) >= len("2026-01-31T12:00:00+00:00")
    assert moments.local(at).tzinfo is not None
    assert 0 <= moments.nanoseconds(at) < 1 << 63


def test_the_ends_of_the_calendar_are_told_as_they_are() -> None:
    assert moments.iso(8.64e16) == "9999-12-31T23:59:59.000Z"
    assert moments.iso(-8.64e16) == "0001-01-01T00:00:00.000Z"
    assert moments.iso(1_750_000_000.25) == "2025-06-15T15:06:40.250Z"
    assert moments.iso(-1.0) == "1969-12-31T23:59:59.000Z"


def test_a_moment_later_is_never_beyond_the_calendar_unless_the_clock_is() -> None:
    assert moments.later(1_750_000_000.0, 5.0) == 1_750_000_005.0
    assert moments.later(1_750_000_000.0, 8.64e16) == moments.LAST_S
    assert moments.later(1e15, 5.0) == 1e15 + 5.0


@pytest.mark.parametrize("at", BEYOND)
def test_a_line_of_the_log_is_written_whatever_the_clock_says(at: float) -> None:
    record = logging.LogRecord("symphony", logging.INFO, "", 0, "said", (), None)
    record.created = at
    assert _with_record(None, "info", {"event": "said", "_record": record})["timestamp"].endswith("Z")


@pytest.mark.parametrize("at", [*BEYOND, 1e15])
def test_a_message_is_made_whatever_the_clock_says(at: float) -> None:
    made = Stationery(EndpointId("a"), now_s=lambda: at).envelope("event", EventPayload(topic="t", data=None))
    assert 0 <= made.header.timestamp < 1 << 63
