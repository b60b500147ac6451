"""What `symphony pit arbiter` and `symphony pit budgets` do."""

import asyncio

from symphony.app import Symphony
from symphony.app.arbitration import budgets_now as budgets_of_home
from symphony.app.pit import reached
from symphony.cli.actions import running
from symphony.cli.console import output
from symphony.cli.views import shares
from symphony.commons.time import SystemClock
from symphony.ports.arbitration import ArbiterStatus
from symphony.ports.budgets import BudgetStatus


def arbiter_now(symphony: Symphony) -> ArbiterStatus | None:
    """Return the arbiter of the home; None if no process has one. Raises SymphonyError if it is silent."""

    async def run() -> ArbiterStatus | None:
        assert symphony.home is not None
        async with reached(symphony.home, symphony.config) as client:
            return None if client is None else await client.arbiter()

    with asyncio.Runner(loop_factory=running.new_loop) as runner:
        return runner.run(run())


def budgets_now(symphony: Symphony) -> tuple[BudgetStatus, ...]:
    """Return the budgets that runs of the home share. Raises SymphonyError if they cannot be read."""
    assert symphony.home is not None
    with asyncio.Runner(loop_factory=running.new_loop) as runner:
        return runner.run(budgets_of_home(symphony.config.budget, symphony.home, SystemClock()))


def show_arbiter(*, as_json: bool) -> None:
    """Print the arbiter of the home."""
    symphony = Symphony.open()
    found = arbiter_now(symphony)
    if as_json:
        output.say_json(shares.arbiter_document(found))
    else:
        output.say(shares.arbiter_text(found, lambda run: _called(symphony, run)))


def show_budgets(*, as_json: bool) -> None:
    """Print the budgets of the home."""
    symphony = Symphony.open()
    found = budgets_now(symphony)
    if as_json:
        output.say_json(shares.budgets_document(found))
    else:
        output.say(shares.budgets_text(found, symphony.config.budget.currency))


def _called(symphony: Symphony, run_id: str) -> str:
    from symphony.commons.errors import SymphonyError
    from symphony.ports.runs import short_id

    try:
        return symphony.runs.label(run_id)
    except SymphonyError:
        return short_id(run_id)
