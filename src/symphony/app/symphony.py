"""The main class of the Python API: one object for everything under a home. It decides nothing itself.

What begins runs is imported when the first one begins: most of a command that only looks at runs.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from symphony.app.home import config_of, locate_home, secure
from symphony.app.parts import Parts
from symphony.commons.filesystem import in_utf8
from symphony.commons.settings import Config
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.store.keeping import Keep, retain_logs
from symphony.pit.tracker.store.logs import routed_streams
from symphony.pit.tracker.store.runs import Runs
from symphony.ports.clock import Clock
from symphony.ports.insight import RunViews
from symphony.ports.models import Models
from symphony.ports.runs import ENDED, RunResult, RunStatus
from symphony.ports.steering import Pruned
from symphony.ports.tracing import Tracing
from symphony.ports.values import Value
from symphony.workflow.catalog import Catalog, ModelInfo
from symphony.workflow.model import Workflow

if TYPE_CHECKING:
    from symphony.app.handle import RunHandle
    from symphony.app.launching import Launcher
    from symphony.app.live import LiveBus
    from symphony.app.preparing import PreparedWorkflow
    from symphony.app.rerunning import RerunRequest
    from symphony.app.run_for import RunFor
    from symphony.app.searching import Searching
    from symphony.app.upkeep import Upkeep
    from symphony.pit.artifacts import ResultCache
    from symphony.ports.forecast import Forecast
    from symphony.ports.retention import Clearing, RetainedStore, Tier, Tiering
    from symphony.ports.values import Digest
    from symphony.sdk import Operator
    from symphony.workflow.nesting import Nested

__all__ = ["Symphony", "run"]


class Symphony:
    """Everything under one home. Use `async with` to run workflows; reading needs no `with`."""

    def __init__(
        self,
        home: Path | None,
        operators: "Sequence[Operator]",
        files: Sequence[str],
        settings: Callable[[], Config] = Config,
        *,
        clock: Clock | None = None,
        models: Models | None = None,
        catalog: Mapping[str, ModelInfo] | None = None,
    ) -> None:
        """`settings` are read when they are first needed; for the rest see `open`."""
        self.parts = Parts(home, operators, files, settings, clock=clock, models=models, catalog=catalog)
        self._closing = contextlib.ExitStack()

    @classmethod
    def open(
        cls,
        home: Path | str | None = None,
        *,
        operators: "Sequence[Operator | Path | str]" = (),
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
            in_utf8(place.path, "the home")
            secure(place)
        found = list["Operator"]()
        files: list[str] = []
        if operators:
            from symphony.sdk import Operator
            from symphony.sdk.beside import load_once

            for one in operators:
                if isinstance(one, Operator):
                    found.append(one)
                else:
                    found += load_once(Path(one).absolute())
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
        await self._launcher.stop()
        with self._closing:
            await self.parts.close()
            if self._launcher.ran and self.home is not None:
                import asyncio

                await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        """Delete what the settings let go: old logs, and once a day more, if they say so. Blocking."""
        parts, logs = self.parts, self.parts.config.logs
        if parts.config.retention.automatic:
            self._upkeep.daily()
            parts.close_stores()
        keep = Keep(days=logs.keep_days, runs=logs.keep_runs, megabytes=logs.max_mb)
        retain_logs(parts.runs, keep, parts.clock.now_s())
        parts.runs.close()

    # ---- parts ----------------------------------------------------------------------------

    @cached_property
    def _launcher(self) -> "Launcher":
        from symphony.app.launching import Launcher

        return Launcher(self.parts)

    @cached_property
    def _upkeep(self) -> "Upkeep":
        from symphony.app.upkeep import Upkeep

        return Upkeep(self.parts)

    @property
    def home(self) -> Path | None:
        """Where everything is kept; None in memory."""
        return self.parts.home

    @property
    def config(self) -> Config:
        """All settings. Raises ConfigInvalid, IoFailed."""
        return self.parts.config

    @property
    def operators(self) -> "Mapping[str, Operator]":
        """Every operator by name; given ones replace the kit's."""
        return self.parts.operators

    @property
    def catalog(self) -> Catalog:
        """The catalogue of what workflows may name."""
        return self.parts.catalog

    @property
    def tracing(self) -> Tracing | None:
        """Where traces of runs go, if anywhere."""
        return self.parts.tracing

    @property
    def artifacts(self) -> "RetainedStore":
        """Where large and declared values go."""
        return self.parts.artifacts

    @property
    def searching(self) -> "Searching":
        """The search of artifacts: `symphony.searching.search(SearchRequest(text="near duplicate"))`.

        Raises SymphonyError for a Symphony in memory, which has none.
        """
        return self.parts.searching

    @property
    def cache(self) -> "ResultCache":
        """The cache of results. Raises SymphonyError for a Symphony in memory, which has none."""
        return self.parts.cache

    @property
    def runs(self) -> Runs:
        """The runs under the home."""
        return self.parts.runs

    @property
    def views(self) -> RunViews:
        """The views of the runs under the home: overviews, documents, metrics, events as they happen."""
        return self.parts.views

    def recorded(self, run_id: str) -> "Nested":
        """Return the workflow that a run was begun with, and the graphs inside it.

        Raises RunNotFound, JournalFailed.
        """
        from symphony.pit.tracker.insight.reader import Insight

        return Insight(self.runs).outline(run_id).nested

    @property
    def models(self) -> Models:
        """Models by id, their processes started when first used."""
        return self.parts.models

    @property
    def live(self) -> "LiveBus":
        """The bus of the home; in memory, of this process alone."""
        return self.parts.live

    def prune(
        self,
        older_s: float,
        *,
        keep: int = 0,
        statuses: Sequence[RunStatus] = ENDED,
        dry_run: bool = False,
    ) -> Pruned:
        """Delete runs that ended more than `older_s` seconds ago, then `clear`.

        Only runs that nothing can go on with, and never one of the `keep` newest. Blocking.
        """
        return self._upkeep.prune(older_s, keep=keep, statuses=statuses, dry_run=dry_run)

    def prune_by_limits(self, *, dry_run: bool = False) -> Pruned | None:
        """Delete the runs beyond the limits of the settings, then `clear`; None if it has none. Blocking."""
        return self._upkeep.prune_by_limits(dry_run=dry_run) if self._upkeep.run_limits.any else None

    def prune_cache(self) -> int:
        """Forget cached results beyond the limits of the settings; return how many. Blocking."""
        return self._upkeep.prune_cache()

    def clear(self, *, at_once: bool = False, dry_run: bool = False, explain: bool = True) -> "Clearing":
        """Move artifacts that may go to the trash, and delete those that were there for long enough.

        The settings under `retention` say which may go; without rules, those that no run refers to and nobody
        named. With `at_once` they are deleted now, but for those that were put a short time ago. With
        `dry_run` nothing is changed. The reason for each is given if you want it to `explain`, which takes
        3 KB for each artifact. Blocking.
        """
        return self._upkeep.clear(at_once=at_once, dry_run=dry_run, explain=explain)

    def tier(
        self, *, of: "Sequence[Digest]" = (), to: "Tier | None" = None, dry_run: bool = False
    ) -> "Tiering":
        """Move artifacts to the tiers in which they belong by the settings under `tiers`. Blocking.

        With `to`, the artifacts `of` go to that tier instead, whatever rules say. With `dry_run` nothing is
        changed.
        """
        return (
            self._upkeep.tier(dry_run=dry_run)
            if to is None
            else self._upkeep.tier_some(of, to, dry_run=dry_run)
        )

    def attend(self, about_to_answer: Callable[[Sequence[str]], bool] | None) -> None:
        """Say whether somebody is here to answer approvals, for runs that begin from now on.

        A run in which nothing else can go on ends as `waiting`. It is held instead while
        `about_to_answer` says yes to the full names of the nodes that ask; `RunHandle.answer` answers,
        and `RunHandle.unattended` has the run look again.
        """
        self.parts.attended = about_to_answer

    # ---- running --------------------------------------------------------------------------

    def prepare(
        self,
        workflow: Workflow | Path | str,
        *,
        nodes: Sequence[str] = (),
        load: bool = False,
        body: bytes | None = None,
    ) -> "PreparedWorkflow":
        """Check a workflow once, for `plan` and for any number of runs: `start(prepare("flow.yaml"))`.

        `nodes`: runs have only these and what they need; outputs that read other nodes are left out.
        Its file and those of its sub-workflows are not read again. Files of operators that they name are
        run when the first run starts; with `load`, now. `body` is the document itself, in any format, in
        place of a file: `workflow` then only names it, and relative paths begin where it would be. Blocking.
        Raises WorkflowInvalid, WorkflowNotFound, OperatorsNotLoaded.
        """
        return self._launcher.readying.ready(workflow, load=load, nodes=nodes, body=body)

    def run_for(self, run_id: str) -> "RunFor":
        """Return for whom a run is, as far as that differs from what a new run in its folder would be.

        Raises RunNotFound, JournalFailed.
        """
        from symphony.app.run_for import unusual, usual

        meta = self.runs.meta(self.runs.find(run_id))
        of_new = usual(self.config.run, self.home, Path(meta.cwd))
        return unusual(meta.user, meta.project, meta.priority, of_new)

    async def start(
        self,
        workflow: "Workflow | Path | str | PreparedWorkflow",
        inputs: Mapping[str, Value] | None = None,
        *,
        cwd: Path | None = None,
        cache: bool = True,
        concurrency: int | None = None,
        environment: Mapping[str, str] | None = None,
        budget: Limits | None = None,
        allow_hosts: Sequence[str] = (),
        name: str | None = None,
        user: str | None = None,
        project: str | None = None,
        priority: int | None = None,
    ) -> "RunHandle":
        """Check everything, then begin a run; it is durable when this returns.

        What `prepare` gave is not looked at again.

        `cwd`: where paths and commands resolve. `environment`: in place of the process's, for
        the names that the workflow lists under `env`, and from now on for the keys of models.
        `budget`: limits beside those of the workflow and the settings; the strictest hold.
        `allow_hosts`: what operators may ask over HTTP, beside the hosts of the settings. `name`: what the
        run is called, which no other run is; without one it gets its workflow's slug and the next number,
        such as `words-12`. `user`, `project` and `priority` say for whom it runs and how urgently, in place
        of the settings; they decide who shares what is scarce, and permit nothing. Raises WorkflowInvalid,
        InputInvalid, WorkflowNotFound, NotSupported, ConfigInvalid, JournalFailed, SymphonyError `run-name`
        or `run-for`.
        """
        from symphony.app.run_for import RunFor

        prepared = self._launcher.prepared(
            workflow,
            inputs,
            cwd,
            cache,
            concurrency=concurrency,
            environment=environment,
            budget=budget,
            allow_hosts=allow_hosts,
            name=name,
            run_for=RunFor(user=user, project=project, priority=priority),
        )
        return await self._launcher.begin(prepared)

    def plan(
        self,
        workflow: "Workflow | Path | str | PreparedWorkflow",
        inputs: Mapping[str, Value] | None = None,
        *,
        cwd: Path | None = None,
        cache: bool = True,
        environment: Mapping[str, str] | None = None,
    ) -> "Forecast":
        """Return what a run would do, find in the cache, take and cost. Nothing runs, nothing is written.

        Blocking. Raises as `start` for what is not valid.
        """
        return self._launcher.plan(workflow, inputs, cwd=cwd, cache=cache, environment=environment)

    async def resume(
        self,
        run_id: str,
        *,
        retry: Sequence[str] = (),
        skip: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        budget: Limits | None = None,
        allow_hosts: Sequence[str] = (),
        concurrency: int | None = None,
        cache: bool | None = None,
        operators: "Sequence[Path | str]" = (),
        user: str | None = None,
        project: str | None = None,
        priority: int | None = None,
    ) -> "RunHandle":
        """Go on with a run that was interrupted, paused or waits: `await symphony.resume("words-12")`.

        `retry` and `skip` name nodes that wait for a decision; `environment` as for `start`. Limits of
        `budget` take the place of the run's, within those of the settings; `allow_hosts` are added to
        the run's; `operators` are files in place of those that it recorded; `user`, `project` and `priority`
        replace the run's. All of this, `concurrency` and `cache` hold until the run ends. A run that has
        ended gives its result again. Raises RunNotFound, RunBusy, and as `start`.
        """
        from symphony.app.amending import RunAmendment
        from symphony.app.run_for import RunFor

        amendment = RunAmendment(
            budget=budget, allow_hosts=tuple(allow_hosts), concurrency=concurrency, cache=cache,
            operators=tuple(operators), run_for=RunFor(user=user, project=project, priority=priority),
        )  # fmt: skip
        return await self._launcher.resume(
            run_id, retry=retry, skip=skip, environment=environment, amendment=amendment
        )

    async def rerun(
        self,
        run_id: str,
        *,
        first: str | Sequence[str] | None = None,
        inputs: Mapping[str, Value] | None = None,
        file: "Workflow | Path | str | PreparedWorkflow | None" = None,
        environment: Mapping[str, str] | None = None,
        name: str | None = None,
        budget: Limits | None = None,
        allow_hosts: Sequence[str] = (),
        concurrency: int | None = None,
        cache: bool | None = None,
        operators: "Sequence[Path | str]" = (),
        user: str | None = None,
        project: str | None = None,
        priority: int | None = None,
    ) -> "RunHandle":
        """Begin a new run that reuses results of one that no process owns.

        What runs again: the nodes or elements `first` (`parse`, `parse[3]`) and all that depends on
        them, even if their results are cached; what depends on `inputs` that have changed; and what did not
        succeed by itself: failures that `on_error` handled too, of elements and inside of loops and
        sub-workflows as well. Where only the list of a fan-out may be another, elements that read what they
        read before are taken, wherever they stand. All else is taken from the old run, effects too, and says
        so in `cached_from`; `reused` of the handle sums it up.

        `file` is the mended workflow, `await symphony.rerun("words-12", file="words.yaml")`: what its
        nodes do that have changed, or whose operators, models or templates have, runs again, and all
        that depends on them. Inputs that were defaults of the old workflow are the new one's.
        `name` as for `start`, the rest as for `resume`. Raises RunNotFound, RunBusy, InputInvalid,
        SymphonyError `unknown-node`, and as `start`.
        """
        from symphony.app.run_for import RunFor

        asked = _rerun_request(
            first, inputs, file, name, budget=budget, allow_hosts=tuple(allow_hosts),
            concurrency=concurrency, cache=cache, operators=tuple(operators),
            run_for=RunFor(user=user, project=project, priority=priority),
        )  # fmt: skip
        return await self._launcher.rerun(run_id, asked, environment)

    def plan_rerun(
        self,
        run_id: str,
        *,
        first: str | Sequence[str] | None = None,
        inputs: Mapping[str, Value] | None = None,
        file: "Workflow | Path | str | PreparedWorkflow | None" = None,
        environment: Mapping[str, str] | None = None,
        cache: bool | None = None,
        operators: "Sequence[Path | str]" = (),
    ) -> "Forecast":
        """Return what `rerun` would do: which results it would reuse, and what would run again and why.

        Nothing runs, and nothing is written. Raises as `rerun`.
        """
        asked = _rerun_request(first, inputs, file, None, cache=cache, operators=tuple(operators))
        return self._launcher.plan_rerun(run_id, asked, environment)


def _rerun_request(
    first: str | Sequence[str] | None,
    inputs: Mapping[str, Value] | None,
    file: "Workflow | Path | str | PreparedWorkflow | None",
    name: str | None,
    *,
    budget: Limits | None = None,
    allow_hosts: tuple[str, ...] = (),
    concurrency: int | None = None,
    cache: bool | None = None,
    operators: "tuple[Path | str, ...]" = (),
    run_for: "RunFor | None" = None,
) -> "RerunRequest":
    from symphony.app.amending import RunAmendment
    from symphony.app.rerunning import RerunRequest
    from symphony.app.run_for import RunFor

    steps = (first,) if isinstance(first, str) else tuple(first or ())
    amendment = RunAmendment(
        budget=budget, allow_hosts=allow_hosts, concurrency=concurrency, cache=cache, operators=operators,
        run_for=run_for or RunFor(),
    )  # fmt: skip
    return RerunRequest(first=steps, inputs=inputs, file=file, name=name, amendment=amendment)


def run(
    workflow: Workflow | Path | str,
    inputs: Mapping[str, Value] | None = None,
    *,
    home: Path | str | None = None,
    operators: "Sequence[Operator | Path | str]" = (),
    memory: bool = False,
    cache: bool = True,
    concurrency: int | None = None,
) -> RunResult:
    """Run a workflow to its end and give its result. Not for use inside a running event loop."""
    import asyncio

    async def whole() -> RunResult:
        async with Symphony.open(home, operators=operators, memory=memory) as symphony:
            handle = await symphony.start(workflow, inputs, cache=cache, concurrency=concurrency)
            return await handle.result()

    return asyncio.run(whole())
