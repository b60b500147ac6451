"""Works out what a rerun reuses from an earlier run of the same or a changed workflow. Blocking."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec
from msgspec.structs import replace

from symphony.app.amending import AS_BEFORE, RunAmendment, amended
from symphony.app.models import keys_of
from symphony.app.parts import Parts
from symphony.app.preparing import InputInvalid, Prepared, PreparedWorkflow, limits_of, prepare
from symphony.app.readying import Readying
from symphony.app.telling import check_finish_host
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import Config
from symphony.commons.time import new_run_id
from symphony.pit.artifacts.values.codec import value_digest
from symphony.pit.tracker.core.budget import Limits
from symphony.pit.tracker.engine.engine import Engine
from symphony.pit.tracker.engine.reruns.mended import Mended, Mending
from symphony.pit.tracker.engine.reruns.reused import RerunScope, Reusable, ReusedResult, changed_inputs
from symphony.pit.tracker.engine.reruns.stale import stale_operators
from symphony.pit.tracker.engine.reruns.takeover import foreseen
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.limits import bounded
from symphony.pit.tracker.nodes.prints import Prints, RunPrints, code_prints, read_prints
from symphony.pit.tracker.store.finding import RunNotFound
from symphony.pit.tracker.store.journal import MemoryStore, RunMeta
from symphony.pit.tracker.store.journal_rows import journal_errors
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import Value
from symphony.workflow.inputs import bind_inputs
from symphony.workflow.model import Workflow
from symphony.workflow.problems import ValidationReport

_Reading: TypeAlias = tuple[Prepared, Callable[[RerunScope], Reusable], Executor]


class RerunRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a rerun: see `Symphony.rerun`. `file` is the changed workflow."""

    first: tuple[str, ...] = ()
    inputs: Mapping[str, Value] | None = None
    file: "Workflow | Path | str | PreparedWorkflow | None" = None
    name: str | None = None
    amendment: RunAmendment = AS_BEFORE


class RunRecall(Protocol):
    """Makes a recorded run ready; `inputs` in place of its own; `load` runs its files of operators."""

    def __call__(
        self, meta: RunMeta, inputs: Mapping[str, Value] | None = None, *, load: bool = True
    ) -> Prepared: ...


class RerunPlanner:
    """Works out what reruns take. `executor` can load the values of a run that is not going on."""

    def __init__(
        self, parts: Parts, readying: Readying, recall: RunRecall, executor: Callable[[Prepared], Executor]
    ) -> None:
        self._parts, self._readying, self._recall, self._executor = parts, readying, recall, executor
        self._known: dict[str, Prints | None] = {}  # fingerprints of runs that were read, by their ids

    def planned(
        self, run_id: str, asked: RerunRequest, *, load: bool = True
    ) -> tuple[Prepared, Reusable, Executor]:
        """Return a run that takes results of another, what it takes, and what can load and keep that.

        `load` runs files of operators.
        """
        run_id = self._parts.runs.find(run_id)
        ready = self._ready(run_id, asked, load=load)
        moved = None if ready is None else ready.base
        old, reading, executor = self._read(run_id, asked.amendment, load=load and ready is None, moved=moved)
        meta = replace(
            asked.amendment.of(old.meta, self._parts.config),
            run_id=new_run_id(),
            created_at=self._parts.clock.now_s(),
            rerun_of=run_id,
            afresh=asked.first,
            name=asked.name,
        )
        if ready is not None:
            return self._of_mended(old, reading, executor, meta, asked, ready)
        bound = self._bound(old.job.workflow, old.job.inputs, old, asked)
        changed = changed_inputs(old.job.inputs, bound)
        new = self._recall(meta, bound, load=load)
        now = self.prints(new.job)
        found = reading(RerunScope(first=asked.first, inputs=changed))
        new = replace(new, meta=self._printed(new.meta, old.meta, found, now))
        before = new.meta.taken_prints.get
        stale = stale_operators(new.job.graph, found.results, before, now)
        summary = replace(_counted(found.summary, new.job, found, executor), stale=stale)
        return new, replace(found, summary=summary), executor

    def prints(self, job: Job) -> Prints:
        """Return the fingerprints of a run that begins now."""
        found = code_prints(job.graph, self._parts.models)
        return found | read_prints(job.graph, job.inputs, job.cwd, job.base)

    def _printed(self, meta: RunMeta, old: RunMeta, found: Reusable, now: Prints) -> RunMeta:
        """Return what is recorded of a rerun, with the fingerprints of what it runs and of what it takes."""
        before = RunPrints(old.fingerprints, old.taken_prints)
        known = {**self._known, **old.taken_prints}
        runs = {result.run for result in found.results.values() if result.run}
        return replace(
            meta,
            fingerprints=now,
            taken_prints={run: known[run] if run in known else before.of(run) for run in runs},
        )

    def _of_mended(
        self, old: Prepared, reading: Callable[[RerunScope], Reusable], executor: Executor, meta: RunMeta,
        asked: RerunRequest, ready: PreparedWorkflow,
    ) -> tuple[Prepared, Reusable, Executor]:  # fmt: skip
        config = self._parts.config
        if self._parts.on_finish is None:
            check_finish_host(ready.workflow.on_finish, (*config.http.allow, *meta.allow_hosts))
        bound = self._bound(ready.workflow, _kept(old.job, ready.workflow), old, asked)
        meta = replace(
            meta,
            workflow=ready.document,
            source=ready.source,
            digest=ready.digest,
            base=str(ready.base),
            operators=(*self._parts.files, *map(str, self._readying_of(asked).files)),
            only=ready.only,
            children=ready.children.documents,
            references=ready.children.references,
            budget=_budget(asked, old, ready.workflow, config),
        )
        keys = keys_of(config, self._parts.environment)
        new = prepare(
            meta, ready.graph, ready.variables, self._parts.environment, bound,
            keys=keys, children=ready.children, read=ready.read,
        )  # fmt: skip
        now = self.prints(new.job)
        mending = Mending(old.job.graph, new.job.graph, now)
        changed = changed_inputs(old.job.inputs, bound)
        reusable = reading(RerunScope(first=asked.first, inputs=changed, mended=mending))
        new = replace(new, meta=self._printed(new.meta, old.meta, reusable, now))
        summary = _retold(reusable, mending.since(old.meta.fingerprints), new.job.workflow)
        return new, replace(reusable, summary=_counted(summary, new.job, reusable, executor)), executor

    def _ready(self, run_id: str, asked: RerunRequest, *, load: bool) -> PreparedWorkflow | None:
        """Return the mended workflow, if there is one: of a run of some nodes, these alone."""
        if asked.file is None:
            return None
        only = self._parts.runs.meta(run_id).only
        return self._readying_of(asked).ready(asked.file, load=load, nodes=only)

    def _readying_of(self, asked: RerunRequest) -> Readying:
        files = [str(Path(one).absolute()) for one in asked.amendment.operators]
        return Readying(self._parts, files) if files else self._readying

    def _bound(
        self, workflow: Workflow, kept: Mapping[str, Value], old: Prepared, asked: RerunRequest
    ) -> Mapping[str, Value]:
        """Return the inputs of the new run. Raises InputInvalid."""
        given = asked.inputs or {}
        bound, problems = bind_inputs(workflow, {**kept, **given}, cwd=old.job.cwd)
        if problems:
            raise InputInvalid(ValidationReport(errors=problems), old.meta.source)
        for name in given:
            bounded(bound[name], f"input {name}", self._parts.config.symphony.value_mb << 20)
        return bound

    def _read(
        self,
        run_id: str,
        amendment: RunAmendment | None = None,
        *,
        load: bool = True,
        moved: Path | None = None,
    ) -> _Reading:
        """Return a run that no process owns, what may be taken from it, and what can load and keep that.

        `moved` is where its files of operators are if they are not where they were.
        """
        lock = self._parts.runs.lock(run_id)
        lock.acquire(os.getpid())
        try:
            meta = self._parts.runs.meta(run_id)
            if amendment is not None and amendment.operators:
                meta = amendment.of(meta, self._parts.config)
            with journal_errors(self._parts.runs.journal_path(run_id)):
                old = self._recalled(meta, moved, load=load)
            records = self._parts.runs.records(run_id)
        finally:
            lock.release()
        executor = self._executor(old)
        engine = Engine(old.job, MemoryStore(), executor, self._parts.clock, os.getpid())
        self._known |= {**meta.taken_prints, meta.run_id: meta.fingerprints}
        prints = RunPrints(meta.fingerprints, meta.taken_prints)
        return old, lambda scope: engine.reusable(records, scope, self._borrowed, prints), executor

    def _recalled(self, meta: RunMeta, moved: Path | None, *, load: bool) -> Prepared:
        try:
            return self._recall(meta, load=load)
        except SymphonyError as error:
            if error.code != "operators-not-loaded" or moved is None or str(moved) == meta.base:
                raise
        return self._recall(replace(meta, base=str(moved)), load=load)

    def _borrowed(
        self, run_id: str, steps: Sequence[str], mended: Mending | None = None
    ) -> Mapping[str, ReusedResult] | None:
        """Return what may be taken from a run of which these steps run again; None if it is gone."""
        try:
            _, reading, _ = self._read(run_id)
        except RunNotFound:
            return None
        return reading(RerunScope(first=tuple(steps), mended=mended)).results


def _kept(job: Job, workflow: Workflow) -> dict[str, Value]:
    """Return the inputs of a run that a mended workflow still has. What was a default is left to its
    defaults.
    """
    defaults, _ = bind_inputs(job.workflow, {}, cwd=job.cwd)
    return {
        name: value
        for name, value in job.inputs.items()
        if name in workflow.inputs
        and not (name in defaults and value_digest(defaults[name]) == value_digest(value))
    }


def _budget(asked: RerunRequest, old: Prepared, workflow: Workflow, config: Config) -> Limits:
    """Return what a mended workflow and the settings limit, and what was said when a run began."""
    before, usual = old.meta.budget or Limits(), limits_of(old.job.workflow, config)
    typed = Limits(
        money=None if before.money == usual.money else before.money,
        tokens=None if before.tokens == usual.tokens else before.tokens,
        calls=None if before.calls == usual.calls else before.calls,
    )
    return limits_of(workflow, config).strictest(amended(typed, asked.amendment.budget or Limits()))


def _counted(summary: ReuseSummary, job: Job, found: Reusable, executor: Executor) -> ReuseSummary:
    """Return the summary with the elements counted of fan-outs whose lists may be others."""
    if not summary.moving:
        return summary
    counts, again = foreseen(job, found.results, executor, found.digests), dict(summary.again)
    whole = 0
    for name in summary.moving & again.keys():
        reused, count, tried = counts.get(name, (0, 0, 0))
        if name in counts and reused == count:
            del again[name]  # nothing of it runs
            whole += 1
            continue
        parts = [f"{count - reused - tried:,} of {count:,} elements new"] if count - reused - tried else []
        parts += [f"{tried:,} of {count:,} again"] if tried else []
        told = ", ".join(parts) if name in counts else "elements that are as before are reused"
        again[name] = f"{again[name]}; {told}"
    return replace(
        summary,
        reused=summary.reused + whole,
        again=again,
        elements={**summary.elements, **{name: (one[0], one[1]) for name, one in counts.items()}},
        tried={name: one[2] for name, one in counts.items()},
    )


def _retold(reusable: Reusable, found: Mended, workflow: Workflow) -> ReuseSummary:
    """Return the summary for the nodes of the mended workflow."""
    old = reusable.summary
    why = {name: old.again.get(name) or found.added.get(name) for name in workflow.nodes}
    return replace(
        old,
        nodes=len(workflow.nodes),
        reused=sum(name in reusable.results or name in reusable.divided for name in workflow.nodes),
        again={name: reason for name, reason in why.items() if reason is not None},
    )
