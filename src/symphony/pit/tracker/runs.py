"""The runs under a home: their journals, locks and logs, seen from any process. Blocking."""

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.processes import RUN_VARIABLE, WORKER_VARIABLE, end_marked
from symphony.pit.tracker import journal
from symphony.pit.tracker.journal import RunMeta
from symphony.pit.tracker.logs import LogLine, Stream, follow_log, older, read_log
from symphony.pit.tracker.replay import Replay, shown_outputs
from symphony.pit.tracker.structure import plan_of
from symphony.ports.clock import Clock
from symphony.ports.runs import NodeStatus, RunEvent, RunResult, RunStatus, RunSummary
from symphony.workflow import loads

_DONE = (NodeStatus.SUCCEEDED, NodeStatus.CACHED, NodeStatus.SKIPPED)


class RunNotFound(SymphonyError):
    """No run has this id, or several begin with it."""

    code = "run-not-found"


class RunBusy(SymphonyError):
    """Another process owns the run."""

    code = "run-busy"


class RunLock:
    """The operating system's lock on a run: whoever holds it owns the run; it dies with its holder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    def acquire(self, pid: int) -> None:
        """Raises RunBusy if another process holds it."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            owner = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
            os.close(fd)
            raise RunBusy(
                f"process {owner or 'unknown'} owns the run", hint="wait for it, or cancel the run"
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{pid}\n".encode(), 0)
        self._fd = fd

    def release(self) -> None:
        """Give the run free."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def held(self) -> bool:
        """Does a living process own the run?"""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(fd)
        return False


class Runs:
    """What is known of the runs under `home`; reads journals without owning them."""

    def __init__(self, home: Path, clock: Clock, unlink: Callable[[str], None]) -> None:
        self._journals, self._locks, self._logs = home / "journal", home / "run", home / "logs" / "runs"
        self._clock, self._unlink = clock, unlink

    def journal_path(self, run_id: str) -> Path:
        """The run's journal."""
        return self._journals / f"{run_id}.db"

    def lock(self, run_id: str) -> RunLock:
        """The run's lock."""
        return RunLock(self._locks / f"{run_id}.lock")

    def log_path(self, run_id: str) -> Path:
        """The run's log of what nodes printed."""
        return self._logs / f"{run_id}.jsonl"

    def ids(self) -> list[str]:
        """Every run, newest first: ids sort by time."""
        with contextlib.suppress(FileNotFoundError):
            return sorted((p.stem for p in self._journals.glob("*.db")), reverse=True)
        return []

    def find(self, run_id_or_prefix: str) -> str:
        """The full id; `last` is the newest. Raises RunNotFound."""
        ids = self.ids()
        found = ids[:1] if run_id_or_prefix == "last" else [i for i in ids if i.startswith(run_id_or_prefix)]
        if len(found) == 1 or run_id_or_prefix in found:
            return run_id_or_prefix if run_id_or_prefix in found else found[0]
        if not found:
            raise RunNotFound(f"there is no run {run_id_or_prefix!r}", hint="see symphony runs list")
        raise RunNotFound(f"{len(found)} runs begin with {run_id_or_prefix!r}", hint="give more characters")

    def meta(self, run_id: str) -> RunMeta:
        """What was recorded at the start. Raises RunNotFound, JournalFailed."""
        path = self.journal_path(run_id)
        if not path.is_file():
            raise RunNotFound(f"there is no run {run_id!r}", hint="see symphony runs list")
        return journal.read_meta(path)

    def list(self, *, limit: int = 20, status: RunStatus | None = None) -> "list[RunSummary]":
        """The newest runs; unreadable journals are passed over."""
        out: list[RunSummary] = []
        for run_id in self.ids():
            try:
                summary = self.summary(run_id)
            except SymphonyError:
                continue
            if status is None or summary.status is status:
                out.append(summary)
            if len(out) >= limit:
                break
        return out

    def summary(self, run_id: str) -> RunSummary:
        """One line about a run."""
        meta, replay = self._replayed(run_id)
        status = self._status(run_id, replay)
        nodes = replay.machine.root.plan.nodes
        done = sum(replay.status(slot) in _DONE for slot in range(len(nodes)))
        workflow = msgspec.json.decode(meta.workflow)
        return RunSummary(
            run_id=run_id,
            workflow=str(workflow["name"]),
            status=status,
            started_at=meta.created_at,
            finished_at=replay.ended_at,
            nodes_total=len(nodes),
            nodes_done=done,
            error=replay.ended[2] if replay.ended else None,
            owner_pid=replay.owner if status is RunStatus.RUNNING else None,
        )

    def status(self, run_id: str) -> RunStatus:
        """Where the run stands. Raises RunNotFound, JournalFailed."""
        return self._status(run_id, self._replayed(run_id)[1])

    def result(self, run_id: str) -> RunResult:
        """The run as it stands, secrets hidden."""
        _, replay = self._replayed(run_id)
        outputs = shown_outputs(replay.ended[1]) if replay.ended else {}
        result = replay.result(run_id, self._status(run_id, replay), outputs)
        if replay.ended is not None and replay.ended[2] is not None:
            return msgspec.structs.replace(result, error=replay.ended[2])
        return result

    def events(self, run_id: str, since: int = 0) -> Iterator[RunEvent]:
        """Every durable event with a `seq` after `since`."""
        meta = self.meta(run_id)
        replay = Replay(plan_of(loads(meta.workflow, "json")), limit=meta.concurrency or 64)
        for _, record in journal.read_all(self.journal_path(run_id)):
            replay.apply(record)
            event = replay.event(record)
            if event.seq > since:
                yield event

    def logs(
        self, run_id: str, node: str | None = None, *, stream: Stream | None = None
    ) -> Iterator[LogLine]:
        """What nodes printed and models said, of one node or one stream if they are named."""
        self.meta(run_id)
        return read_log(self.log_path(run_id), node, stream)

    def follow_logs(
        self,
        run_id: str,
        wait: Callable[[], None],
        node: str | None = None,
        *,
        stream: Stream | None = None,
    ) -> Iterator[LogLine]:
        """The same, and what comes, until no process owns the run; `wait` is called between looks."""
        self.meta(run_id)
        return follow_log(self.log_path(run_id), self.lock(run_id).held, wait, node, stream)

    def cancel(self, run_id: str) -> RunStatus:
        """Ask the owner to cancel; without an owner the run is cancelled here and now.

        Gives the status known at once: `running` while the owner still has to act.
        """
        self.meta(run_id)
        lock = self.lock(run_id)
        try:
            lock.acquire(os.getpid())
        except RunBusy:
            journal.request(self.journal_path(run_id), "cancel")
            return RunStatus.RUNNING
        try:
            return self._cancel_here(run_id)
        finally:
            lock.release()

    def _cancel_here(self, run_id: str) -> RunStatus:
        from symphony.pit.tracker.core.machine import Do
        from symphony.pit.tracker.journal import SqliteStore
        from symphony.pit.tracker.records import Code, Record

        _, replay = self._replayed(run_id)
        end_orphans(run_id)
        if replay.ended is not None:
            return replay.ended[0]
        store = SqliteStore.own(self.journal_path(run_id))
        try:
            records: list[Record] = [(Code.CANCEL, 0, self._clock.now_s())]
            replay.apply(records[0])
            while not replay.machine.done:
                stops = [c for c in replay.machine.outstanding() if c.do is Do.STOP]
                for command in stops:
                    record: Record = (Code.CANCELLED, command.slot, self._clock.now_s())
                    replay.apply(record)
                    records.append(record)
                if not stops:
                    break
            records.append((Code.ENDED, 0, self._clock.now_s(), str(RunStatus.CANCELLED), None, None))
            store.commit(records)
        finally:
            store.close()
        return RunStatus.CANCELLED

    def delete(self, run_id: str) -> None:
        """Remove a run that nobody owns: its journal, log and references. Raises RunBusy."""
        self.meta(run_id)
        lock = self.lock(run_id)
        lock.acquire(os.getpid())
        try:
            self._unlink(run_id)
            for suffix in ("-wal", "-shm", ""):
                self.journal_path(run_id).with_name(f"{run_id}.db{suffix}").unlink(missing_ok=True)
            self.log_path(run_id).unlink(missing_ok=True)
            older(self.log_path(run_id)).unlink(missing_ok=True)
            lock.path.unlink(missing_ok=True)
        finally:
            lock.release()

    def _replayed(self, run_id: str) -> tuple[RunMeta, Replay]:
        meta = self.meta(run_id)
        replay = Replay(plan_of(loads(meta.workflow, "json")), limit=meta.concurrency or 64)
        for _, record in journal.read_all(self.journal_path(run_id)):
            replay.apply(record)
        return meta, replay

    def _status(self, run_id: str, replay: Replay) -> RunStatus:
        if replay.ended is not None:
            return replay.ended[0]
        if self.lock(run_id).held():
            return RunStatus.RUNNING if replay.seq else RunStatus.PENDING
        return RunStatus.WAITING if replay.seq and replay.machine.stuck() else RunStatus.INTERRUPTED


def end_orphans(run_id: str) -> int:
    """End what a dead owner's nodes left running: processes that carry the run's id. Gives how many.

    SIGTERM, then SIGKILL after two seconds.
    """
    return end_marked((RUN_VARIABLE, run_id))


def end_escaped(run_id: str) -> int:
    """The same at the end of a run, for its owner: its own workers, and all below them, are left to it."""
    return end_marked((RUN_VARIABLE, run_id), sparing=(WORKER_VARIABLE, f"{os.getpid()}-"))
