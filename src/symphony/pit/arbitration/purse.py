"""The budgets that the runs of a home share, for the runs of this process. Use it from one event loop."""

import asyncio
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from typing import Final, NamedTuple, TypeVar

from symphony.commons.components import Health, HealthStatus
from symphony.commons.errors import SymphonyError
from symphony.pit.arbitration.core.budgets import BudgetBook, dated, dates_at, touches
from symphony.pit.arbitration.ledger import BudgetLedger, LedgerEntry, Reserve, Reserved, Settle, Wait
from symphony.ports.arbitration import ArbiterEvent, ConflictKind, RequestGranted, RequestWaits
from symphony.ports.budgets import BudgetReservation, BudgetShortfall, BudgetStatus, BudgetWait, Payer
from symphony.ports.clock import Clock
from symphony.ports.models import Estimate, Usage

T = TypeVar("T")

LOOK_EVERY_S: Final = 0.25
"""How often those who wait look whether other processes have settled anything."""
LOOK_EVERY_ALONE_S: Final = 60.0
"""The same for budgets in memory: only the clock may have been set."""


class _Entry(NamedTuple):
    entry: LedgerEntry
    future: "asyncio.Future[Reserved]"


class HomeBudgets:
    """`symphony.ports.budgets.SharedBudgets` over a ledger. One thread makes the entries, many at once.

    Nothing is opened before the first request that a budget limits.
    """

    def __init__(
        self,
        ledger: BudgetLedger,
        clock: Clock,
        *,
        observe: Callable[[ArbiterEvent], None] = lambda _: None,
    ) -> None:
        """`observe` hears of requests that wait for room."""
        self._ledger, self._clock, self._observe = ledger, clock, observe
        self._rules = ledger.rules
        self._book: BudgetBook | None = None
        self._pending: list[_Entry] = []
        self._working: asyncio.Future[None] | None = None
        self._news = asyncio.Event()
        self._thread: ThreadPoolExecutor | None = None
        self._trouble = ""

    # What runs ask.

    def limits_money(self, payer: Payer) -> bool:
        """True if money of the payer is limited."""
        return any(rule.limits.money is not None and rule.whose(payer) is not None for rule in self._rules)

    def short(self, payer: Payer, most: Estimate) -> BudgetShortfall | None:
        """Return the budget that the request would exceed, by the last look at the ledger."""
        now_s, book = self._clock.now_s(), self._book
        if book is None or book.dates != dates_at(now_s, self._ledger.zone):
            return None
        found = book.shortfall(self._rules, payer, most, unit=self._ledger.currency)
        return None if found is None else dated(found, now_s, self._ledger.zone)

    async def reserve(
        self, payer: Payer, node: str, model: str, most: Estimate
    ) -> BudgetReservation | BudgetShortfall | None:
        """Reserve for a request, durably; None if no budget limits what it may use.

        Raises LedgerFailed, StorageFull, IoFailed.
        """
        if not touches(self._rules, payer, most):
            return None
        future = self._enter(Reserve(payer=payer, node=node, model=model, most=most))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            future.add_done_callback(self._give_back)
            raise

    def settle(self, reservation: BudgetReservation, usage: Usage) -> None:
        """The request is over. What cannot be written now is written later, and counts in full until then."""
        self._enter(Settle(id=reservation.id, usage=usage))

    async def news(self, until_s: float | None) -> None:
        """Return once something may have changed, at the latest at `until_s`; then `short` knows it."""
        slice_s = LOOK_EVERY_ALONE_S if self._ledger.folder is None else LOOK_EVERY_S
        if until_s is not None:
            slice_s = min(slice_s, max(0.0, until_s - self._clock.now_s()) + 0.001)
        loop = asyncio.get_running_loop()
        told = loop.create_task(self._news.wait(), name="news of budgets")
        slept = loop.create_task(self._clock.sleep(slice_s), name="look at budgets")
        try:
            await asyncio.wait({told, slept}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            told.cancel()
            slept.cancel()
        if self._ledger.folder is not None:
            with suppress(SymphonyError):  # the next reservation reports it
                self._book = await self._in_thread(self._looked) or self._book

    @contextmanager
    def waits(
        self, payer: Payer, node: str, model: str, most: Estimate, *, priority: int = 0
    ) -> Iterator[None]:
        """While the context is open, all processes of the home can see that the request waits."""
        begun_s = self._clock.now_s()
        wait = BudgetWait(
            id=uuid.uuid4().hex, payer=payer, node=node, model=model, priority=priority, since_s=begun_s,
            short=self.short(payer, most),
        )  # fmt: skip
        self._enter(Wait(wait=wait, most=most, begins=True))
        self._observe(_waits(wait))
        gone = False
        try:
            yield
        except BaseException:
            gone = True
            raise
        finally:
            self._enter(Wait(wait=wait, most=most, begins=False))
            if not gone:
                now_s = self._clock.now_s()
                self._observe(
                    RequestGranted(
                        id=wait.id, run=payer.run, node=node, user=payer.user, at_s=now_s,
                        reason="the budgets have room for it", waited_s=max(0.0, now_s - begun_s),
                    )
                )  # fmt: skip

    # The component.

    async def start(self) -> None:
        """Nothing is begun before the first request that a budget limits."""

    async def stop(self) -> None:
        """Write what has been settled, and close the ledger."""
        if self._pending and self._working is None:  # what could not be written before
            self._begin()
        while self._working is not None:
            await asyncio.wait({self._working})
            if self._trouble:
                break  # what is not written counts in full
        if self._thread is not None:
            await self._in_thread(self._ledger.close)
            self._thread.shutdown(wait=False)
            self._thread = None

    async def health_check(self) -> HealthStatus:
        """Unhealthy if the ledger could not be written when it was last tried."""
        if self._trouble:
            return HealthStatus(health=Health.UNHEALTHY, detail=self._trouble)
        return HealthStatus(detail=f"{len(self._rules)} budgets are kept")

    async def status(self) -> tuple[BudgetStatus, ...]:
        """Return all budgets in their present periods. Raises as `reserve`."""
        if self._working is not None:
            await asyncio.wait({self._working})
        now_s = self._clock.now_s()
        book = await self._in_thread(lambda: self._ledger.look(now_s))
        return tuple(book.standing(self._rules, now_s, self._ledger.zone))

    async def waiting(self) -> tuple[BudgetWait, ...]:
        """Return the requests of all processes that wait for room. Raises as `reserve`."""
        if self._working is not None:
            await asyncio.wait({self._working})
        now_s = self._clock.now_s()
        return await self._in_thread(lambda: self._ledger.waits(now_s))

    # Inside.

    def _enter(self, entry: LedgerEntry) -> "asyncio.Future[Reserved]":
        future: asyncio.Future[Reserved] = asyncio.get_running_loop().create_future()
        self._pending.append(_Entry(entry, future))
        if self._working is None:
            self._begin()
        return future

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        self._working = loop.create_task(self._work(), name="entries of budgets")

    async def _work(self) -> None:
        """Make entries until there are no more, all that have come meanwhile in one transaction."""
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                now_s, entries = self._clock.now_s(), [one.entry for one in batch]
                try:
                    results, book = await self._in_thread(partial(self._ledger.enter, entries, now_s))
                except SymphonyError as error:
                    self._trouble = error.message
                    self._fail(batch, error)
                    return
                except Exception as error:
                    self._lose(batch, error)
                    raise
                self._trouble, self._book = "", book
                for one, result in zip(batch, results, strict=True):
                    if not one.future.done():
                        one.future.set_result(result)
                self._tell()
        finally:
            self._working = None

    def _fail(self, batch: list[_Entry], error: SymphonyError) -> None:
        """Reservations fail; what was settled, and who waits, waits for the next entry."""
        settled = [one for one in batch if not isinstance(one.entry, Reserve)]
        self._pending[:0] = settled
        for one in batch:
            if isinstance(one.entry, Reserve) and not one.future.done():
                one.future.set_exception(error)

    def _lose(self, batch: list[_Entry], error: Exception) -> None:
        """A bug: those who wait hear of it, and the entries are not made again, or no other ever would be."""
        self._trouble = f"entries could not be made: {error!r}"
        for one in batch:
            if not one.future.done() and isinstance(one.entry, Reserve):
                one.future.set_exception(error)

    def _give_back(self, future: "asyncio.Future[Reserved]") -> None:
        """Give back what was reserved for a caller that is gone."""
        if not future.cancelled() and future.exception() is None:
            reserved = future.result()
            if isinstance(reserved, BudgetReservation):
                self.settle(reserved, Usage())

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def _looked(self) -> BudgetBook | None:
        now_s = self._clock.now_s()
        known = self._book is not None and self._book.dates == dates_at(now_s, self._ledger.zone)
        if known and not self._ledger.changed():
            return None
        return self._ledger.look(now_s)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="symphony-budgets")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _waits(wait: BudgetWait) -> RequestWaits:
    return RequestWaits(
        id=wait.id,
        run=wait.payer.run,
        node=wait.node,
        user=wait.payer.user,
        kind=ConflictKind.COST,
        supply="" if wait.short is None else wait.short.budget,
        reason=wait.reason,
        behind="",
        before=0,
        at_s=wait.since_s,
    )
