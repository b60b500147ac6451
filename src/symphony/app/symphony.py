"""The composition root: puts stores, models, operators and the tracker together."""

import asyncio
import contextlib
import functools
import os
from collections import ChainMap
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import msgspec

from symphony.app.beyond import beyond_of
from symphony.app.handle import RunHandle
from symphony.app.home import config_of, locate_home, secure
from symphony.app.live import LiveBus
from symphony.app.models import AllModels, keys_of
from symphony.app.pools import Pools
from symphony.app.preparing import AtOnce, Prepared, check_hosts, limits_of, opened_outputs, prepare
from symphony.app.tracing import TRACE_PATIENCE_S, follow, tracing_for
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory
from symphony.commons.marks import marks_of
from symphony.commons.settings import Config
from symphony.commons.time import SystemClock, new_run_id
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.engine.reuse import Anew, Result, changed_inputs, written
from symphony.pit.tracker.insight.outline import Outline
from symphony.pit.tracker.nodes.caching import Cache
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.limits import bounded
from symphony.pit.tracker.nodes.resources import LogWriter
from symphony.pit.tracker.nodes.spending import Spending
from symphony.pit.tracker.nodes.work import COMMAND
from symphony.pit.tracker.store.documents import record_children, recorded_form
from symphony.pit.tracker.store.journal import JournalStore, MemoryStore, RunMeta, SqliteStore
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.pit.tracker.store.keeping import ENDED, Keep, Pruned, foreseen, prune, retain_logs
from symphony.pit.tracker.store.locks import RunLock
from symphony.pit.tracker.store.logs import LogLimits, RunLog, capture, routed_streams
from symphony.pit.tracker.store.runs import Runs, end_escaped
from symphony.ports.artifacts import ArtifactStore, Provenance
from symphony.ports.clock import Clock
from symphony.ports.models import Models
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.tracing import Tracing
from symphony.ports.values import Value
from symphony.sdk import Operator, load_operators
from symphony.workflow.catalog import Catalog, ModelInfo
from symphony.workflow.files import Resolver, WorkflowInvalid, check_file
from symphony.workflow.inputs import bind_inputs
from symphony.workflow.model import Workflow
from symphony.workflow.problems import ValidationReport
from symphony.workflow.validation import validate

if TYPE_CHECKING:
    from symphony.pit.artifacts import ResultCache
    from symphony.pit.tracker.insight.forecast import Forecast


class InputInvalid(WorkflowInvalid):
    """Inputs that the workflow does not take; `report` holds every problem."""

    code = "input-invalid"


class Symphony:
    """Everything under one home. Use `async with` to run workflows; reading needs no `with`."""

    def __init__(
        self,
        home: Path | None,
        operators: Sequence[Operator],
        files: Sequence[str],
        settings: Callable[[], Config] = Config,
        *,
        clock: Clock | None = None,
        models: Models | None = None,
        catalog: Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """`settings` are read when they are first needed; for the rest see `open`."""
        self.home = home
        self._settings = settings
        self._given, self._files = tuple(operators), tuple(files)
        self._clock = clock or SystemClock()
        self._models, self._more_models = models, catalog or {}
        self._environment: ChainMap[str, str] = ChainMap({}, os.environ)
        self._pools = Pools(listen_idle=isinstance(self._clock, SystemClock))
        self._tasks: set[asyncio.Task[RunResult]] = set()
        self._closing = contextlib.ExitStack()
        self._ran = False

    @classmethod
    def open(
        cls,
        home: Path | str | None = None,
        *,
        operators: Sequence[Operator | Path | str] = (),
        memory: bool = False,
        config: Config | None = None,
        clock: Clock | None = None,
        models: Models | None = None,
        catalog: Mapping[str, ModelInfo] | None = None,
    ) -> "Symphony":
        """Symphony on `home` (see `find_home`), or in memory only.

        `operators`: operators, or trusted Python files that define some. `config`: settings, in
        place of those of the home and the environment. `clock` and `models` stand in for the
        machine's and the settings', `catalog` describes such models. Raises OperatorsNotLoaded.
        """
        place = locate_home(home)
        if not memory:
            secure(place)
        found: list[Operator] = []
        files: list[str] = []
        for one in operators:
            if isinstance(one, Operator):
                found.append(one)
            else:
                found += load_operators(Path(one))
                files.append(str(Path(one).absolute()))
        settings = (lambda: config_of(place)) if config is None else (lambda: config)
        return cls(
            None if memory else place.path,
            found,
            files,
            settings,
            clock=clock,
            models=models,
            catalog=catalog,
        )

    async def __aenter__(self) -> Self:
        self._closing.enter_context(routed_streams())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        if self._ran:
            await self.live.close()
        await self._pools.close()
        if self._models is not None:
            await self._models.close()
        for name in ("artifacts", "cache"):
            if name in self.__dict__ and self.__dict__[name] is not None:
                self.__dict__[name].close()
        self._closing.close()
        if self.__dict__.get("tracing") is not None:
            await asyncio.to_thread(self.__dict__["tracing"].close, TRACE_PATIENCE_S)
        if self.home is not None and self._ran:
            await asyncio.to_thread(self._retain_logs)

    def _retain_logs(self) -> None:
        logs = self.config.logs
        keep = Keep(days=logs.keep_days, runs=logs.keep_runs, megabytes=logs.max_mb)
        retain_logs(self.runs, keep, self._clock.now_s())

    # ---- parts ----------------------------------------------------------------------------

    @cached_property
    def config(self) -> Config:
        """All settings. Raises ConfigInvalid, IoFailed."""
        return self._settings()

    @cached_property
    def operators(self) -> Mapping[str, Operator]:
        """Every operator by name; given ones replace the kit's."""
        from symphony import kit

        return {**kit.operators(), **{one.info.name: one for one in self._given}}

    @cached_property
    def catalog(self) -> Catalog:
        """What workflows may name."""
        from symphony import kit

        models = dict(kit.models())
        if self.config.models:
            from symphony.kit.instruments.hosted.catalog import configured

            models |= configured(self.config.models)
        models |= self._more_models
        return Catalog(
            operators={name: one.info for name, one in self.operators.items()},
            models=models,
            keys=self.config.key_names,
        )

    @cached_property
    def tracing(self) -> Tracing | None:
        """Where traces of runs go, if anywhere."""
        return tracing_for(self.config.tracing, os.environ)

    @cached_property
    def artifacts(self) -> ArtifactStore:
        """Where large and declared values go."""
        from symphony.pit.artifacts import FileArtifacts, MemoryArtifacts

        if self.home is None:
            return MemoryArtifacts(self._clock.now_s)
        private_directory(self.home)
        return FileArtifacts(self.home / "artifacts")

    @cached_property
    def cache(self) -> "ResultCache":
        """Results of earlier runs. Raises SymphonyError in memory, where there are none."""
        from symphony.pit.artifacts import ResultCache

        if self.home is None:
            raise SymphonyError("a Symphony in memory caches nothing", code="no-home", hint="give it a home")
        return ResultCache(private_directory(private_directory(self.home) / "artifacts") / "cache.db")

    @cached_property
    def runs(self) -> Runs:
        """The runs under the home."""
        if self.home is None:
            raise SymphonyError(
                "a Symphony in memory keeps no runs", code="no-home", hint="open it with a home"
            )
        return Runs(self.home, self._clock, self.artifacts.unlink_run)

    @property
    def models(self) -> Models:
        """Models by id, their processes started when first used."""
        if self._models is None:
            self._models = AllModels(self.config, self.home, self._clock, self._environment)
        return self._models

    def prune(
        self,
        older_s: float,
        *,
        keep: int = 0,
        statuses: Sequence[RunStatus] = ENDED,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that ended more than `older_s` seconds ago, and artifacts that no run needs.

        Only runs that nothing can go on with, and never one of the `keep` newest. Blocking.
        """
        before_s = self._clock.now_s() - older_s
        found = foreseen(self.runs, before_s=before_s, statuses=statuses, keep=keep)
        return found if dry_run else prune(self.runs, self.artifacts, found.runs, found.unread)

    @cached_property
    def live(self) -> LiveBus:
        """The bus of the home; in memory, of this process alone."""
        return LiveBus(self.home, lambda: beyond_of(self.config.bus, self._environment))

    # ---- running --------------------------------------------------------------------------

    async def start(
        self,
        workflow: Workflow | Path | str,
        inputs: Mapping[str, Value] | None = None,
        *,
        cwd: Path | None = None,
        cache: bool = True,
        concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        budget: Limits | None = None,
        allow_hosts: Sequence[str] = (),
    ) -> RunHandle:
        """Check everything, then begin a run; it is durable when this returns.

        `cwd`: where paths and commands resolve. `environment`: in place of the process's, for
        the names that the workflow lists under `env`, and from now on for the keys of models.
        `budget`: limits beside those of the workflow and the settings; the strictest hold.
        `allow_hosts`: what operators may ask over HTTP, beside the hosts of the settings. Raises
        WorkflowInvalid, InputInvalid, WorkflowNotFound, NotSupported, ConfigInvalid, JournalFailed.
        """
        return self._begin(
            self._new(workflow, inputs, cwd, cache, concurrency, environment, budget, allow_hosts), {}
        )

    def plan(
        self,
        workflow: Workflow | Path | str,
        inputs: Mapping[str, Value] | None = None,
        *,
        cwd: Path | None = None,
        cache: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> "Forecast":
        """What a run would do, find in the cache, take and cost. Nothing runs, nothing is written.

        Blocking. Raises as `start` for what is not valid.
        """
        from symphony.app.foreseeing import foresee

        prepared = self._new(workflow, inputs, cwd, cache, None, environment, None)
        at = self.home if self.home is not None and self.home.is_dir() else None
        executor = functools.partial(self._executor, prepared, lambda *_: None)
        return foresee(prepared, at, executor, self._clock)

    def _new(
        self,
        workflow: Workflow | Path | str,
        inputs: Mapping[str, Value] | None,
        cwd: Path | None,
        cache: bool,
        concurrency: int | None,
        environment: Mapping[str, str] | None,
        budget: Limits | None,
        allow_hosts: Sequence[str] = (),
    ) -> Prepared:
        """Check everything that a new run needs."""
        source, base, model, resolver = self._checked(workflow)
        here = (cwd or Path.cwd()).absolute()
        bound, problems = bind_inputs(model, inputs or {}, cwd=here)
        if problems:
            raise InputInvalid(ValidationReport(errors=problems), source)
        config = self.config
        for name, value in bound.items():
            bounded(value, f"input {name}", config.symphony.value_mb << 20)
        check_hosts((*config.http.allow, *allow_hosts))
        self._environment.update(environment or {})
        children, references = record_children(model, resolver)
        meta = RunMeta(
            run_id=new_run_id(),
            workflow=recorded_form(model),
            source=source,
            inputs=b"",
            cwd=str(here),
            base=str(base),
            created_at=self._clock.now_s(),
            operators=self._files,
            cache=cache and config.symphony.cache,
            concurrency=concurrency or config.symphony.concurrency,
            budget=limits_of(model, config).strictest(budget or Limits()),
            children=children,
            references=references,
            allow_hosts=tuple(allow_hosts),
        )
        return self._prepared(meta, bound)

    def _begin(self, prepared: Prepared, reuse: Mapping[str, bytes]) -> RunHandle:
        """Make the journal, then run: the run is durable when this returns."""
        meta, lock = prepared.meta, None
        store: JournalStore = MemoryStore()
        with contextlib.ExitStack() as undo:
            if self.home is not None:
                private_directory(self.home)
                lock = self.runs.lock(meta.run_id)
                lock.acquire(os.getpid())
                undo.callback(lock.release)
                store = SqliteStore.create(self.runs.journal_path(meta.run_id), meta, reuse)
                undo.callback(store.close)
            handle = self._launch(prepared, store, lock, lambda engine: engine.run())
            undo.pop_all()
            return handle

    async def resume(
        self,
        run_id: str,
        *,
        retry: Sequence[str] = (),
        skip: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Go on with a run that was interrupted, paused or waits.

        `retry` and `skip` name nodes that wait for a decision; `environment` as for `start`. A run
        that has ended gives its result again. Raises RunNotFound, RunBusy, and as `start`.
        """
        run_id = self.runs.find(run_id)
        lock = self.runs.lock(run_id)
        lock.acquire(os.getpid())
        with contextlib.ExitStack() as undo:
            undo.callback(lock.release)
            meta = self.runs.meta(run_id)
            self._environment.update(environment or {})
            prepared = self._recalled(meta)
            await asyncio.to_thread(self.runs.end_orphans, run_id)
            store = SqliteStore.own(self.runs.journal_path(run_id))
            undo.callback(store.close)
            recorded = list(store.records())
            if self.runs.status(run_id) in ENDED:
                return self._ended(run_id, prepared)
            handle = self._launch(
                prepared, store, lock, lambda engine: engine.run(recorded, retry, skip), known=len(recorded)
            )
            undo.pop_all()
            return handle

    async def rerun(
        self,
        run_id: str,
        *,
        first: str | None = None,
        inputs: Mapping[str, Value] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> RunHandle:
        """Begin a new run that reuses results of one that no process owns.

        Run anew: the node `first` and all that depends on it, what depends on `inputs` that have
        changed, and what did not succeed. All else is taken from the old run, effects too, and
        says so in `cached_from`. Raises RunNotFound, RunBusy, InputInvalid, SymphonyError
        `unknown-node`, and as `start`.
        """
        run_id = self.runs.find(run_id)
        lock = self.runs.lock(run_id)
        lock.acquire(os.getpid())
        try:
            self._environment.update(environment or {})
            old = self._recalled(self.runs.meta(run_id))
            records = self.runs.records(run_id)
        finally:
            lock.release()
        job = old.job
        bound, problems = bind_inputs(job.workflow, {**job.inputs, **(inputs or {})}, cwd=job.cwd)
        if problems:
            raise InputInvalid(ValidationReport(errors=problems), old.meta.source)
        meta = msgspec.structs.replace(
            old.meta, run_id=new_run_id(), created_at=self._clock.now_s(), rerun_of=run_id
        )
        for name in inputs or {}:
            bounded(bound[name], f"input {name}", self.config.symphony.value_mb << 20)
        changed = changed_inputs(job.inputs, bound)
        new = self._prepared(meta, bound)
        engine, log = self._engine(old, MemoryStore())
        reuse = engine.reusable(records, Anew(first=first, inputs=changed))
        log.close()
        for name, result in reuse.items():
            self._keep(meta, name, result)
        return self._begin(new, {name: written(result, new.sealer) for name, result in reuse.items()})

    def _keep(self, meta: RunMeta, name: str, result: Result) -> None:
        """Claim the artifacts in a reused result, so that deleting the old run leaves them."""
        for port, ref in result.references():
            provenance = Provenance(
                run_id=meta.run_id, node=name, port=port, operator="", version="", created_at=meta.created_at
            )
            self.artifacts.link(ref, provenance)

    def _checked(self, workflow: Workflow | Path | str) -> tuple[str | None, Path, Workflow, Resolver]:
        if isinstance(workflow, Workflow):
            resolver = Resolver(Path.cwd() / "workflow")
            report = validate(workflow, self.catalog, resolve=resolver)
            if not report.ok:
                raise WorkflowInvalid(report)
            return None, Path.cwd(), workflow, resolver
        path = Path(workflow)
        resolver = Resolver(path)
        model, report = check_file(path, self.catalog, resolver)
        if model is None or not report.ok:
            raise WorkflowInvalid(report, str(path))
        return str(path.absolute()), resolver.path.parent, model, resolver

    def _prepared(
        self,
        meta: RunMeta,
        inputs: Mapping[str, Value] | None = None,
    ) -> Prepared:
        """The run with the operators that its files define, besides those of this Symphony."""
        files = [file for file in meta.operators if file not in self._files]
        given = [one for file in files for one in load_operators(Path(file))]
        operators = {**self.operators, **{one.info.name: one for one in given}}
        catalog = Catalog(
            operators={name: one.info for name, one in operators.items()}, models=self.catalog.models
        )
        keys = keys_of(self.config, self._environment)
        return prepare(meta, catalog, operators, self._environment, inputs, keys=keys)

    def _recalled(self, meta: RunMeta) -> Prepared:
        """The run that is recorded. Raises JournalFailed for what makes no sense."""
        with journal_errors(self.runs.journal_path(meta.run_id)):
            return self._prepared(meta)

    def _engine(self, prepared: Prepared, store: JournalStore) -> tuple[Engine, RunLog]:
        job, sealer, logs = prepared.job, prepared.sealer, self.config.logs
        log = RunLog(
            None if self.home is None else self.runs.log_path(job.run_id),
            self._clock.now_s,
            sealer.mask,
            LogLimits(node_bytes=logs.node_mb * 1024 * 1024, run_bytes=logs.run_mb * 1024 * 1024),
            sealer.stream if sealer else None,
        )
        cache = self.cache if prepared.meta.cache and self.home is not None else None
        executor = self._executor(prepared, log, cache, self.artifacts)
        return Engine(job, store, executor, self._clock, os.getpid()), log

    def _executor(
        self, prepared: Prepared, log: LogWriter, cache: Cache | None, artifacts: ArtifactStore
    ) -> Executor:
        job = prepared.job
        return Executor(
            run_id=job.run_id,
            cwd=job.cwd,
            base=job.base,
            artifacts=artifacts,
            models=self.models,
            arbiter=AtOnce(),
            clock=self._clock,
            log=log,
            cache=cache,
            sealer=prepared.sealer,
            spending=Spending(prepared.meta.budget, currency=self.config.budget.currency),
            capture=capture,
            environment=job.environment,
            keys=self.config.key_names,
            allowed_hosts=(*self.config.http.allow, *prepared.meta.allow_hosts),
            value_bytes_max=self.config.symphony.value_mb << 20,
            marks=marks_of(job.run_id, self.home),
            workers=self._pools.operators,
            # Where time is not the machine's, a process of its own would be waited for in real time.
            expressions=self._pools.expressions if isinstance(self._clock, SystemClock) else None,
        )

    def _launch(
        self,
        prepared: Prepared,
        store: JournalStore,
        lock: RunLock | None,
        begin: "Callable[[Engine], object]",
        *,
        known: int = 0,
    ) -> RunHandle:
        engine, log = self._engine(prepared, store)
        self._ran, job, marks = True, prepared.job, marks_of(prepared.job.run_id, self.home)

        async def run() -> RunResult:
            following = self._followed(prepared, engine, known)
            try:
                result = await begin(engine)  # type: ignore[misc]  # `begin` gives `Engine.run`'s coroutine
                assert isinstance(result, RunResult)
                return result
            finally:
                if job.graph.runs(COMMAND):
                    await asyncio.to_thread(end_escaped, marks)
                store.close()
                log.close()
                if lock is not None:
                    lock.release()
                if following is not None:
                    await asyncio.wait({following}, timeout=TRACE_PATIENCE_S)
                    following.cancel()
                await self.live.ended(job.run_id)

        self.live.begin(job.run_id, engine.feed)
        task = asyncio.get_running_loop().create_task(run(), name=f"run {job.run_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return RunHandle(job.run_id, engine, task, log, self.live, unhidden=prepared.unhidden, marks=marks)

    def _followed(self, prepared: Prepared, engine: Engine, known: int) -> "asyncio.Task[None] | None":
        """Draws a trace of the run while it goes on, if traces are wanted."""
        if self.tracing is None:
            return None
        outline = Outline(prepared.job.workflow, prepared.meta.recorded())
        work = follow(self.tracing, prepared.job.run_id, outline, engine.feed, self.catalog, known=known)
        return asyncio.get_running_loop().create_task(work, name=f"trace {prepared.job.run_id}")

    def _ended(self, run_id: str, prepared: Prepared) -> RunHandle:
        engine, log = self._engine(prepared, MemoryStore())
        engine.finish()

        async def known() -> RunResult:
            result, ended = self.runs.result(run_id), self.runs.replay(run_id).ended
            if ended is None or ended[1] is None:
                return result
            return msgspec.structs.replace(result, outputs=opened_outputs(ended[1], prepared.sealer))

        task = asyncio.get_running_loop().create_task(known(), name=f"run {run_id}")
        return RunHandle(run_id, engine, task, log, self.live)


def run(
    workflow: Workflow | Path | str,
    inputs: Mapping[str, Value] | None = None,
    *,
    home: Path | str | None = None,
    operators: Sequence[Operator | Path | str] = (),
    memory: bool = False,
    cache: bool = True,
    concurrency: int | None = None,
) -> RunResult:
    """Run a workflow to its end and give its result. Not for use inside a running event loop."""

    async def whole() -> RunResult:
        async with Symphony.open(home, operators=operators, memory=memory) as symphony:
            handle = await symphony.start(workflow, inputs, cache=cache, concurrency=concurrency)
            return await handle.result()

    return asyncio.run(whole())
