"""What does it cost to ask the arbiter, and how long does it take to decide among a thousand?

Question: microseconds (a) of an uncontended request and its release, by the machine; (b) to find all
conflicts with 1,000 requests waiting; (c) to release a place and decide who gets it, with 1,000 requests of
one run waiting, with 1,000 of ten users' hundred runs, and with 1,000 that all differ. Size: medians of
2,000 uncontended requests and 300 others; 4 cores, memory and 100 models. Budget: 5 µs; 1,000 µs; 50, 500
and 5,000 µs.

And what does money cost: milliseconds (d) to reserve for a request in the ledger of a home, durably, and to
settle it; (e) each of 64 that do so at once; (f) of a bare durable commit of SQLite in the same folder, in
between. Size: medians of 100. Budget: (d) 4 commits, (e) 1 commit.

Run: python benchmarks/arbitration.py; prints one JSON line.
"""

import asyncio
import sqlite3
import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from statistics import median
from time import perf_counter

from measuring import Figure, line

from symphony.commons.time import SystemClock
from symphony.pit.arbitration.core.budgets import BudgetRule
from symphony.pit.arbitration.core.machine import ArbiterMachine
from symphony.pit.arbitration.core.supplies import Claim, Supply
from symphony.pit.arbitration.ledger import BudgetLedger
from symphony.pit.arbitration.purse import HomeBudgets
from symphony.pit.tracker.core.budget import Limits
from symphony.ports.arbitration import ConflictKind
from symphony.ports.budgets import BudgetReservation, Payer
from symphony.ports.models import Estimate, Usage

WAITING = 1_000
SUPPLIES = (
    Supply(name="cores", kind=ConflictKind.CPU, amount=4_000),
    Supply(name="memory", kind=ConflictKind.MEMORY, amount=8 << 30),
    *(Supply(name=f"model {n}", kind=ConflictKind.MODEL, amount=2) for n in range(100)),
)


def median_us(call: Callable[[int], object], times: int) -> float:
    """The median of `times` calls, microseconds; each gets its number."""
    took = []
    for number in range(times):
        started = perf_counter()
        call(number)
        took.append(perf_counter() - started)
    return median(took) * 1e6


def uncontended_us() -> float:
    """A request that is granted at once, and its release."""
    machine = ArbiterMachine(SUPPLIES, now_s=0.0)
    claims = [
        Claim(id=str(n), user="ada", run="run", node="step", needs=(("cores", 1_000),)) for n in range(2_000)
    ]

    def both(number: int) -> None:
        assert machine.grant_at_once(claims[number], float(number))
        machine.release(str(number), number + 0.5)

    return median_us(both, 2_000)


def crowded(claims: Callable[[int], Claim]) -> ArbiterMachine:
    """A machine in which so many wait, behind one that has all cores."""
    machine = ArbiterMachine(SUPPLIES, now_s=0.0)
    machine.ask(Claim(id="first", user="first", needs=(("cores", 4_000), ("model 0", 2))), 0.0)
    for number in range(WAITING):
        assert not machine.ask(claims(number), 0.0)
    return machine


def decision_us(claims: Callable[[int], Claim]) -> float:
    """A release, and the decision who is granted what comes back."""
    machine = crowded(claims)
    machine.release("first", 1.0)

    def one(number: int) -> None:
        held = machine.held()[0]
        assert machine.release(held.id, 1.0 + number)

    return median_us(one, 300)


def alike(number: int) -> Claim:
    """A thousand elements of a fan-out."""
    return Claim(id=str(number), user="ada", run="run", needs=(("cores", 1_000),))


def several(number: int) -> Claim:
    """Ten users with ten runs each."""
    user, run = number % 10, number % 100
    return Claim(id=str(number), user=f"user{user}", run=f"run{run}", needs=(("cores", 1_000),))


def different(number: int) -> Claim:
    """A thousand runs, each with a need of its own."""
    return Claim(
        id=str(number), user=f"user{number % 10}", run=f"run{number}", priority=number % 5,
        needs=(("cores", 1_000), ("memory", (number + 1) << 10)),
    )  # fmt: skip


async def money_ms(folder: Path) -> tuple[float, float, float]:
    """Of one reservation and its settlement; of one of 64 at once; of a bare durable commit."""
    rules = [BudgetRule(of=of, limits=Limits(money=Decimal(10**6))) for of in ("all", "user", "project")]
    budgets = HomeBudgets(BudgetLedger(folder / "budgets", rules, currency="USD", zone=None), SystemClock())
    most, used = Estimate(cost=Decimal("0.0123")), Usage(calls=1, cost=Decimal("0.0045"))

    async def one() -> None:
        held = await budgets.reserve(Payer(user="ada", project="bees"), "node", "model", most)
        assert isinstance(held, BudgetReservation)
        budgets.settle(held, used)

    bare = sqlite3.connect(folder / "bare.db", isolation_level=None)
    bare.execute("PRAGMA journal_mode=WAL")
    bare.execute("PRAGMA synchronous=FULL")
    bare.execute("CREATE TABLE t (a)")
    alone, together, commits = list[float](), list[float](), list[float]()
    for _ in range(100):
        started = perf_counter()
        await one()
        alone.append(perf_counter() - started)
        started = perf_counter()
        bare.execute("INSERT INTO t VALUES (1)")
        commits.append(perf_counter() - started)
    for _ in range(10):
        started = perf_counter()
        await asyncio.gather(*(one() for _ in range(64)))
        together.append((perf_counter() - started) / 64)
    bare.close()
    await budgets.stop()
    return median(alone) * 1e3, median(together) * 1e3, median(commits) * 1e3


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as place:
        alone_ms, together_ms, commit_ms = asyncio.run(money_ms(Path(place)))
    machine = crowded(different)
    figures = [
        Figure("uncontended request and release", uncontended_us(), "us", budget=5.0),
        Figure(
            "conflicts among 1,000", median_us(lambda _: machine.contentions(), 300), "us", budget=1_000.0
        ),
        Figure("decision, one run", decision_us(alike), "us", budget=50.0),
        Figure("decision, 100 runs", decision_us(several), "us", budget=500.0),
        Figure("decision, 1,000 different", decision_us(different), "us", budget=5_000.0),
        Figure("reservation in the ledger", alone_ms, "ms", budget=4 * commit_ms),
        Figure("reservation, each of 64 at once", together_ms, "ms", budget=commit_ms),
        Figure("a durable commit", commit_ms, "ms"),
    ]
    print(line("arbitration", f"{WAITING} waiting", figures))
