"""What the runs of a home share: the arbiter and the budgets, as tables for people, and as JSON."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

import msgspec

from symphony.app.spelling import JSON
from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.commons.moments import local
from symphony.ports.arbitration import ArbiterStatus, RequestStatus
from symphony.ports.budgets import BudgetStatus

_SUPPLIES: Final = ("SCARCE", "TAKEN", "OF", Heading("", rank=2), "WAITING")
_WAITING: Final = (
    "WAITS", Heading("RUN", rank=2), Heading("USER", rank=1), Heading("FOR", rank=3), Heading("WHY", least=20)
)  # fmt: skip
_USERS: Final = ("USER", Heading("WEIGHT", rank=3), "SHARE", "GRANTS", "WAITING", Heading("LONGEST", rank=2))
_BUDGETS: Final = (
    Heading("BUDGET", least=16), "SPENT", Heading("RESERVED", rank=2), "OF", "LEFT", Heading("UNTIL", rank=3)
)  # fmt: skip
_LISTED_MAX: Final = 10


def arbiter_document(found: ArbiterStatus | None) -> dict[str, JSON] | None:
    """Return the arbiter for programs; None if no process has one."""
    if found is None:
        return None
    whole: dict[str, JSON] = msgspec.to_builtins(found)
    return whole


def arbiter_text(found: ArbiterStatus | None, run_of: Callable[[str], str]) -> str:
    """Return the arbiter for people; `run_of` gives what a run is called, of its id."""
    if found is None:
        return "nothing is handed out: no process of this home has an arbiter\n"
    supplies = [
        [one.supply, _number(one.taken), _number(one.amount), one.unit, str(one.waiting or "")]
        for one in found.supplies
    ]
    fair = found.fairness
    said = table(supplies, _SUPPLIES, width=room())
    if found.waiting:
        shown = found.waiting[:_LISTED_MAX]
        said += "\n" + table([_waits(one, found.at_s, run_of) for one in shown], _WAITING, width=room())
        if (more := len(found.waiting) - len(shown)) > 0:
            said += f"… and {more:,} more\n"
    if fair.users:
        rows = [
            [
                output.shown(one.user), _number(one.weight), f"{one.share:.1%}", f"{one.grants:,}",
                str(one.waiting or ""), f"{one.waited_max_s:.1f} s",
            ]
            for one in fair.users
        ]  # fmt: skip
        said += "\n" + table(rows, _USERS, width=room())
    window = f"in the last {fair.window_s:.0f} s" if fair.window_s else "so far"
    told = f"Gini {fair.gini:.2f}, longest wait {fair.waited_max_s:.1f} s"
    return f"{said}\nstrategy {found.strategy}; {window}: {told}\n"


def budgets_document(found: Sequence[BudgetStatus]) -> list[JSON]:
    """Return the budgets for programs; amounts of money are texts, which lose nothing."""
    whole: list[JSON] = msgspec.to_builtins(list(found), builtin_types=())
    return whole


def budgets_text(found: Sequence[BudgetStatus], currency: str) -> str:
    """Return the budgets for people, a line for each thing that one limits."""
    rows = list[list[str]]()
    for one in found:
        until = "" if one.until_s is None else local(one.until_s).strftime("%Y-%m-%d %H:%M")
        amounts: list[tuple[Decimal | int | None, Decimal | int, Decimal | int, str]] = [
            (one.money, one.money_spent, one.money_held, currency),
            (one.tokens, one.tokens_spent, one.tokens_held, "tokens"),
            (one.calls, one.calls_spent, one.calls_held, "calls"),
        ]
        for limit, spent, held, unit in amounts:
            if limit is not None:
                left = max(limit - spent - held, 0)
                told = [
                    _number(spent),
                    _number(held) if held else "",
                    f"{_number(limit)} {unit}",
                    _number(left),
                ]
                rows.append([output.shown(one.budget), *told, until])
    return table(rows, _BUDGETS, width=room()) if rows else "runs share no budget\n"


def _waits(one: RequestStatus, at_s: float, run_of: Callable[[str], str]) -> list[str]:
    waited = f"{max(0.0, at_s - one.since_s):.1f} s"
    return [
        waited,
        run_of(one.run),
        output.shown(one.user),
        output.shown(one.resource),
        output.shown(one.reason),
    ]


def _number(amount: Decimal | float) -> str:
    text = f"{amount:,.6f}" if isinstance(amount, float) else f"{amount:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
