"""What `symphony pit arbiter` and `symphony pit budgets` do."""

import asyncio
from pathlib import Path
from typing import Final

from symphony.app import Symphony
from symphony.app.arbitration import budgets_now as budgets_of_home
from symphony.app.arbitration import replayed, with_costs
from symphony.app.pit import reached
from symphony.cli.actions import running
from symphony.cli.console import exits, output
from symphony.cli.views import shares
from symphony.commons.errors import SymphonyError
from symphony.commons.time import SystemClock
from symphony.ports.arbitration import ArbiterStatus
from symphony.ports.budgets import BudgetStatus

WAITS_S: Final = 1.0
"""How long the arbiter may take to say why a run waits, before what the journal says of it is shown."""


def arbiter_now(symphony: Symphony) -> ArbiterStatus | None:
    """Return the arbiter of the home; None if no process has one. Raises SymphonyError if it is silent."""

    async def run() -> ArbiterStatus | None:
        assert symphony.home is not None
        async with reached(symphony.home, symphony.config) as client:
            found = None if client is None else await client.arbiter()
        return await with_costs(found, symphony.config, symphony.home, SystemClock())

    return running.on_a_loop(run())


def budgets_now(symphony: Symphony) -> tuple[BudgetStatus, ...]:
    """Return the budgets that runs of the home share. Raises SymphonyError if they cannot be read."""
    assert symphony.home is not None
    return running.on_a_loop(budgets_of_home(symphony.config.budget, symphony.home, SystemClock()))


def waits_of(symphony: Symphony, run_id: str) -> dict[str, str]:
    """Return why requests of a run wait, by what they are for; nothing if the arbiter does not say."""

    async def run() -> ArbiterStatus | None:
        assert symphony.home is not None
        async with asyncio.timeout(WAITS_S), reached(symphony.home, symphony.config) as client:
            found = None if client is None else await client.arbiter()
            return await with_costs(found, symphony.config, symphony.home, SystemClock())

    try:
        found = running.on_a_loop(run())
    except (SymphonyError, TimeoutError):
        return {}
    waiting = () if found is None else found.waiting
    return {one.resource: one.reason for one in reversed(waiting) if one.run == run_id and one.reason}


def show_arbiter(*, as_json: bool) -> None:
    """Print the arbiter of the home."""
    symphony = Symphony.open()
    found = arbiter_now(symphony)
    if as_json:
        output.say_json(shares.arbiter_document(found))
    else:
        output.say(shares.arbiter_text(found, lambda run: _called(symphony, run)))


def replay(path: Path, *, as_json: bool) -> int:
    """Replay a record of an arbiter, and say whether it decides the same again."""
    found = replayed(path)
    if as_json:
        output.say_json(
            {"inputs": found.inputs, "decisions": found.decisions, "same": found.differs is None,
             "differs": found.differs}
        )  # fmt: skip
    elif found.differs is None:
        output.say(f"{found.inputs:,} inputs give the same {found.decisions:,} decisions again\n")
    else:
        output.say(f"{output.shown(found.differs)}\n")
    return exits.OK if found.differs is None else exits.FAILED


def show_budgets(*, as_json: bool) -> None:
    """Print the budgets of the home."""
    symphony = Symphony.open()
    found = budgets_now(symphony)
    if as_json:
        output.say_json(shares.budgets_document(found))
    else:
        output.say(shares.budgets_text(found, symphony.config.budget.currency))


def _called(symphony: Symphony, run_id: str) -> str:
    from symphony.ports.runs import short_id

    try:
        return symphony.runs.label(run_id)
    except SymphonyError:
        return short_id(run_id)
