"""The runs under a home: their journals, locks and logs, seen from any process. Blocking."""

import contextlib
import os
import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.marks import WORKER_VARIABLE, marks_of
from symphony.commons.processes import end_marked
from symphony.pit.tracker.core.events import iso
from symphony.pit.tracker.core.lazy_nodes import LazyNodes
from symphony.pit.tracker.core.masking import shown_outputs
from symphony.pit.tracker.core.overview import overview_of
from symphony.pit.tracker.core.records import AskedRecord, EndedRecord, FinishedRecord, Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.store import journal
from symphony.pit.tracker.store.finding import (
    SEVERAL_TOLD,
    RunNotFound,
    Tails,
    beginning_with,
    not_found,
    several,
)
from symphony.pit.tracker.store.following import RunReader
from symphony.pit.tracker.store.indexed import MANY, IndexedRuns
from symphony.pit.tracker.store.journal import JournalDamaged, RunMeta, RunRequest
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.pit.tracker.store.locks import RunLock
from symphony.pit.tracker.store.logs import follow_log, read_log
from symphony.pit.tracker.store.names import LAST, RunNames
from symphony.pit.tracker.store.requests import RunRequests
from symphony.pit.tracker.store.run_files import RunFiles
from symphony.pit.tracker.store.step_labels import StepLabels
from symphony.pit.tracker.store.summaries import damaged_summary, status_of
from symphony.pit.tracker.store.untold import Untold
from symphony.ports.clock import Clock
from symphony.ports.insight import Overview
from symphony.ports.logs import LogLine, Stream
from symphony.ports.runs import ENDED, LEFT, RunEvent, RunResult, RunStatus, RunSummary, tail_of
from symphony.ports.steering import Reached
from symphony.ports.values import StoredValue

READERS_MAX = 4
"""Runs that are followed at once without being read from the start again."""
NAMES = "names.index"
_PRINTED = re.compile(r"(\S+) \([0-9a-f]{8,36}\)")
"""A run as it is printed."""


class Runs:
    """The runs under `home`; reads journals without owning them.

    A run is named as `find` takes it, for instance `runs.result("last")`. What gives a place for a run (its
    journal, lock, log, note or marks) takes full ids alone: the run may not be there yet.
    """

    def __init__(self, home: Path, clock: Clock, unlink: Callable[[str], None]) -> None:
        self._home, self._files = home, RunFiles(home)
        self._control, self._unlink = RunRequests(self, clock), unlink
        self._indexed = IndexedRuns(self._files, clock)
        self.names = RunNames(self._files.journals / NAMES, self._named, self._files.expected)
        """What runs are called."""
        self._readers: dict[str, RunReader] = {}
        self._reading = threading.Lock()

    def journal_path(self, run_id: str) -> Path:
        """The run's journal."""
        return self._files.journal_path(run_id)

    def lock(self, run_id: str) -> RunLock:
        """The run's lock; of a segment that is given up as a whole, one beside that of its owner."""
        return self._files.lock(run_id)

    def segment_lock(self, segment: Path) -> Path:
        """The lock of a segment's owner, and of its runs."""
        return self._files.segment_lock(segment)

    def log_path(self, run_id: str) -> Path:
        """Return the path of the run's log, which has what its nodes printed."""
        return self._files.log_path(run_id)

    def untold(self, run_id: str) -> Untold:
        """The note that the end of the run has yet to be told."""
        return self._files.untold(run_id)

    def ids(self) -> list[str]:
        """Every run, newest first: ids sort by time. A segment that cannot be read is listed as such."""
        return self._files.ids()

    def has(self, run_id: str) -> bool:
        """Return whether a run or segment has exactly this name. Raises JournalFailed if that is unknown."""
        return self._files.has(run_id)

    def find(self, run: str) -> str:
        """The full id of a run, by this, what is shown of it, a beginning of that, or the run's name.

        The beginning of a full id does as well if it is as long as what is shown.

        So is a run as it is printed, with its id behind its name: `words-12 (1769ff3e)`.
        `last` is the newest. A whole name counts before the beginning of an id. Raises RunNotFound.
        """
        if (printed := _PRINTED.fullmatch(run)) is not None:
            run = printed[1]
        run = run if run.isascii() else unicodedata.normalize("NFC", run)  # as some terminals do not
        named = self.names.find(run)
        if named is not None and self._files.expected(named):
            return named
        ids = self.ids()
        if not ids:
            raise RunNotFound(
                f"there are no runs yet in the home {self._home}",
                hint="`symphony run FILE` begins one",
            )
        found = ids[:1] if run == LAST else [run] if run in ids else beginning_with(run, ids)
        if not found and self.names.catch_up():
            named = self.names.find(run)
            found = [named] if named in ids else []
        if not found and self.names.shorts(()) is None:  # they cannot be kept here
            found = [run_id for run_id, name in self._named(frozenset()) if name == run]
        if not found:
            raise not_found(run, self.names.all(), self._home)
        if len(found) > 1:
            shown = self.shorts(found[:SEVERAL_TOLD])
            told = [
                f"{short if short.startswith(run) else one} ({self._name(one) or 'no name'})"
                for one, short in shown.items()
            ]
            raise several(run, len(found), told)
        return found[0]

    def shorts(self, run_ids: Sequence[str]) -> Mapping[str, str]:
        """Return the shortest end of each id that no other run shares, at least eight characters."""
        found = self.names.shorts(run_ids)
        if found is not None:
            return found
        tails = Tails(self.ids())
        return {run_id: tails.shortest(run_id) for run_id in run_ids}

    def label(self, run_id: str) -> str:
        """Return what a person may type for the run: its name if it has one, else its short id."""
        run_id = self._full(run_id)
        return self._name(run_id) or self.shorts([run_id])[run_id]

    def called(self, run_id: str) -> str:
        """Return the name of the run and its short id, for messages: `words-12 (3f1c09ab)`."""
        run_id = self._full(run_id)
        name, short = self._name(run_id), self.shorts([run_id])[run_id]
        return short if name is None else f"{name} ({short})"

    def _name(self, run_id: str) -> str | None:
        try:
            return self.meta(run_id).name
        except SymphonyError:
            return None

    def _named(self, known: frozenset[str]) -> Iterator[tuple[str, str | None]]:
        """All runs but the known ones and their names, those of ended ones from the index."""
        ids = [run_id for run_id in self.ids() if run_id not in known]
        for at in range(0, len(ids), MANY):
            some = ids[at : at + MANY]
            names = self._indexed.names(some)
            for run_id in some:
                yield run_id, names[run_id] if run_id in names else self._name(run_id)

    def meta(self, run_id: str) -> RunMeta:
        """Return what was recorded at the start. Raises RunNotFound, JournalFailed."""
        return journal.read_meta(self.journal_path(self._require(run_id)))

    def list(
        self,
        *,
        limit: int = 20,
        status: RunStatus | None = None,
        matching: Callable[[RunSummary], bool] = lambda _: True,
        passed_over: Callable[[SymphonyError], object] = lambda _: None,
    ) -> "list[RunSummary]":
        """The newest runs that are `matching`, damaged ones too; those unread are told to `passed_over`.

        Journals of ended runs are read only where the index does not know them as they are now.
        """
        out: list[RunSummary] = []
        for run_id, found in self.summaries(self.ids()):
            if isinstance(found, JournalDamaged):
                summary = damaged_summary(run_id, self.journal_path(run_id), found)
            elif isinstance(found, SymphonyError):
                passed_over(found)
                continue
            else:
                summary = found
            if (status is None or summary.status is status) and matching(summary):
                out.append(summary)
            if len(out) >= limit:
                break
        return out

    def unended(self) -> Iterator[RunSummary]:
        """The runs that have not ended and that no process owns, the newest first, without damaged ones."""
        for _, found in self.summaries(self.ids()):
            if isinstance(found, RunSummary) and found.status in LEFT:
                yield found

    def summaries(self, run_ids: Sequence[str]) -> Iterator[tuple[str, RunSummary | SymphonyError]]:
        """Yield each run's id with its summary, or with the error that prevents one."""
        return self._indexed.summaries(run_ids)

    def summary(self, run_id: str) -> RunSummary:
        """One line about a run. Raises RunNotFound, JournalFailed."""
        return self._indexed.summary(self._full(run_id))

    def overview(self, run_id: str) -> Overview:
        """Return the overview of the run, bounded in size; that of an ended run comes from the index.

        Raises RunNotFound, JournalFailed.
        """
        run_id = self._full(run_id)
        if (known := self._indexed.overview(run_id)) is not None:
            return known
        owned = self.lock(run_id).held()
        _, replay = self._files.replayed(run_id)
        return overview_of(replay, self._indexed.now(status_of(replay, owned=owned)))

    def answered(self, run_id: str) -> Sequence[str]:
        """The approvals that have been answered since anything else happened: nobody has gone on yet."""
        run_id = self._full(run_id)
        if self.summary(run_id).status in ENDED:
            return []
        (_, replay), records = self._files.replayed(run_id), self.records(run_id)
        asked = {record.slot for record in records if isinstance(record, AskedRecord)}
        out = list[str]()
        for record in reversed(records):
            if not isinstance(record, FinishedRecord) or record.slot not in asked:
                break
            out.append(replay.machine.name(record.slot))
        return out[::-1]

    def ended(
        self,
        meta: RunMeta,
        workflow: str,
        replay: RunReplay,
        stamp: str | None = None,
        overview: Callable[[], Overview] | None = None,
    ) -> None:
        """The run has ended in this process, and its journal is closed: lists know it from now on.

        `workflow` is the name, `stamp` that of a journal in a segment, `overview` is asked for when it is
        written. Durable after `flush`.
        """
        self._indexed.add(meta, workflow, replay, stamp, overview)

    def flush(self) -> None:
        """Write what lists are to know of runs that have `ended` here."""
        if self._files.journals.is_dir():
            self._indexed.flush()
            self.names.flush()

    def close(self) -> None:
        """Let go of the index; it is opened again when it is needed."""
        if self._files.journals.is_dir():
            self._indexed.close()
            self.names.close()

    def status(self, run_id: str) -> RunStatus:
        """Return the status of the run; asked again and again, it reads only what is new.

        Raises RunNotFound, JournalFailed.
        """
        run_id = self._full(run_id)
        ended = self._indexed.status(run_id)
        if ended is not None:
            return ended
        reader, owned = self._reader(run_id), self.lock(run_id).held()
        with _there(run_id):
            return status_of(reader.replay(), owned=owned)

    def _reader(self, run_id: str) -> RunReader:
        """Return the run's reader; those of the runs that were read last are kept."""
        run_id = self._require(run_id)
        with self._reading:
            reader = self._readers.pop(run_id, None) or RunReader(self.journal_path(run_id))
            self._readers[run_id] = reader
            for old in [*self._readers][:-READERS_MAX]:
                del self._readers[old]
            return reader

    def result(self, run_id: str) -> RunResult:
        """The run as it stands, secrets hidden. Nodes of an ended one are read when they are wanted."""
        run_id = self._full(run_id)
        known = self._indexed.overview(run_id)
        if known is not None:
            return self._ended_result(run_id, known)
        owned = self.lock(run_id).held()
        meta, replay = self._files.replayed(run_id)
        with journal_errors(self.journal_path(run_id)):
            outputs = shown_outputs(replay.ended[1]) if replay.ended else {}
            status = status_of(replay, owned=owned)
            result = replay.result(run_id, status, outputs, now=self._indexed.now(status))
            if status is RunStatus.INTERRUPTED and (steps := replay.cut_off()):
                from symphony.pit.tracker.store.doubts import in_doubt  # reads the workflow

                result = msgspec.structs.replace(result, doubtful=in_doubt(meta, steps))
        error = replay.ended[2] if replay.ended is not None else None
        return msgspec.structs.replace(result, name=meta.name, only=meta.only, error=error or result.error)

    def events(self, run_id: str, since: int = 0) -> Iterator[RunEvent]:
        """Every durable event with a `seq` after `since`; asked again and again, it reads only what is new.

        Raises RunNotFound, JournalFailed.
        """
        with _there(run_id):
            found = self._reader(run_id).events(since)
        yield from found

    def _ended_result(self, run_id: str, known: Overview) -> RunResult:
        outputs: Mapping[str, StoredValue] = {}
        summary = self.summary(run_id)
        with journal_errors(self.journal_path(run_id)):
            for record in journal.read_last(self.journal_path(run_id)):
                if isinstance(record, EndedRecord):
                    outputs = shown_outputs(record.outputs)
        return RunResult(
            run_id=run_id,
            status=summary.status,
            outputs=outputs,
            error=known.error,
            nodes=LazyNodes(lambda: self._files.replayed(run_id)[1]),
            counts=known.counts,
            handled_failures=summary.handled_failures,
            started_at=iso(known.began_at),
            finished_at=iso(known.ended_at),
            took_s=known.took_s,
            usage=known.usage,
            name=summary.name,
            only=summary.only,
        )

    def logs(
        self, run_id: str, node: str | None = None, *, stream: Stream | None = None
    ) -> Iterator[LogLine]:
        """Yield what nodes printed and models said, for one node or one stream if they are given."""
        run_id = self._require(run_id)
        self.meta(run_id)
        return self._labelled(run_id, read_log(self.log_path(run_id), node, stream))

    def printed(self, run_id: str) -> bool:
        """Return whether `logs` would give any line of the run."""
        return next(read_log(self.log_path(self._require(run_id))), None) is not None

    def changed_files(self, run_id: str) -> Sequence[str]:
        """Which files of its workflow and sub-workflows say something else than when it began."""
        from symphony.pit.tracker.store.source_files import changed_files

        return changed_files(self.meta(run_id))

    def labels(self, run_id: str) -> StepLabels:
        """The labels of the run's steps, by their names; none of a run that cannot be read."""
        return StepLabels(lambda: self._reader(run_id).replay())

    def _labelled(self, run_id: str, lines: Iterator[LogLine]) -> Iterator[LogLine]:
        labels = self.labels(run_id)
        for line in lines:
            label = labels.of(line.node)
            yield line if label is None else msgspec.structs.replace(line, label=label)

    def follow_logs(
        self,
        run_id: str,
        wait: Callable[[], None],
        node: str | None = None,
        *,
        stream: Stream | None = None,
    ) -> Iterator[LogLine]:
        """Yield what `logs` does, and what comes, until no process owns the run.

        `wait` is called between looks.
        """
        run_id = self._require(run_id)
        self.meta(run_id)
        lines = follow_log(self.log_path(run_id), self.lock(run_id).held, wait, node, stream)
        return self._labelled(run_id, lines)

    def cancel(self, run_id: str) -> RunStatus:
        """Ask the owner to cancel; without an owner the run is cancelled here and now.

        Gives the status known at once: `running` while the owner still has to act.
        """
        run_id = self._full(run_id)
        try:
            reached = self._control.ask(run_id, RunRequest(kind="cancel"))
        except SymphonyError as error:
            if error.code != "run-ended":  # before it was asked, or meanwhile
                raise
            self.end_orphans(run_id)
            return self.status(run_id)
        return RunStatus.CANCELLED if reached is Reached.HERE else self.status(run_id)

    def marks(self, run_id: str) -> dict[str, str]:
        """Return the marks that the run's processes carry in their environment."""
        return marks_of(run_id, self._home)

    def end_orphans(self, run_id: str) -> int:
        """End what a dead owner's nodes left running: processes that carry the run's marks. Gives how many.

        SIGTERM, then SIGKILL after two seconds.
        """
        return end_marked(*self.marks(run_id).items())

    def pause(self, run_id: str) -> Reached:
        """Let nothing more begin; what runs ends. Raises SymphonyError `run-ended`, RunNotFound."""
        return self._control.ask(self._full(run_id), RunRequest(kind="pause"))

    def answer(
        self, run_id: str, node: str, *, approved: bool, by: str | None = None, comment: str | None = None
    ) -> Reached:
        """Answer what the approval `node` asks; durable when this returns.

        Raises SymphonyError `not-waiting`, `run-ended`, RunNotFound.
        """
        kind: Literal["approve", "reject"] = "approve" if approved else "reject"
        return self._control.ask(self._full(run_id), RunRequest(kind=kind, node=node, by=by, comment=comment))

    def delete(self, run_id: str, *, damaged: bool = False) -> None:
        """Remove a run that nobody owns: its journal, log and references. Raises RunBusy.

        One whose journal is damaged only with `damaged`; else JournalFailed.
        """
        run_id = self._full(run_id)
        try:
            self._files.recorded(run_id)
        except JournalDamaged:
            if not damaged:
                raise
        lock = self.lock(run_id)
        lock.acquire(os.getpid())
        try:
            self._unlink(run_id)
            self._readers.pop(run_id, None)
            self._indexed.forget(run_id)
            self.names.forget(run_id)
            self._files.remove(run_id)
        finally:
            lock.release()

    def records(self, run_id: str) -> Sequence[Record]:
        """Everything that is recorded of the run, in order. Raises JournalFailed."""
        return self._files.recorded(self._full(run_id))[1]

    def replay(self, run_id: str) -> RunReplay:
        """Everything that is recorded of the run. Raises RunNotFound, JournalFailed."""
        return self._files.replayed(self._full(run_id))[1]

    def _require(self, run: str) -> str:
        """The full id of a run that is there. Raises RunNotFound."""
        return self._files.require(self._full(run))

    def _full(self, run: str) -> str:
        """Return the full id that `find` gives, which a full id is without a search. Raises RunNotFound."""
        return run if tail_of(run) != run or self.has(run) else self.find(run)


@contextlib.contextmanager
def _there(run_id: str) -> Iterator[None]:
    """Raises RunNotFound for a run that is deleted meanwhile."""
    try:
        yield
    except FileNotFoundError as error:
        raise not_found(run_id) from error


def end_escaped(marks: Mapping[str, str]) -> int:
    """End what a run left behind, for its owner: its own workers, and all below them, are left to it."""
    return end_marked(*marks.items(), sparing=(WORKER_VARIABLE, f"{os.getpid()}-"))
