"""Calls, mailboxes, names and life signs against naive models."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.bus.core.calls import TICK_S, PendingCalls
from symphony.bus.core.mailbox import Bounded, Policy
from symphony.bus.core.metrics import Histogram, Metrics
from symphony.bus.core.registry import BEAT_S, EndpointEntry, Pulse, Registry
from symphony.bus.errors import EndpointTaken, EndpointUnknown

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "answer", "wait", "lose"]),
        st.integers(0, 9),
        st.none() | st.floats(0, 1, allow_nan=False),
    ),
    max_size=80,
)


@given(STEPS)
def test_calls_end_by_answer_or_deadline_once_each_and_leave_nothing(
    steps: list[tuple[str, int, float | None]],
) -> None:
    calls: PendingCalls[int] = PendingCalls()
    model: dict[str, float] = {}
    now, asked, late = 1000.0, 0, 0
    for action, number, seconds in steps:
        if action == "ask":
            asked += 1
            call = calls.add(str(asked), f"to{number % 3}", now)
            if seconds is not None:
                calls.limit(call, seconds)
            model[str(asked)] = float("inf") if seconds is None else now + seconds
        elif action == "answer":
            assert calls.answered(str(number), "another") is None
            expected = model.pop(str(number), None)
            late += 1 + (expected is None)
            found = calls.answered(str(number), "bus")
            assert (found is None) == (expected is None)
        elif action == "lose":
            lost = {call.message_id for call in calls.to({f"to{number % 3}"})}
            assert lost <= set(model)
            for message_id in lost:
                del model[message_id]
        else:
            now += seconds or 0.0
            for call in calls.due(now):
                assert model.pop(call.message_id) <= now, "never early"
            assert all(deadline > now - TICK_S for deadline in model.values()), "late by a tick at most"
        assert len(calls) == len(model)
        assert calls.late == late
    list(calls.due(now + 10))
    assert calls.next_s is None


def test_a_call_says_when_it_is_the_next_to_be_due() -> None:
    calls: PendingCalls[None] = PendingCalls()
    calls.add("d", "x", 0.0)
    assert calls.next_s is None
    assert calls.limit(calls.add("a", "x", 0.0), 5.0)
    assert not calls.limit(calls.add("b", "x", 0.0), 6.0)
    assert calls.limit(calls.add("c", "x", 0.0), 1.0)
    assert calls.next_s == pytest.approx(1.0, abs=1.5 * TICK_S)


def test_what_is_told_of_a_call_that_is_due_may_end_others_that_are_due() -> None:
    calls: PendingCalls[None] = PendingCalls()
    for name in ("a", "b", "c"):
        calls.limit(calls.add(name, f"to {name}", 0.0), 1.0)
    told = []
    for call in calls.due(2.0):
        told.append(call.message_id)
        assert [lost.message_id for lost in calls.to({"to b"})] == (["b"] if call.message_id == "a" else [])
    assert told == ["a", "c"]
    assert len(calls) == 0


@given(st.sampled_from(Policy), st.integers(1, 4), st.lists(st.booleans(), max_size=40))
def test_a_mailbox_loses_by_its_policy_and_nothing_else(
    policy: Policy, capacity: int, steps: list[bool]
) -> None:
    box: Bounded[int] = Bounded(capacity, policy)
    put, got, lost = 0, list[int](), list[int]()
    for writes in steps:
        if writes:
            was_full, was_closed = box.full, box.overflowed
            dropped = box.put(put)
            assert (dropped is not None) == (was_closed or (was_full and policy is not Policy.BLOCK))
            if dropped is not None:
                lost.append(dropped)
                assert (dropped == put) == (policy is not Policy.DROP_OLDEST)
            put += 1
        elif len(box):
            got.append(box.take())
    while len(box):
        got.append(box.take())
    assert sorted(got + lost) == list(range(put)), "each was got or told as lost, once"
    assert got == sorted(got)
    assert box.dropped == len(lost)


def entry(name: str, *serves: str) -> EndpointEntry:
    return EndpointEntry(name, lambda _: None, serves, capabilities=serves)


def test_a_name_is_given_once_and_free_again_when_its_owner_is_gone() -> None:
    registry = Registry()
    registry.add(entry("a"))
    with pytest.raises(EndpointTaken, match="another endpoint is called 'a'"):
        registry.add(entry("a"))
    assert registry.remove("a") is not None
    assert registry.remove("a") is None
    registry.add(entry("a"))


def test_those_who_serve_a_type_take_turns() -> None:
    registry = Registry()
    with pytest.raises(EndpointUnknown):
        registry.serving("resize")
    for name in "abc":
        registry.add(entry(name, "resize"))
    assert [registry.serving("resize").name for _ in range(4)] == ["a", "b", "c", "a"]
    registry.remove("c")
    assert {registry.serving("resize").name for _ in range(2)} == {"a", "b"}


@given(st.lists(st.tuples(st.integers(0, 2), st.floats(0.05, 0.3)), max_size=60))
def test_a_link_is_lost_exactly_when_it_was_silent_too_long(steps: list[tuple[int, float]]) -> None:
    pulse, heard, now = Pulse(beat_s=0.25, lost_after_s=0.9), {str(n): 0.0 for n in range(3)}, 0.0
    for link in heard:
        pulse.heard(link, now)
    for speaker, pause in steps:
        now += pause
        if str(speaker) in heard:
            heard[str(speaker)] = now
            pulse.heard(str(speaker), now)
        lost = {link for link, at in heard.items() if now - at >= 0.9}
        assert set(pulse.lost(now)) == lost
        for link in lost:
            del heard[link]


@given(st.floats(0, BEAT_S), st.floats(0, BEAT_S))
def test_a_peer_that_falls_silent_is_lost_within_a_second(last_sign_s: float, look_s: float) -> None:
    pulse = Pulse()
    pulse.heard("a", last_sign_s)
    looks = (look_s + number * BEAT_S for number in range(100))
    lost_s = next(now_s for now_s in looks if now_s >= last_sign_s and pulse.lost(now_s))
    assert 0.75 <= lost_s - last_sign_s < 1.0


def test_after_a_stall_of_our_own_nobody_is_blamed() -> None:
    pulse = Pulse(beat_s=0.25, lost_after_s=0.9)
    pulse.heard("a", 0.0)
    assert pulse.lost(0.25) == []
    assert pulse.lost(10.0) == []
    assert pulse.lost(10.25) == []
    assert pulse.lost(10.5) == []
    assert pulse.lost(10.75) == []
    assert pulse.lost(10.95) == ["a"]


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_right_within_a_factor_of_two(durations: list[float], share: float) -> None:
    histogram = Histogram()
    for seconds in durations:
        histogram.add(seconds)
    rank = max(1, -int(-share * len(durations) // 1))
    exact = sorted(durations)[min(len(durations), rank) - 1]
    assert exact <= histogram.quantile_s(share) * (1 + 1e-9)
    assert histogram.quantile_s(share) <= max(exact * 2, 1e-6) * (1 + 1e-9) + 1e-6


def test_counts_by_name_do_not_grow_without_end() -> None:
    metrics = Metrics()
    for number in range(10_000):
        metrics.dropped(f"endpoint{number}", f"topic{number}.x")
    assert len(metrics.drops) <= 257
    assert sum(sum(topics.values()) for topics in metrics.drops.values()) == 10_000
