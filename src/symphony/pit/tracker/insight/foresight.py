"""Which results a run would find in the cache, and what it would change; found out without running it.

Nodes are looked at in order. A node whose result is in the cache gives its outputs to those after it;
one that would have to run leaves them unknown.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from pathlib import Path

from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts.cache.blocks import entry_of, place_of, rows_in
from symphony.pit.artifacts.cache.content import FileState, content_digest
from symphony.pit.artifacts.cache.result_cache import BLOCKS, CONTENT, sound_content
from symphony.pit.artifacts.cache.results import CacheEntry, all_held
from symphony.pit.tracker.core.afresh import Afresh
from symphony.pit.tracker.core.machine import Machine
from symphony.pit.tracker.insight.forecast import Past
from symphony.pit.tracker.insight.outline import Outline, kind_of
from symphony.pit.tracker.nodes.attempt import NodeAttempt
from symphony.pit.tracker.nodes.contents import moved_name
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.job import Job
from symphony.pit.tracker.nodes.values import Element, Values
from symphony.pit.tracker.nodes.work import CallWork, ModelWork, OperatorWork, Work
from symphony.ports.forecast import PlannedNode, Reuse
from symphony.ports.models import Estimate
from symphony.ports.runs import short_id
from symphony.ports.values import ArtifactRef, StoredValue, Value
from symphony.workflow.expressions import Read, ValueTemplate
from symphony.workflow.graph import topological_order
from symphony.workflow.model import CommandNode, ControlNode

_ELEMENTS_MAX = 2_000
_SHOWN_CHARS = 80
_NEVER = ("run", "state", "iteration")
"""What expressions may read that nobody knows before the run."""


@dataclass(frozen=True, slots=True)
class _Foreseen:
    """The forecast of a node: whether it would run, why, and its outputs if they are there."""

    reuse: Reuse
    why: str = ""
    outputs: Mapping[str, StoredValue] | None = None


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The results that a rerun takes from another run.

    `results`: the run that each ran in, and its outputs, by full name; `elements`: of fan-outs that run
    in part how many are taken, and of how many; `again`: why the other nodes run.
    """

    results: Mapping[str, tuple[str, Mapping[str, StoredValue]]]
    elements: Mapping[str, tuple[int, int]]
    again: Mapping[str, str]
    moving: AbstractSet[str] = frozenset()
    """Fan-outs whose list may be another; the reason tells how many of their elements are new."""
    idle: AbstractSet[str] = frozenset()
    """Steps inside of others of which all results are taken, without numbers."""


class Foresight:
    """Looks at one job. `executor` has the cache to look into, `trusted` operators may look at the world."""

    def __init__(
        self,
        job: Job,
        executor: Executor,
        outline: Outline,
        past: Past,
        taken: TakenOver | None = None,
        run_of: Callable[[str], str] = short_id,
    ) -> None:
        """`run_of` gives what a run is called, of its id."""
        self._job, self._executor, self._outline, self._past = job, executor, outline, past
        self._index = job.plan.index
        self._values = Values(job.inputs, job.environment, job.run_id, "", executor.store.load)
        self._known: set[str] = set()
        self._taken, self._run_of = taken, run_of
        self._afresh = Afresh(job.afresh, Machine(job.plan, limit=1))

    def nodes(self) -> dict[str, PlannedNode]:
        """Every node, in the workflow's order."""
        found: dict[str, PlannedNode] = {}
        for name in topological_order(self._job.workflow):
            work = self._job.graph.works[self._index[name]]
            seen = self._look(work) if self._taken is None else self._look_again(work, self._taken)
            if seen.outputs is not None:
                self._values.put(self._index[name], seen.outputs)
                self._known.add(name)
            kind, runs = kind_of(work.node)
            found[name] = PlannedNode(
                name=name, kind=kind, runs=runs, reuse=seen.reuse, why=seen.why,
                effects=() if seen.reuse in ("reused", "skipped") else self._effects(work),
                guess=self._past.guess(self._outline, name, self._again(name)), usage=self._usage(work),
            )  # fmt: skip
        return {name: found[name] for name in self._job.workflow.nodes}

    # ---- results that are there -----------------------------------------------------------

    def _again(self, name: str) -> int | None:
        """Return how many elements of a fan-out a rerun runs again if it takes the others; else None."""
        if self._taken is None or name not in self._taken.elements:
            return None
        reused, count = self._taken.elements[name]
        return count - reused

    def _look_again(self, work: Work, taken: TakenOver) -> _Foreseen:
        """Decide how a rerun treats the node."""
        found = taken.results.get(work.name)
        if found is not None:
            return _Foreseen("reused", f"run {self._run_of(found[0])}", found[1])
        why = taken.again.get(work.name, "")
        if work.name in taken.elements:
            reused, count = taken.elements[work.name]
            if 0 < reused == count and work.name not in taken.again:
                start = moved_name(work.name)[:-1]
                runs = (run for name, (run, _) in taken.results.items() if run and name.startswith(start))
                return _Foreseen("reused", f"run {self._run_of(next(runs, ''))}")
            told = f"{reused:,} of {count:,} elements"
            told += f": {why}" if work.name in taken.moving else f", {count - reused:,} again: {why}"
            return _Foreseen("partly" if reused else "runs", told if reused else why)
        if self._afresh(self._index[work.name]):
            return _Foreseen("runs", why)
        seen = self._look(work)
        return replace(seen, why=why) if seen.reuse == "runs" else seen

    def _look(self, work: Work) -> _Foreseen:
        if not work.node.enabled:
            return _Foreseen("skipped", "it is not enabled", {})
        try:
            return self._look_closer(work)
        except (SymphonyError, OSError) as error:
            return _Foreseen("unknown", str(error)[:200])

    def _look_closer(self, work: Work) -> _Foreseen:
        if work.conditions:
            return _Foreseen("unknown", "its edges have conditions")
        if work.when is not None:
            if missing := self._missing(work.when):
                return _Foreseen("unknown", f"its condition depends on {missing}")
            if not self._render(work.when, None):
                return _Foreseen("skipped", "its condition does not hold", {})
        if not isinstance(work, OperatorWork | ModelWork):
            return _Foreseen("runs", "")
        if self._executor.cache is None or not work.cacheable:
            return _Foreseen("runs", "it is never reused" if self._executor.cache is not None else "")
        if isinstance(work, OperatorWork) and work.operator.reads is not None and not _trusted(work):
            return _Foreseen("unknown", "its own function must look whether anything has changed")
        templates = [*work.inputs.values(), *([] if work.for_each is None else [work.for_each])]
        templates += work.config.values() if isinstance(work, ModelWork) else ()
        for template in templates:
            if missing := self._missing(template):
                return _Foreseen("unknown", f"its inputs depend on {missing}")
        if work.for_each is None:
            hit = self._hit(work, None)
            return (
                _Foreseen("runs")
                if hit is None
                else _Foreseen("reused", f"run {self._run_of(hit.run_id)}", hit.outputs)
            )
        return self._elements(work, work.for_each)

    def _elements(self, work: CallWork, each: ValueTemplate) -> _Foreseen:
        items = self._render(each, None)
        if not isinstance(items, list):
            return _Foreseen("unknown", "for_each gives no list")
        hits = [self._hit(work, (item, at)) for at, item in enumerate(items[:_ELEMENTS_MAX])]
        held = [hit for hit in hits if hit is not None]
        if len(held) == len(items):
            ports = {p: [self._values.plain(h.outputs.get(p)) for h in held] for p in work.output_types}
            return _Foreseen("reused", f"{len(items):,} elements", ports)
        beyond = " of the first" if len(items) > _ELEMENTS_MAX else " of"
        told = f"{len(held):,}{beyond} {len(hits):,} elements"
        return _Foreseen("partly" if held else "runs", told if held else f"{len(items):,} elements")

    def _hit(self, work: CallWork, element: Element) -> CacheEntry | None:
        inputs: dict[str, StoredValue] = {}
        for name, template in work.inputs.items():
            if template.bare is not None and template.bare.kind == "port":
                inputs[name] = self._values.stored(template.bare, self._slot_of)
            else:
                inputs[name] = self._render(template, element)
        if any(map(self._executor.sealer.holds_secret, inputs.values())):
            return None
        config: dict[str, StoredValue] = {}
        if isinstance(work, ModelWork):
            config = {name: self._render(template, element) for name, template in work.config.items()}
        if any(map(self._executor.sealer.holds_secret, config.values())):
            return None
        asked = config if isinstance(work, ModelWork) else None
        key = self._executor.result_keys.key(NodeAttempt(work, inputs, work.name, 1, config=asked))
        cache = self._executor.cache
        if key is None or cache is None or (found := cache.get_many([key]).get(key)) is None:
            return None
        return found if all(self._there(value) for value in found.outputs.values()) else None

    def _there(self, value: StoredValue) -> bool:
        return not isinstance(value, ArtifactRef) or self._executor.artifacts.size(value.digest) is not None

    def _render(self, template: ValueTemplate, element: Element) -> Value:
        return self._values.render(template, self._slot_of, element)

    def _slot_of(self, name: str) -> int:
        return self._index[name]

    def _missing(self, template: ValueTemplate) -> str | None:
        """Return what the template reads that is unknown before the run."""
        return next((_called(read) for read in template.reads if self._hidden(read)), None)

    def _hidden(self, read: Read) -> bool:
        if read.kind in ("port", "node"):
            return read.name not in self._known
        return read.kind in _NEVER

    # ---- effects and usage ----------------------------------------------------------------

    def _effects(self, work: Work) -> tuple[str, ...]:
        """Describe the node's effects on the world, with what is known of its inputs."""
        node = work.node
        if isinstance(node, CommandNode):
            return (f"runs: {_brief(node.command)}",)
        if isinstance(node, ControlNode):
            inside = self._job.graph.below.get(self._index[work.name])
            asks = (f"asks: {_brief(node.message or 'to approve')}",) if node.control == "approval" else ()
            return asks + (() if inside is None else _inside(self._awake(work.name, inside.works)))
        if isinstance(work, ModelWork):
            return (f"asks the model {work.model}",)
        inner = self._job.graph.below.get(self._index[work.name])
        if inner is not None:
            return _inside(self._awake(work.name, inner.works))
        if not isinstance(work, OperatorWork) or work.operator.info.effect != "write":
            return ()
        told = [f"{n}={_brief(str(v))}" for n, v in self._constants(work).items() if isinstance(v, str | int)]
        return (f"{work.operator.info.name} {' '.join(told)}".strip(),)

    def _constants(self, work: Work) -> dict[str, Value]:
        """The inputs that are known now and are no secret."""
        found: dict[str, Value] = {}
        for name, template in work.inputs.items():
            if self._missing(template) or any(r.kind in ("item", "index") for r in template.reads):
                continue
            try:
                value = self._render(template, None)
            except SymphonyError:
                continue
            if not self._executor.sealer.holds_secret(value):
                found[name] = value
        return found

    def _awake(self, name: str, works: Sequence[Work]) -> Sequence[Work]:
        """Return the nodes inside another of which not all results are taken."""
        idle = frozenset[str]() if self._taken is None else self._taken.idle
        return [work for work in works if f"{name}.{work.name}" not in idle]

    def _usage(self, work: Work) -> Estimate | None:
        if not isinstance(work, ModelWork):
            return None
        try:
            return self._executor.models.estimate(work.model, self._constants(work), {})
        except SymphonyError:
            return None


def _inside(works: Sequence[Work]) -> tuple[str, ...]:
    """Return the effects of the nodes of an inner graph, whose inputs are not known."""
    told = []
    for work in works:
        if isinstance(work.node, CommandNode):
            told.append(f"{work.name} runs: {_brief(work.node.command)}")
        elif isinstance(work, ModelWork):
            told.append(f"{work.name} asks the model {work.model}")
        elif isinstance(work, OperatorWork) and work.operator.info.effect == "write":
            told.append(f"{work.name}: {work.operator.info.name}")
        elif isinstance(work.node, ControlNode) and work.node.control == "approval":
            told.append(f"{work.name} asks: {_brief(work.node.message or 'to approve')}")
    return tuple(told)


def _called(read: Read) -> str:
    return read.name if read.kind in ("port", "node") else f"{read.kind}.{read.name}".rstrip(".")


def _brief(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN_CHARS else line[: _SHOWN_CHARS - 1] + "…"


def _trusted(work: OperatorWork) -> bool:
    """Return whether the operator is the kit's: those are known to change nothing when they read."""
    return work.operator.function.__module__.startswith("symphony.kit.")


class ReadOnlyCache:
    """The cache of results as it lies on disk; looking into it changes nothing, not even its ages."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> CacheEntry | None:
        """The result, if there is one; whether its bodies are there is not looked at."""
        found = self._ask(BLOCKS, f"[{place_of(key)}]")
        if found is None or not isinstance(found[0], bytes):
            return None
        row = (rows_in(found[0], found[1]) or {}).get(key)
        return None if row is None else entry_of(row, all_held)

    def has_any(self, operator: str) -> bool:
        """Any operator's may be there."""
        return True

    def get_many(self, keys: Sequence[str]) -> dict[str, CacheEntry]:
        """The results that there are, by key."""
        found = {key: self.get(key) for key in keys}
        return {key: entry for key, entry in found.items() if entry is not None}

    def put_many(self, entries: Sequence[tuple[str, CacheEntry]]) -> None:
        """Nothing is kept."""

    def content(self, path: Path) -> str | None:
        """The digest of a file, known or made now."""
        return content_digest(path, self)

    def recall(self, state: FileState) -> str | None:
        """A digest that was remembered."""
        text = ":".join(map(str, state))
        row = self._ask(CONTENT, text)
        return None if row is None else sound_content(text, (str(row[0]), row[1]))

    def remember(self, state: FileState, digest: str) -> None:
        """Nothing is remembered."""

    def _ask(self, query: str, argument: str) -> tuple[object, int | None] | None:
        try:
            db = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)
        except sqlite3.Error:
            return None
        try:
            row = db.execute(query, (argument,)).fetchone()
        except sqlite3.Error:
            return None
        finally:
            db.close()
        return None if row is None else (row[0], row[1])
