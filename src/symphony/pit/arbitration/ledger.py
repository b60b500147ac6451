"""The ledger of budgets that runs share: one SQLite file for all processes of a home. Not thread-safe.

A reservation is durable before its request is made. It belongs to its process, which holds a lock of the
operating system for as long as it lives: what a dead process had reserved counts as spent, in full, since
nobody knows what its requests used.
"""

import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import tzinfo
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory, release_lock
from symphony.pit.arbitration.core.budgets import (
    EVER,
    NUMBER_MAX,
    Account,
    Amounts,
    BudgetBook,
    BudgetRule,
    Dates,
    accounts_of,
    dated,
    dates_at,
    money_of,
    needed_by,
    used_by,
)
from symphony.pit.artifacts.base.database import (
    DatabaseBroken,
    close_with,
    connect,
    database_errors,
    run_script,
    transaction,
)
from symphony.pit.artifacts.base.failures import io_errors
from symphony.ports.budgets import BudgetReservation, BudgetShortfall, BudgetWait, Payer
from symphony.ports.models import Estimate, Usage

FILE: Final = "budgets.db"
_APPLICATION: Final = 0x53594231
_SCHEMA: Final = """
CREATE TABLE spent (
    currency TEXT NOT NULL, kind TEXT NOT NULL, who TEXT NOT NULL, period TEXT NOT NULL,
    money TEXT NOT NULL, tokens INTEGER NOT NULL, calls INTEGER NOT NULL,
    PRIMARY KEY (currency, kind, who, period)
) WITHOUT ROWID;
CREATE TABLE held (
    id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, run TEXT NOT NULL, node TEXT NOT NULL,
    model TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL, day TEXT NOT NULL, month TEXT NOT NULL,
    currency TEXT NOT NULL, money TEXT NOT NULL, tokens INTEGER NOT NULL
);
"""
_LATER: Final = """
CREATE TABLE IF NOT EXISTS waiting (
    id TEXT NOT NULL PRIMARY KEY, owner TEXT NOT NULL, run TEXT NOT NULL, node TEXT NOT NULL,
    model TEXT NOT NULL, user TEXT NOT NULL, project TEXT NOT NULL, currency TEXT NOT NULL,
    money TEXT NOT NULL, tokens INTEGER NOT NULL, priority INTEGER NOT NULL, since REAL NOT NULL
) WITHOUT ROWID;
"""
"""Tables that the first ledgers did not have, and that earlier versions pass over."""
_HELD: Final = "SELECT id, owner, user, project, day, month, money, tokens FROM held"


class LedgerFailed(SymphonyError):
    """The ledger of shared budgets cannot be read or written, so that nothing may be spent."""

    code = "budget-ledger"


class Reserve(msgspec.Struct, frozen=True, kw_only=True):
    """Reserve for a request."""

    payer: Payer
    node: str
    model: str
    most: Estimate


class Settle(msgspec.Struct, frozen=True, kw_only=True):
    """A request is over."""

    id: int
    usage: Usage


class Wait(msgspec.Struct, frozen=True, kw_only=True):
    """A request begins to wait for room, or, without `begins`, waits no longer."""

    wait: BudgetWait
    most: Estimate
    begins: bool


_WaitRow: TypeAlias = tuple[str, str, str, str, str, str, str, int, int, float]
LedgerEntry: TypeAlias = Reserve | Settle | Wait
Reserved: TypeAlias = BudgetReservation | BudgetShortfall | None


class BudgetLedger:
    """What runs have spent and reserved. Each `enter` is one transaction, on one look at the clock."""

    def __init__(
        self, folder: Path | None, rules: Sequence[BudgetRule], *, currency: str, zone: tzinfo | None
    ) -> None:
        """`folder` holds the ledger and the locks of its users; None: in memory. Opened at first use.

        `zone` None is the machine's time zone.
        """
        self.rules, self.currency, self.zone = tuple(rules), currency, zone
        self.folder = folder
        self._connection: sqlite3.Connection | None = None
        self._owner, self._lock = "", -1
        self._version = -1

    def enter(self, entries: Sequence[LedgerEntry], now_s: float) -> tuple[list[Reserved], BudgetBook]:
        """Make the entries, all or none; return what became of each, and the book afterwards.

        Raises LedgerFailed, StorageFull, IoFailed.
        """
        with self._failures():
            connection, results = self._open(), list[Reserved]()
            reserves = any(isinstance(one, Reserve) for one in entries)
            # What is reserved must outlive a power failure; what is settled may count in full after one.
            connection.execute(f"PRAGMA synchronous={'FULL' if reserves else 'NORMAL'}")
            with transaction(connection):
                book, swept = self._book(connection, now_s), False
                for entry in entries:
                    if isinstance(entry, Settle):
                        self._settle(connection, book, entry.id, used_by(entry.usage))
                        results.append(None)
                        continue
                    if isinstance(entry, Wait):
                        self._note_wait(connection, entry)
                        results.append(None)
                        continue
                    found = book.shortfall(self.rules, entry.payer, entry.most, unit=self.currency)
                    if found is not None and not swept:
                        swept = True
                        if self._settle_dead(connection, book):
                            found = book.shortfall(self.rules, entry.payer, entry.most, unit=self.currency)
                    if found is not None:
                        results.append(dated(found, now_s, self.zone))
                    else:
                        results.append(self._hold(connection, book, entry))
            return results, book

    def look(self, now_s: float) -> BudgetBook:
        """Return the book as it is now; what dead processes had reserved is settled. Raises as `enter`."""
        with self._failures():
            connection = self._open()
            with transaction(connection):
                book = self._book(connection, now_s)
                self._settle_dead(connection, book)
            return book

    def waits(self, now_s: float) -> tuple[BudgetWait, ...]:
        """Return the requests that wait, of all processes that live; the first to come first.

        Raises as `enter`.
        """
        with self._failures():
            connection = self._open()
            with transaction(connection):
                book = self._book(connection, now_s)
                self._settle_dead(connection, book)
                rows = connection.execute(
                    "SELECT id, run, node, model, user, project, money, tokens, priority, since"
                    " FROM waiting WHERE currency = ? ORDER BY since, id", (self.currency,)
                ).fetchall()  # fmt: skip
            return tuple(self._wait_of(row, book, now_s) for row in rows)

    def changed(self) -> bool:
        """True if another process has written since this was last asked. Raises as `enter`."""
        with self._failures():
            (version,) = self._open().execute("PRAGMA data_version").fetchone()
            before, self._version = self._version, version
            return bool(version != before)

    def close(self) -> None:
        """Close the file. What is still reserved counts as spent from now on."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._lock >= 0:
            assert self.folder is not None
            with suppress(OSError):
                self._lock_path(self._owner).unlink()
            release_lock(self._lock)
            self._lock = -1

    # Inside.

    @contextmanager
    def _failures(self) -> Iterator[None]:
        path = "the ledger in memory" if self.folder is None else str(self.folder / FILE)
        try:
            with database_errors(f"keep the budgets in {path}"):
                yield
        except (DatabaseBroken, ValueError) as error:
            raise LedgerFailed(
                f"the budgets in {path} cannot be read: {error}",
                hint=f"move {path} away to start from nothing: then nothing counts as spent",
            ) from error

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self.folder is not None:
                private_directory(private_directory(self.folder.parent) / self.folder.name)
                self._own()
            path = None if self.folder is None else self.folder / FILE
            self._connection = connect(path, application=_APPLICATION, schema=_SCHEMA)
            close_with(self, self._connection)
            run_script(self._connection, _LATER)
        return self._connection

    def _own(self) -> None:
        """Take a lock under a new name; under another one if somebody took its file for a dead process's."""
        while self._lock < 0:
            self._owner = uuid.uuid4().hex
            path = self._lock_path(self._owner)
            with io_errors(f"make {path}"):
                number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    if path.stat().st_ino == os.fstat(number).st_ino:
                        self._lock = number
                except (BlockingIOError, FileNotFoundError):
                    pass
                finally:
                    if self._lock < 0:
                        os.close(number)

    def _lock_path(self, owner: str) -> Path:
        assert self.folder is not None
        return self.folder / f"{owner}.lock"

    def _book(self, connection: sqlite3.Connection, now_s: float) -> BudgetBook:
        dates = dates_at(now_s, self.zone)
        book = BudgetBook(dates)
        rows = connection.execute(
            "SELECT kind, who, period, money, tokens, calls FROM spent"
            " WHERE currency = ? AND period IN (?, ?, ?)",
            (self.currency, *dates, EVER),
        )
        for kind, who, period, money, tokens, calls in rows:
            book.spent[Account(kind, who, period)] = Amounts(int(money), tokens, calls)
        for row in connection.execute(f"{_HELD} WHERE currency = ?", (self.currency,)):
            payer, its, most = _read(row)
            book.hold(payer, its, most)
        return book

    def _hold(self, connection: sqlite3.Connection, book: BudgetBook, entry: Reserve) -> BudgetReservation:
        payer, most = entry.payer, needed_by(entry.most)
        cursor = connection.execute(
            "INSERT INTO held (owner, run, node, model, user, project, day, month, currency, money, tokens)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                self._owner, payer.run, entry.node, entry.model, payer.user, payer.project, *book.dates,
                self.currency, str(most.money), most.tokens,
            ),
        )  # fmt: skip
        book.hold(payer, book.dates, most)
        assert cursor.lastrowid is not None
        return BudgetReservation(cursor.lastrowid, entry.most)

    def _settle(
        self, connection: sqlite3.Connection, book: BudgetBook, number: int, used: Amounts | None
    ) -> None:
        """Replace a reservation by what was used; None: all of it."""
        row = connection.execute(f"{_HELD} WHERE id = ?", (number,)).fetchone()
        if row is None:
            return
        connection.execute("DELETE FROM held WHERE id = ?", (number,))
        payer, dates, most = _read(row)
        used = most if used is None else used
        book.hold(payer, dates, most, again=False)
        book.spend(payer, dates, used)
        for of, who, period in accounts_of(payer, dates):
            key = (self.currency, of, who, period)
            before = connection.execute(
                "SELECT money, tokens, calls FROM spent"
                " WHERE currency = ? AND kind = ? AND who = ? AND period = ?", key
            ).fetchone()  # fmt: skip
            total = used if before is None else used.plus(Amounts(int(before[0]), before[1], before[2]))
            connection.execute(
                "INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*key, str(total.money), min(total.tokens, NUMBER_MAX), min(total.calls, NUMBER_MAX)),
            )

    def _note_wait(self, connection: sqlite3.Connection, entry: Wait) -> None:
        wait, needed = entry.wait, needed_by(entry.most)
        if not entry.begins:
            connection.execute("DELETE FROM waiting WHERE id = ?", (wait.id,))
            return
        payer = wait.payer
        connection.execute(
            "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                wait.id, self._owner, payer.run, wait.node, wait.model, payer.user, payer.project,
                self.currency, str(needed.money), needed.tokens, wait.priority, wait.since_s,
            ),
        )  # fmt: skip

    def _wait_of(self, row: _WaitRow, book: BudgetBook, now_s: float) -> BudgetWait:
        number, run, node, model, user, project, money, tokens, priority, since_s = row
        payer = Payer(run=run, user=user, project=project)
        most = Estimate(tokens_in=tokens, cost=money_of(int(money)))
        found = book.shortfall(self.rules, payer, most, unit=self.currency)
        short = None if found is None else dated(found, now_s, self.zone)
        return BudgetWait(
            id=number, payer=payer, node=node, model=model, priority=priority, since_s=since_s, short=short
        )

    def _settle_dead(self, connection: sqlite3.Connection, book: BudgetBook) -> bool:
        """Count what dead processes had reserved as spent; True if there was anything."""
        if self.folder is None:
            return False
        query = "SELECT owner FROM held WHERE owner <> ? UNION SELECT owner FROM waiting WHERE owner <> ?"
        found = connection.execute(query, (self._owner, self._owner)).fetchall()
        dead = [owner for (owner,) in found if not self._lives(owner)]
        for owner in dead:
            connection.execute("DELETE FROM waiting WHERE owner = ?", (owner,))
            for (number,) in connection.execute("SELECT id FROM held WHERE owner = ?", (owner,)).fetchall():
                self._settle(connection, book, number, None)
        return bool(dead)

    def _lives(self, owner: str) -> bool:
        """True if the process holds its lock; otherwise its file goes."""
        path = self._lock_path(owner)
        try:
            number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        else:
            path.unlink(missing_ok=True)
            return False
        finally:
            os.close(number)


def _read(row: tuple[int, str, str, str, str, str, str, int]) -> tuple[Payer, Dates, Amounts]:
    _, _, user, project, day, month, money, tokens = row
    return Payer(user=user, project=project), Dates(day, month), Amounts(int(money), tokens, 1)
