"""The account of a run's models: nothing is granted that could exceed a limit."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.pit.tracker.core.budget import BudgetAccount, Limits
from symphony.pit.tracker.core.records import (
    CancelledRecord,
    FailedRecord,
    FinishedFullyRecord,
    FinishedRecord,
    Record,
    StartedRecord,
    decode_batch,
    encode_batch,
    usage_of,
    usage_row,
)
from symphony.ports.models import Estimate, Usage

money = st.decimals(min_value=0, max_value=10, places=6)
tokens = st.integers(0, 10_000)
estimates = st.builds(Estimate, tokens_in=tokens, tokens_out=tokens, cost=money)
limits = st.builds(
    Limits,
    money=st.none() | money,
    tokens=st.none() | st.integers(1, 50_000),
    calls=st.none() | st.integers(1, 20),
)
usages = st.builds(
    Usage,
    calls=st.integers(0, 5),
    tokens_in=tokens,
    tokens_out=tokens,
    tokens_cached=tokens,
    cost=st.none() | money,
    currency=st.none() | st.just("EUR"),
    estimated=st.booleans(),
)


@given(limits, st.lists(st.tuples(estimates, st.integers(0, 100), st.integers(0, 3)), max_size=30))
def test_whatever_runs_at_once_the_limits_hold_if_no_request_uses_more_than_its_most(
    limit: Limits, requests: list[tuple[Estimate, int, int]]
) -> None:
    ledger, running = BudgetAccount(limit), list[tuple[Estimate, int]]()
    for most, percent, ending in requests:
        if ledger.excess(most) is None and ledger.granted(most):
            running.append((most, percent))
        for _ in range(min(ending, len(running))):
            settle(ledger, *running.pop(0))
    for one in running:
        settle(ledger, *one)
    assert ledger.outstanding == 0
    assert limit.calls is None or ledger.spent.calls <= limit.calls
    assert limit.tokens is None or ledger.spent.tokens <= limit.tokens
    assert limit.money is None or (ledger.spent.cost or Decimal(0)) <= limit.money


def settle(ledger: BudgetAccount, most: Estimate, percent: int) -> None:
    assert most.cost is not None
    used = Usage(
        calls=1,
        tokens_in=most.tokens_in * percent // 100,
        tokens_out=most.tokens_out * percent // 100,
        cost=most.cost * percent / 100,
    )
    ledger.settle(most, used)


@given(limits, limits)
def test_the_strictest_of_two_budgets_is_neither_above_the_one_nor_the_other(
    one: Limits, other: Limits
) -> None:
    both = one.strictest(other)
    assert both == other.strictest(one)
    for name in ("money", "tokens", "calls"):
        given_limits = [x for x in (getattr(one, name), getattr(other, name)) if x is not None]
        assert getattr(both, name) == (min(given_limits) if given_limits else None)


def test_without_limits_everything_is_granted() -> None:
    ledger = BudgetAccount(Limits())
    assert ledger.granted(Estimate(tokens_in=10**9))
    assert not ledger.unpriced(Estimate())
    assert not ledger.limits


def test_a_cent_more_than_the_limit_is_too_much_and_the_limit_itself_is_not() -> None:
    ledger = BudgetAccount(Limits(money=Decimal("0.3")))
    for _ in range(3):  # as doubles, three times 0.1 would be more than 0.3
        assert ledger.granted(Estimate(cost=Decimal("0.1")))
    assert not ledger.granted(Estimate(cost=Decimal("0.000001")))


@given(usages)
def test_usage_survives_the_journal(usage: Usage) -> None:
    records: list[Record] = [
        FinishedFullyRecord(1, 2.0, 1.0, None, None, None, usage_row(usage)),
        FailedRecord(1, 2.0, 1.0, ("a", "b", None), False, usage_row(usage)),
        CancelledRecord(1, 2.0, usage_row(usage)),
    ]
    assert [usage_of(record) for record in decode_batch(encode_batch(records))] == [usage] * 3


def test_records_without_usage_are_those_of_before() -> None:
    record = FinishedRecord(1, 2.0, 1.0, None, None, None)
    fully = FinishedFullyRecord(1, 2.0, 1.0, None, None, None, usage_row(None))
    assert encode_batch([fully]) == encode_batch([record])
    assert usage_of(record) is usage_of(fully) is None
    assert usage_of(StartedRecord(1, 2.0, 1)) is None


@pytest.mark.parametrize(
    "told", [5, [1], ["x", 0, 0, 0, None, None, False], [1, 0, 0, 0, "much", None, False]]
)
def test_damaged_usage_is_told(told: object) -> None:
    with pytest.raises(SerializationFailed):
        usage_of(CancelledRecord(1, 2.0, told))
