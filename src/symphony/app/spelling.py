"""Spells values, results, events and problems in JSON. Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias, assert_never

import msgspec

from symphony.commons import moments
from symphony.ipc.values import spelled as spelled_by
from symphony.ports.artifacts import ArtifactRecord, ArtifactVersion, Provenance, Rating
from symphony.ports.models import Usage, usage_value
from symphony.ports.runs import FailureCause, NodeResult, RunError, RunEvent, RunResult, RunSummary, short_id
from symphony.ports.values import JSON as Json
from symphony.ports.values import ArtifactRef, StoredValue
from symphony.workflow.model import (
    CommandNode,
    ControlNode,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
)
from symphony.workflow.problems import Problem, ValidationReport

if TYPE_CHECKING:
    from symphony.ports.search import Hit, Quality, SearchResults

JSON: TypeAlias = Json


def spelled(value: StoredValue) -> JSON:
    """Return `value` as JSON spells it: bytes as `$bytes`, references as `$artifact`, `$` keys doubled."""
    return spelled_by(value, reference)


def reference(ref: ArtifactRef) -> dict[str, JSON]:
    """Return a reference to a stored body."""
    return {"$artifact": ref.digest, "size": ref.size, "content_type": ref.content_type, "name": ref.name}


def values(given: Mapping[str, StoredValue]) -> dict[str, JSON]:
    """Return a map of names (inputs, outputs, ports): its keys are names, never doubled."""
    return {name: spelled(value) for name, value in given.items()}


def result(run: RunResult, short: str | None = None) -> dict[str, JSON]:
    """Return a run as `run --json` and `runs show --json` print it; `short` as for `summary`."""
    return {
        "run_id": run.run_id,
        "short_id": short or short_id(run.run_id),
        "name": run.name,
        "status": str(run.status),
        "handled_failures": run.handled_failures,
        "started_at": run.started_at,
        "finished_at": run.finished_at,
        "duration_ms": _milliseconds(run.took_s),
        "outputs": values(run.outputs),
        "error": error(run.error),
        "nodes": {name: node(outcome) for name, outcome in run.nodes.items()},
        **({} if run.usage is None else {"usage": usage(run.usage)}),
        **_only(run.only),
    }


def _only(nodes: Sequence[str]) -> dict[str, JSON]:
    """Return the nodes that a run of some of its workflow was begun for; nothing for a run of all."""
    return {"only": [*nodes]} if nodes else {}


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def usage(used: Usage) -> dict[str, JSON]:
    """Return what models used; money as text, which loses nothing."""
    return values(usage_value(used))


def node(outcome: NodeResult) -> dict[str, JSON]:
    """Return one node of a result."""
    document: dict[str, JSON] = {
        "status": str(outcome.status),
        "attempts": outcome.attempts,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at,
        "duration_ms": outcome.duration_ms,
        "error": error(outcome.error),
    }
    if outcome.label is not None:
        document["label"] = outcome.label
    if outcome.asks is not None:
        document["asks"] = outcome.asks
    if outcome.until is not None:
        document["until"] = outcome.until
    if outcome.queued is not None:
        document["queued"] = outcome.queued
    if outcome.cached_from is not None:
        document["cached_from"] = outcome.cached_from
    if outcome.not_cached is not None:
        document["not_cached"] = outcome.not_cached
    if outcome.usage is not None:
        document["usage"] = usage(outcome.usage)
    return document


def error(why: RunError | None) -> JSON:
    """Return why a run or a node failed; a hint and the place in a file only where there are such."""
    if why is None:
        return None
    document: dict[str, JSON] = {"code": why.code, "message": why.message, "node": why.node}
    more: dict[str, JSON] = {
        "hint": why.hint, "file": why.file, "place": why.place, "line": why.line, "column": why.column
    }  # fmt: skip
    if why.causes:
        more |= {"causes": [_cause(one) for one in why.causes], "causes_more": why.causes_more}
    return document | {key: value for key, value in more.items() if value is not None}


def _cause(one: FailureCause) -> dict[str, JSON]:
    document: dict[str, JSON] = {"code": one.code, "message": one.message, "node": one.node}
    more: dict[str, JSON] = {"label": one.label, "count": one.count}
    if one.place is not None:
        more |= msgspec.structs.asdict(one.place)
    return document | {key: value for key, value in more.items() if value is not None}


def event(happened: RunEvent) -> dict[str, JSON]:
    """Return one durable change of a run."""
    return {
        "seq": happened.seq,
        "type": happened.type,
        "at": moments.iso(happened.at),
        "node": happened.node,
        "data": values(happened.data),
    }


def summary(run: RunSummary, short: str | None = None) -> dict[str, JSON]:
    """Return one line of `runs list`. `short` tells the run from all others; what it is without them if
    absent.
    """
    return {
        "run_id": run.run_id,
        "short_id": short or short_id(run.run_id),
        "name": run.name,
        "workflow": run.workflow,
        "status": str(run.status),
        "started_at": moments.iso(run.started_at),
        "finished_at": None if run.finished_at is None else moments.iso(run.finished_at),
        "duration_ms": _milliseconds(run.took_s),
        "nodes_total": run.nodes_total,
        "nodes_done": run.nodes_done,
        "handled_failures": run.handled_failures,
        "error": error(run.error),
        "owner_pid": run.owner_pid,
        **_only(run.only),
    }


def artifact(record: ArtifactRecord) -> dict[str, JSON]:
    """Return what the index knows of one artifact."""
    return {
        "digest": record.digest,
        "size": record.size,
        "content_type": record.content_type,
        "names": list(record.names),
        "created_at": moments.iso(record.created_at),
        "provenance": [provenance(entry) for entry in record.provenance],
        "ratings": [rating(one) for one in record.ratings],
        "labels": list(record.labels),
        **({} if record.version is None else {"version": version(record.version)}),
    }


def version(one: ArtifactVersion) -> dict[str, JSON]:
    """Return what the index knows of one version of a name."""
    return {
        "name": one.name,
        "version": one.number,
        "digest": one.digest,
        "size": one.size,
        "content_type": one.content_type,
        "created_at": moments.iso(one.created_at),
        "run_id": one.run_id,
        "node": one.node or None,
        "port": one.port or None,
        "note": one.note,
        "parents": list(one.parents),
        "tags": list(one.tags),
        "deleted": one.deleted,
    }


def rating(given: Rating) -> dict[str, JSON]:
    """Return how good somebody finds an artifact."""
    return {
        "score": given.score, "by": given.by, "note": given.note, "name": given.name or None,
        "at": moments.iso(given.at),
    }  # fmt: skip


def quality(found: "Quality") -> dict[str, JSON]:
    """Return how good an artifact is, and why."""
    parts: dict[str, JSON] = {
        one.name: {"value": one.value, "weight": one.weight, "why": one.why} for one in found.parts
    }
    return {"score": found.score, "parts": parts}


def search_results(found: "SearchResults") -> dict[str, JSON]:
    """Return what `artifacts search --json` prints."""
    return {
        "total": found.total,
        "partial": found.partial,
        "indexed": found.indexed,
        "hits": [_hit(one) for one in found.hits],
    }


def _hit(found: "Hit") -> dict[str, JSON]:
    snippet: JSON = None
    if found.snippet is not None:
        snippet = {"text": found.snippet.text, "marks": [list(mark) for mark in found.snippet.marks]}
    more: dict[str, JSON] = {
        "score": found.score,
        "quality": quality(found.quality),
        "tags": list(found.tags),
        "snippet": snippet,
    }
    return artifact(found.record) | more


def provenance(origin: Provenance) -> dict[str, JSON]:
    """Return where one output came from."""
    return {
        "run_id": origin.run_id,
        "node": origin.node,
        "port": origin.port,
        "operator": origin.operator,
        "version": origin.version,
        "inputs": dict(origin.inputs),
        "model": origin.model,
        "parameters": dict(origin.parameters),
        "created_at": moments.iso(origin.created_at),
    }


def problem(found: Problem) -> dict[str, JSON]:
    """Return one problem of a workflow or of a command line."""
    return {
        "code": found.code,
        "place": found.place,
        "message": found.message,
        "hint": found.hint,
        "line": found.line,
        "column": found.column,
    }


def report(found: ValidationReport) -> dict[str, JSON]:
    """Return what `validate --json` prints, and every command with `--json` that refuses its arguments."""
    return {"errors": [problem(p) for p in found.errors], "warnings": [problem(p) for p in found.warnings]}


def refusal(code: str, message: str, hint: str) -> dict[str, JSON]:
    """Return what is printed with `--json` for an error outside of any workflow: bad usage, a missing
    file.
    """
    only: dict[str, JSON] = {
        "code": code, "place": "", "message": message, "hint": hint, "line": None, "column": None
    }  # fmt: skip
    return {"errors": [only], "warnings": []}


def detail_of(node: Node) -> str:
    """Return what the node runs."""
    match node:
        case OperatorNode():
            return node.operator
        case InstrumentNode():
            return node.instrument
        case ControlNode():
            return node.control
        case SubWorkflowNode():
            return node.workflow
        case CommandNode():
            return "$ " + " ".join(node.command.split())
    assert_never(node)
