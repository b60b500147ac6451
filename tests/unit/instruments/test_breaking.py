"""The circuit breaker against its rules, whatever happens in whatever order."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.kit.instruments.hosted.breaking import (
    CircuitBreaker,
    CircuitOpened,
    CircuitPass,
    CircuitState,
    ProbeUnderWay,
)

OPEN_S = 30.0


def passed(breaker: CircuitBreaker, now_s: float) -> CircuitPass:
    answer = breaker.ask(now_s)
    assert isinstance(answer, CircuitPass)
    return answer


def opened(failures_max: int = 3, asked_s: float | None = None) -> CircuitBreaker:
    breaker = CircuitBreaker(failures_max, OPEN_S)
    for _ in range(failures_max):
        breaker.failed(passed(breaker, 0.0), 0.0, asked_s)
    return breaker


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    breaker = CircuitBreaker(2, OPEN_S)
    breaker.failed(passed(breaker, 0.0), 0.0)
    breaker.succeeded(passed(breaker, 0.0))
    breaker.failed(passed(breaker, 0.0), 0.0)
    assert breaker.state is CircuitState.CLOSED
    breaker.failed(passed(breaker, 0.0), 0.0)
    assert breaker.ask(10.0) == CircuitOpened(20.0)


def test_the_endpoint_may_ask_for_more_time_and_not_for_less() -> None:
    assert opened(asked_s=50.0).ask(0.0) == CircuitOpened(50.0)
    assert opened(asked_s=5.0).ask(0.0) == CircuitOpened(OPEN_S)


def test_one_probe_decides() -> None:
    breaker = opened()
    probe = passed(breaker, OPEN_S)
    assert isinstance(breaker.ask(OPEN_S), ProbeUnderWay)
    breaker.failed(probe, 40.0)
    assert breaker.ask(40.0) == CircuitOpened(OPEN_S)
    breaker.succeeded(passed(breaker, 40.0 + OPEN_S))
    assert breaker.state is CircuitState.CLOSED
    assert breaker.failures == 0


def test_a_probe_that_is_given_up_makes_way_for_the_next() -> None:
    breaker = opened()
    breaker.dropped(passed(breaker, OPEN_S))
    assert isinstance(breaker.ask(OPEN_S), CircuitPass)


def test_without_a_bound_it_never_opens() -> None:
    breaker = CircuitBreaker(0, OPEN_S)
    for _ in range(1000):
        breaker.failed(passed(breaker, 0.0), 0.0)
    assert breaker.state is CircuitState.CLOSED


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "good", "bad", "drop"]), st.integers(0, 7), st.floats(0.0, 20.0)),
    max_size=80,
)


@given(STEPS, st.integers(1, 4))
def test_whatever_happens_it_is_never_stuck_and_probes_one_at_a_time(
    steps: list[tuple[str, int, float]], failures_max: int
) -> None:
    breaker, now_s = CircuitBreaker(failures_max, OPEN_S), 0.0
    out: list[tuple[CircuitPass, bool]] = []  # with whether it was given to a probe
    opened_s = -1.0
    for what, which, later_s in steps:
        now_s += later_s
        before = breaker.state
        if what == "ask":
            answer = breaker.ask(now_s)
            if isinstance(answer, CircuitPass):
                out.append((answer, before is not CircuitState.CLOSED))
                assert before is not CircuitState.HALF_OPEN
            elif isinstance(answer, CircuitOpened):
                assert 0 < answer.wait_s <= OPEN_S
            else:
                assert any(probe for _, probe in out)
        elif out:
            one, probe = out.pop(which % len(out))
            match what:
                case "good":
                    breaker.succeeded(one)
                case "bad":
                    breaker.failed(one, now_s)
                case _:
                    breaker.dropped(one)
            if before is not CircuitState.CLOSED and not probe:
                assert breaker.state is before  # sent before it opened: says nothing
            if before is CircuitState.CLOSED and breaker.state is CircuitState.OPEN:
                opened_s = now_s
        if breaker.state is CircuitState.OPEN and before is CircuitState.CLOSED:
            assert breaker.failures == failures_max
        assert sum(probe for _, probe in out) <= 1
    assert opened_s <= now_s
    for one, _ in out:
        breaker.dropped(one)
    assert isinstance(breaker.ask(now_s + OPEN_S), CircuitPass)
