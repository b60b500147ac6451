"""Begins runs: new ones, those that go on, and those that take over results of others."""

import asyncio
import contextlib
import functools
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

import msgspec

from symphony.app.amending import AS_BEFORE, RunAmendment
from symphony.app.handle import LazyOverview, RunHandle
from symphony.app.journals import Owned, in_thread
from symphony.app.models import keys_of
from symphony.app.own_operators import OperatorsAtHand
from symphony.app.parts import Parts
from symphony.app.preparing import (
    InputInvalid,
    Prepared,
    PreparedWorkflow,
    check_hosts,
    limits_of,
    opened_outputs,
    prepare,
    recalled,
)
from symphony.app.readying import Readying
from symphony.app.run_for import ANYBODY, RunFor, usual
from symphony.app.telling import Telling, check_finish_host, hosts_of
from symphony.app.tracing import TRACE_PATIENCE_S, follow
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import in_utf8
from symphony.commons.marks import marks_of
from symphony.commons.time import SystemClock, new_run_id
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.core.records import Record
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.nodes.caching import Cache
from symphony.pit.tracker.nodes.contents import plain_name
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.limits import bounded
from symphony.pit.tracker.nodes.prints import Prints, code_prints, read_any, read_prints, same_print
from symphony.pit.tracker.nodes.resources import LogWriter, RunBodies
from symphony.pit.tracker.nodes.spending import Spending
from symphony.pit.tracker.nodes.work import COMMAND
from symphony.pit.tracker.store.journal import JournalStore, MemoryStore, RunMeta, SqliteStore
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.pit.tracker.store.logs import LogLimits, RunLog, capture
from symphony.pit.tracker.store.names import check_name
from symphony.pit.tracker.store.runs import end_escaped
from symphony.pit.tracker.store.sharing import SegmentStore
from symphony.ports.artifacts import Provenance
from symphony.ports.budgets import Payer
from symphony.ports.insight import MadeArtifact
from symphony.ports.runs import ENDED, RunResult
from symphony.ports.values import Value
from symphony.workflow.inputs import bind_inputs
from symphony.workflow.model import Workflow
from symphony.workflow.problems import ValidationReport

if TYPE_CHECKING:
    from symphony.app.rerunning import RerunPlanner, RerunRequest
    from symphony.pit.tracker.engine.reruns.reused import ReusedResult
    from symphony.ports.forecast import Forecast

INDEX_AFTER_S: Final = 0.5
"""The delay after a run's end until the index of ended runs is written, unless the session ends first."""


class Launcher:
    """Begins the runs of one Symphony, and owns their tasks. Its methods raise as those of `Symphony`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._handles: dict[asyncio.Task[RunResult], RunHandle] = {}
        self.readying = Readying(parts)
        self._code_prints: WeakKeyDictionary[PreparedWorkflow, tuple[dict[str, str], bool]]
        self._code_prints = WeakKeyDictionary()
        self._writing: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[None] | None = None
        self.ran = False
        """True once any run has begun."""

    @functools.cached_property
    def _replanning(self) -> "RerunPlanner":
        from symphony.app.rerunning import RerunPlanner  # most sessions rerun nothing

        artifacts = self._parts.bodies
        return RerunPlanner(
            self._parts,
            self.readying,
            self._prepared,
            lambda old: self._executor(old, lambda *_: None, None, artifacts),
        )

    async def stop(self) -> None:
        """Stop every run of this process, to be resumed by another, and wait until they have let go."""
        for handle in list(self._handles.values()):
            handle.interrupt()
        if self._handles:
            await asyncio.wait([*self._handles])
        if self._writing is not None:
            self._writing.cancel()
        if self._written is not None:
            await asyncio.wait({self._written})

    def plan(
        self,
        workflow: Workflow | Path | str | PreparedWorkflow,
        inputs: Mapping[str, Value] | None = None,
        *,
        cwd: Path | None = None,
        cache: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> "Forecast":
        """Return what a run would do. Nothing runs, nothing is written."""
        from symphony.app.foreseeing import foresee

        parts = self._parts
        prepared = self.prepared(workflow, inputs, cwd, cache, environment=environment, load=False)
        at = parts.home if parts.home is not None and parts.home.is_dir() else None
        executor = functools.partial(self._executor, prepared, lambda *_: None)
        store = None if at is None else parts.unopened_artifacts()
        return foresee(prepared, at, store, executor, parts.clock)

    def prepared(
        self,
        workflow: Workflow | Path | str | PreparedWorkflow,
        inputs: Mapping[str, Value] | None,
        cwd: Path | None = None,
        cache: bool = True,
        concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        budget: Limits | None = None,
        allow_hosts: Sequence[str] = (),
        load: bool = True,
        name: str | None = None,
        run_for: RunFor = ANYBODY,
    ) -> Prepared:
        """Check everything that a new run needs; `load` runs the files of its operators."""
        if name is not None:
            check_name(name)
        whom = run_for.checked()
        ready = self.readying.ready(workflow, load=load)
        here = in_utf8((cwd or Path.cwd()).absolute(), "the folder")
        if ready.source is not None:
            in_utf8(ready.base / ready.source, "the workflow file")
        bound, problems = bind_inputs(ready.workflow, inputs or {}, cwd=here)
        if problems:
            raise InputInvalid(ValidationReport(errors=problems), ready.source)
        config = self._parts.config
        for key, value in bound.items():
            bounded(value, f"input {key}", config.symphony.value_mb << 20)
        hosts = (*config.http.allow, *allow_hosts)
        check_hosts(hosts)
        if self._parts.on_finish is None:
            check_finish_host(ready.workflow.on_finish, hosts)
        self._parts.environment.update(environment or {})
        user, project, priority = usual(config.run, self._parts.home, here)
        meta = RunMeta(
            run_id=new_run_id(),
            workflow=ready.document,
            source=ready.source,
            digest=ready.digest,
            inputs=b"",
            cwd=str(here),
            base=str(ready.base),
            created_at=self._parts.clock.now_s(),
            operators=(*self._parts.files, *map(str, self.readying.files)),
            cache=cache and config.symphony.cache,
            concurrency=concurrency or config.symphony.concurrency,
            budget=limits_of(ready.workflow, config).strictest(budget or Limits()),
            children=ready.children.documents,
            references=ready.children.references,
            allow_hosts=tuple(allow_hosts),
            only=ready.only,
            fingerprints=self._prints(ready, bound, here) if load and self._parts.home is not None else None,
            name=name,
            user=user if whom.user is None else whom.user,
            project=project if whom.project is None else whom.project,
            priority=priority if whom.priority is None else whom.priority,
        )
        keys = keys_of(config, self._parts.environment)
        environment = self._parts.environment
        return prepare(
            meta,
            ready.graph,
            ready.variables,
            environment,
            bound,
            keys=keys,
            children=ready.children,
            read=ready.read,
        )

    def _prints(self, ready: PreparedWorkflow, inputs: Mapping[str, Value], cwd: Path) -> Prints:
        """Return the fingerprints of a run that begins now; those of code, which this process has, once."""
        known = self._code_prints.get(ready)
        if known is None:
            code, reads = code_prints(ready.graph, self._parts.models), read_any(ready.graph)
            known = self._code_prints[ready] = code, reads
        code, reads = known
        return code | read_prints(ready.graph, inputs, cwd, ready.base) if reads else code

    async def begin(self, prepared: Prepared, reuse: Mapping[str, bytes] | None = None) -> RunHandle:
        """Make the journal and run: the run is durable when this returns."""
        if self._parts.journals is None:
            return self._launch(
                prepared,
                MemoryStore(),
                None,
                lambda engine: engine.run(),
                self._telling(prepared, memory=True),
            )
        made = await self._parts.journals.create(prepared.meta, prepared.job.workflow.slug, reuse)
        prepared = msgspec.structs.replace(prepared, meta=made.meta)
        try:
            telling = await self._noted(prepared)
            handle = self._launch(prepared, made.store, made.owned, lambda engine: engine.run(), telling)
        except BaseException:
            made.store.close()
            made.owned.release()
            raise
        if made.durable is not None:
            await self._recorded(handle.task, made.store, made.durable)
        return handle

    async def _recorded(
        self, task: "asyncio.Task[RunResult]", store: JournalStore, durable: "asyncio.Future[None]"
    ) -> None:
        """Wait until a run that has been launched is durable: no effect of it begins before."""

        def over(_: object) -> None:
            if durable.cancelled() or not durable.done():
                store.close()  # a run that ends before it recorded anything is made durable by its end

        task.add_done_callback(over)
        try:
            await durable
        except BaseException:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()  # reported by what is raised here
            raise

    async def resume(
        self,
        run_id: str,
        *,
        retry: Sequence[str] = (),
        skip: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        amendment: RunAmendment = AS_BEFORE,
    ) -> RunHandle:
        """Go on with a run."""
        run_id = self._parts.runs.find(run_id)
        lock = self._parts.runs.lock(run_id)
        lock.acquire(os.getpid())
        with contextlib.ExitStack() as undo:
            undo.callback(lock.release)
            recorded_meta = self._parts.runs.meta(run_id)
            meta = amendment.of(recorded_meta, self._parts.config)
            self._parts.environment.update(environment or {})
            prepared = self._recalled(meta)
            await asyncio.to_thread(self._parts.runs.end_orphans, run_id)
            if self._parts.runs.status(run_id) in ENDED:
                return self._ended(run_id, prepared)
            path = self._parts.runs.journal_path(run_id)
            prepared, changed = self._printed(prepared)
            amended = None if meta is recorded_meta and not changed else prepared.meta
            store = await in_thread(lambda: SqliteStore.own(path, amended), SqliteStore.close)
            undo.callback(store.close)
            recorded = list(store.records())
            telling = await self._noted(prepared)
            handle = self._launch(
                prepared, store, lock, lambda engine: engine.run(recorded, retry, skip), telling,
                known=len(recorded),
            )  # fmt: skip
            handle.changed_code = changed
            undo.pop_all()
            return handle

    def _printed(self, prepared: Prepared) -> tuple[Prepared, Sequence[str]]:
        """Return a run that goes on, and its operators whose code has changed since it began.

        Which code makes its results is no longer known of these.
        """
        from symphony.pit.tracker.engine.reruns.stale import operators_since

        meta, graph = prepared.meta, prepared.job.graph
        if not meta.fingerprints:
            return prepared, ()
        now = code_prints(graph, self._parts.models)
        changed = operators_since(graph, meta.fingerprints, now)
        if not changed:
            return prepared, ()
        known = {
            key: told
            for key, told in meta.fingerprints.items()
            if key not in now or same_print(told, now[key])
        }
        meta = msgspec.structs.replace(meta, fingerprints=known)
        return msgspec.structs.replace(prepared, meta=meta), changed

    async def rerun(
        self, run_id: str, asked: "RerunRequest", environment: Mapping[str, str] | None = None
    ) -> RunHandle:
        """Begin a new run that reuses results of another."""
        from symphony.pit.tracker.engine.reruns.reused import written

        if asked.name is not None:
            check_name(asked.name)
        self._parts.environment.update(environment or {})
        new, found, executor = self._replanning.planned(run_id, asked)
        found = found.kept(executor)
        for step, result in found.results.items():
            self._keep(new.meta, step, result)
        await asyncio.to_thread(self._parts.bodies.settle)
        handle = await self.begin(
            new, {step: written(result, new.sealer) for step, result in found.results.items()}
        )
        handle.reused = found.summary
        return handle

    def plan_rerun(
        self, run_id: str, asked: "RerunRequest", environment: Mapping[str, str] | None = None
    ) -> "Forecast":
        """Return what `rerun` would do. Nothing runs, nothing is written."""
        from symphony.app.foreseeing import foresee

        parts = self._parts
        parts.environment.update(environment or {})
        new, found, _ = self._replanning.planned(run_id, asked, load=False)
        executor = functools.partial(self._executor, new, lambda *_: None)
        store = None if parts.home is None else parts.unopened_artifacts()
        return foresee(new, parts.home, store, executor, parts.clock, found)

    def _keep(self, meta: RunMeta, name: str, result: "ReusedResult") -> None:
        """Claim the artifacts in a reused result, so that deleting the old run leaves them.

        Durable once the store is settled.
        """
        for port, ref in result.references():
            provenance = Provenance(
                run_id=meta.run_id,
                node=plain_name(name),
                port=port,
                operator="",
                version="",
                created_at=meta.created_at,
            )
            self._parts.bodies.link(ref, provenance, durable=False)

    def _prepared(
        self,
        meta: RunMeta,
        inputs: Mapping[str, Value] | None = None,
        *,
        load: bool = True,
    ) -> Prepared:
        """Return the run with the operators that its files define, besides those of this Symphony."""
        at_hand = OperatorsAtHand(self._parts, load=load, files=meta.operators)
        keys = keys_of(self._parts.config, self._parts.environment)
        try:
            return recalled(meta, at_hand.catalog, at_hand.of, self._parts.environment, inputs, keys=keys)
        except SymphonyError as error:
            gone = [one for one in meta.operators if not Path(one).is_file()]
            if error.code == "operators-not-loaded" and gone:
                error.hint = "if the file was moved, give it where it is now: --operators FILE"
            raise

    def _recalled(self, meta: RunMeta, *, load: bool = True) -> Prepared:
        """Return the run that is recorded. Raises JournalFailed for what makes no sense."""
        with journal_errors(self._parts.runs.journal_path(meta.run_id)):
            return self._prepared(meta, load=load)

    def _engine(self, prepared: Prepared, store: JournalStore) -> tuple[Engine, RunLog]:
        job, sealer, logs = prepared.job, prepared.sealer, self._parts.config.logs
        log = RunLog(
            None if self._parts.home is None else self._parts.runs.log_path(job.run_id),
            self._parts.clock.now_s,
            sealer.mask,
            LogLimits(node_bytes=logs.node_mb * 1024 * 1024, run_bytes=logs.run_mb * 1024 * 1024),
            sealer.stream if sealer else None,
        )
        cache = self._parts.cache if prepared.meta.cache and self._parts.home is not None else None
        executor = self._executor(prepared, log, cache, self._parts.bodies)
        return Engine(job, store, executor, self._parts.clock, os.getpid()), log

    def _executor(
        self, prepared: Prepared, log: LogWriter, cache: Cache | None, artifacts: RunBodies
    ) -> Executor:
        job = prepared.job
        return Executor(
            run_id=job.run_id,
            cwd=job.cwd,
            base=job.base,
            artifacts=artifacts,
            models=self._parts.models,
            arbiter=self._parts.arbiter,
            user=prepared.meta.user,
            project=prepared.meta.project,
            priority=prepared.meta.priority,
            clock=self._parts.clock,
            log=log,
            cache=cache,
            sealer=prepared.sealer,
            spending=Spending(
                prepared.meta.budget,
                currency=self._parts.config.budget.currency,
                shared=self._parts.budgets,
                payer=Payer(run=job.run_id, user=prepared.meta.user, project=prepared.meta.project),
                priority=prepared.meta.priority,
            ),
            capture=capture,
            environment=job.environment,
            keys=self._parts.config.key_names,
            allowed_hosts=hosts_of(self._parts, prepared),
            value_bytes_max=self._parts.config.symphony.value_mb << 20,
            marks=marks_of(job.run_id, self._parts.home),
            workers=self._parts.pools.operators,
            # On a test's clock, a process would have to be waited for in real time.
            expressions=self._parts.pools.expressions if isinstance(self._parts.clock, SystemClock) else None,
        )

    def _launch(
        self,
        prepared: Prepared,
        store: JournalStore,
        owned: Owned | None,
        begin: Callable[[Engine], Awaitable[RunResult]],
        telling: Telling | None,
        *,
        known: int = 0,
    ) -> RunHandle:
        engine, log = self._engine(prepared, store)
        if self._parts.attended is not None:
            engine.attended = self._parts.attended
        seen = LazyOverview(engine.replay)
        self.ran, job, marks = True, prepared.job, marks_of(prepared.job.run_id, self._parts.home)

        async def run() -> RunResult:
            following = self._followed(prepared, engine, known)
            async with contextlib.AsyncExitStack() as end:  # from the last to the first, even if one raises
                end.push_async_callback(self._parts.live.ended, job.run_id)
                if following is not None:
                    end.push_async_callback(_drawn, following)
                end.callback(self._let_go, prepared, engine, store, log, owned, seen)
                if job.graph.runs(COMMAND):
                    end.push_async_callback(asyncio.to_thread, end_escaped, marks)
                await asyncio.sleep(0)
                result = await begin(engine)
            if telling is not None:
                await telling.tell(result)
            return result

        running = run()
        running.send(None)  # as far as `sleep`: a task that is cancelled before its first turn lets go, too
        self._parts.live.begin(job.run_id, engine.feed)
        task = asyncio.get_running_loop().create_task(running, name=f"run {job.run_id}")
        handle = RunHandle(
            job.run_id, engine, seen, task, log, self._parts.live, name=prepared.meta.name,
            only=prepared.meta.only, unhidden=prepared.unhidden, unset=prepared.unset, marks=marks,
            artifacts=lambda: self._made(store.records(), engine.replay), resumable=owned is not None,
            telling=telling, known=known,
        )  # fmt: skip
        self._handles[task] = handle
        task.add_done_callback(self._handles.pop)
        return handle

    def _telling(self, prepared: Prepared, *, memory: bool = False) -> Telling | None:
        """Return what tells of the end of a run, if its workflow wants that."""
        if prepared.job.workflow.on_finish is None:
            return None
        untold = None if memory else self._parts.runs.untold(prepared.job.run_id)
        return Telling(self._parts, prepared, untold)

    async def _noted(self, prepared: Prepared) -> Telling | None:
        """Return the same notifier, noted in the home so that it outlives this process."""
        telling = self._telling(prepared)
        if telling is not None:
            await telling.begin()
        return telling

    def _let_go(
        self,
        prepared: Prepared,
        engine: Engine,
        store: JournalStore,
        log: RunLog,
        owned: Owned | None,
        seen: LazyOverview,
    ) -> None:
        """Release the run: nothing of it is written any more, and another process may own it now."""
        try:
            store.close()  # it is closed already, unless the engine never came to it
            log.close()
            if owned is not None:
                self._remember(prepared, engine, store, seen)
        finally:
            if owned is not None:
                owned.release()

    def _remember(self, prepared: Prepared, engine: Engine, store: JournalStore, seen: LazyOverview) -> None:
        """Add the ended run to the index that lists use; it is written soon, together with others."""
        shares = isinstance(store, SegmentStore)
        stamp = store.stamp() if isinstance(store, SegmentStore) else None
        # The overview of a run in a shared segment is quickly computed from its few records.
        told = None if shares else seen.overview
        self._parts.runs.ended(prepared.meta, prepared.job.workflow.name, engine.replay, stamp, told)
        if self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(INDEX_AFTER_S, self._write)

    def _write(self) -> None:
        self._writing = None
        self._written = asyncio.get_running_loop().run_in_executor(None, self._parts.runs.flush)

    def _followed(self, prepared: Prepared, engine: Engine, known: int) -> "asyncio.Task[None] | None":
        """Draw a trace of the run while it goes on, if traces are wanted."""
        tracing = self._parts.tracing
        if tracing is None:
            return None
        from symphony.pit.tracker.insight.outline import Outline

        outline = Outline(prepared.job.workflow, prepared.meta.recorded())
        work = follow(tracing, prepared.job.run_id, outline, engine.feed, self._parts.catalog, known=known)
        return asyncio.get_running_loop().create_task(work, name=f"trace {prepared.job.run_id}")

    def _ended(self, run_id: str, prepared: Prepared) -> RunHandle:
        engine, log = self._engine(prepared, MemoryStore())
        engine.finish()
        telling = self._telling(prepared)

        async def known() -> RunResult:
            result, ended = self._parts.runs.result(run_id), self._parts.runs.replay(run_id).ended
            if telling is not None:
                await telling.tell(result)  # unless that was done when it ended
            if ended is None or ended[1] is None:
                return result
            return msgspec.structs.replace(result, outputs=opened_outputs(ended[1], prepared.sealer))

        task = asyncio.get_running_loop().create_task(known(), name=f"run {run_id}")
        runs = self._parts.runs
        return RunHandle(
            run_id, engine, LazyOverview(engine.replay), task, log, self._parts.live, name=prepared.meta.name,
            only=prepared.meta.only,
            artifacts=lambda: self._made(runs.records(run_id), runs.replay(run_id)), telling=telling,
        )  # fmt: skip

    def _made(self, records: Iterable[Record], replay: RunReplay) -> Sequence[MadeArtifact]:
        """Return the declared artifacts of a run; a run that results were taken over from is read for
        its own.
        """
        from symphony.pit.tracker.insight.made import made_of

        known = dict[str, Sequence[MadeArtifact]]()

        def earlier(run_id: str) -> Sequence[MadeArtifact]:
            runs = self._parts.runs
            if run_id not in known:
                known[run_id] = ()  # a run may have taken results over from itself
                if self._parts.home is not None and runs.has(run_id):
                    known[run_id] = made_of(runs.records(run_id), runs.replay(run_id).machine.name, earlier)
            return known[run_id]

        return made_of(records, replay.machine.name, earlier)


async def _drawn(following: "asyncio.Task[None]") -> None:
    """Let the trace of a run be drawn to its end, if that takes no longer than the others may wait."""
    try:
        await asyncio.wait({following}, timeout=TRACE_PATIENCE_S)
    finally:
        following.cancel()
