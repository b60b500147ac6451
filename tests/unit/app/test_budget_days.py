"""Runs that share a budget, on a clock that drives the event loop: they wait for the next day, or fail."""

from typing import Literal

import pytest

from symphony.commons.settings import BudgetConfig, Config, SharedBudgetConfig
from symphony.ports.models import Usage
from symphony.ports.runs import RunStatus
from symphony.testing import FakeClock, FakeModel, run, workflow
from symphony.testing.outcome import Outcome

MIDNIGHT = 1_750_032_000.0
TWO = workflow(
    """
    name: two
    nodes:
      a: {instrument: writer, inputs: {prompt: a}}
      b: {instrument: writer, inputs: {prompt: b}}
    """
)
"""Two questions at once, each of ten tokens."""


def asked(
    tokens: int,
    exceeded: Literal["wait", "fail"] = "wait",
    *,
    before_s: float = 3_600,
    cancel_after_s: float | None = None,
) -> tuple[Outcome, FakeModel]:
    budget = BudgetConfig(timezone="UTC", shared=(SharedBudgetConfig(tokens=tokens, exceeded=exceeded),))
    model = FakeModel("a", "b", "c", usage=Usage(calls=1, tokens_in=10))
    outcome = run(
        TWO, models={"writer": model}, config=Config(budget=budget), clock=FakeClock(MIDNIGHT - before_s),
        cancel_after_s=cancel_after_s,
    )  # fmt: skip
    return outcome, model


def test_what_is_too_much_for_today_is_asked_tomorrow() -> None:
    outcome, _ = asked(15)
    assert outcome.result.status is RunStatus.SUCCEEDED
    assert 3_600 <= outcome.elapsed_s < 3_700
    waited = next(event.node for event in outcome.events if event.type == "node.queued")
    types = [event.type for event in outcome.events if event.node == waited]
    assert types[-4:] == ["node.queued", "node.granted", "node.started", "node.finished"]
    assert outcome.result.nodes[str(waited)].attempts == 1


def test_what_fits_today_does_not_wait() -> None:
    outcome, _ = asked(20)
    assert outcome.elapsed_s < 1
    assert "node.queued" not in {event.type for event in outcome.events}


def test_what_is_too_much_for_today_fails_if_it_shall() -> None:
    outcome, model = asked(15, "fail")
    error = outcome.result.error
    assert error is not None
    assert "the day's budget of all runs, 15 tokens, 10 tokens are spent" in error.message
    assert outcome.elapsed_s < 100
    assert model.calls


@pytest.mark.parametrize("exceeded", ["wait", "fail"])
def test_what_is_too_much_for_any_day_fails_at_once(exceeded: Literal["wait", "fail"]) -> None:
    outcome, _ = asked(9, exceeded)
    assert outcome.result.error is not None
    assert outcome.elapsed_s < 1


def test_a_run_that_waits_for_tomorrow_can_be_cancelled() -> None:
    outcome, _ = asked(15, cancel_after_s=600)
    assert outcome.result.status is RunStatus.CANCELLED
    assert outcome.elapsed_s < 700
