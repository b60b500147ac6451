"""Testing your own workflows and operators: run in memory, with scripted models and a clock of your own.

    from symphony.testing import FakeModel, run

    def test_the_summary_is_what_the_model_says() -> None:
        model = FakeModel("short and sweet")
        outcome = run("summary.yaml", {"text": "long"}, models={"gpt": model})
        outcome.assert_succeeded(summary="short and sweet")
        assert model.calls[0].inputs["prompt"] == "Summarise: long"

Nothing is written anywhere, no network is used, and time passes only where nothing else can happen: a
delay of a day, a time-out and the back-off of retries take no time. No test framework is needed.
"""

from symphony.testing.clock import FakeClock, VirtualLoop, drive
from symphony.testing.models import Call, FakeModel, FakeModels
from symphony.testing.operators import FakeOperator, fake_operator
from symphony.testing.outcome import Outcome
from symphony.testing.running import Answer, run, workflow
from symphony.testing.scripts import After, ScriptExhausted

__all__ = [
    "After",
    "Answer",
    "Call",
    "FakeClock",
    "FakeModel",
    "FakeModels",
    "FakeOperator",
    "Outcome",
    "ScriptExhausted",
    "VirtualLoop",
    "drive",
    "fake_operator",
    "run",
    "workflow",
]
