"""How fast things go on a bus, from two looks at it."""

import pytest

from symphony.bus.core.metrics import BusStats, EndpointStats, rates


def looked(uptime_s: float, events: dict[str, int], requests: int, **received: int) -> BusStats:
    """What one look at a bus found."""
    return BusStats(
        uptime_s=uptime_s, events=events, requests=requests, failed=0, late_replies=0, pending=0, refused=0,
        latency_counts=[], latency_sum_s=0.0, latency_p50_s=0.0, latency_p99_s=0.0, drops={}, mailboxes=[],
        endpoints=[EndpointStats(name=name, received=number) for name, number in received.items()], links=0,
    )  # fmt: skip


def test_what_happened_between_two_looks_is_told_for_each_second() -> None:
    before = looked(10.0, {"run": 100, "bus": 4}, 7, bus=3, gone=50)
    after = looked(12.0, {"run": 300, "bus": 4, "new": 1}, 8, bus=7, came=10, cli=1)
    found = rates(before, after, asker="cli")
    assert found is not None
    assert found.window_s == pytest.approx(2.0)
    assert found.events == pytest.approx({"run": 100.0, "bus": 0.0, "new": 0.5})
    assert found.requests == pytest.approx(0.5)
    assert found.received == pytest.approx({"bus": 2.0, "came": 5.0})


def test_an_endpoint_that_was_made_again_has_no_negative_rate() -> None:
    found = rates(looked(1.0, {}, 0, worker=90), looked(2.0, {}, 0, worker=5), asker="cli")
    assert found is not None
    assert found.received == {"worker": 0.0}


@pytest.mark.parametrize("later_s", [5.0, 0.1])
def test_two_looks_at_different_buses_or_at_one_moment_have_no_rates(later_s: float) -> None:
    assert rates(looked(5.0, {}, 0), looked(later_s, {}, 0), asker="cli") is None
