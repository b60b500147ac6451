"""Everything known about runs as JSON documents, for programs and pages that show them. Pure."""

from collections.abc import Mapping

from symphony.app import spelling
from symphony.app.spelling import JSON, detail_of, values
from symphony.commons import moments
from symphony.pit.tracker.insight.history import History, Step
from symphony.pit.tracker.insight.outline import Outline, kind_of, settled
from symphony.pit.tracker.insight.summary import summarise
from symphony.ports.forecast import Forecast, Guess, PlannedNode
from symphony.ports.metrics import BOUNDS_S, Distribution, KindStats, Stats
from symphony.ports.models import Estimate, Usage
from symphony.ports.retention import Clearing, Judged, Tiering
from symphony.ports.steering import Pruned
from symphony.ports.values import Value
from symphony.workflow.model import Workflow


def of_run(history: History, outline: Outline, source: str | None) -> dict[str, JSON]:
    """Return what `runs show --json` tells beyond the result."""
    summary = summarise(history)
    slowest: list[JSON] = [
        {"node": name, "seconds": s, **_label(history.steps[name].label)} for name, s in summary.slowest
    ]
    return {
        "workflow": outline.workflow.name,
        "source": source,
        "summary": {
            "steps": summary.steps,
            "cached": summary.cached,
            "cached_share": summary.cached_share,
            "retries": summary.retries,
            "retried": list(summary.retried),
            "slowest": slowest,
            "usage": _usage(summary.usage),
        },
        "steps": [_step(step, history, outline) for step in history.steps.values()],
    }


def _iso(at: float | None) -> str | None:
    return None if at is None else moments.iso(at)


def _usage(usage: Usage | None) -> JSON:
    return None if usage is None else spelling.usage(usage)


def _label(label: str | None) -> dict[str, JSON]:
    return {} if label is None else {"label": label}


def _step(step: Step, history: History, outline: Outline) -> JSON:
    node = outline.node(step.name)
    kind, runs = kind_of(node)
    attempts: list[JSON] = [
        {"started_at": _iso(a.started_at), "finished_at": _iso(a.finished_at), "error": a.error}
        for a in step.attempts
    ]
    return {
        "node": step.name,
        **_label(step.label),
        "kind": kind,
        "runs": runs,
        "status": str(settled(step, node)),
        "ready_at": _iso(history.ready_at(step, outline.before(step.name))),
        "started_at": _iso(step.started_at),
        "finished_at": _iso(step.finished_at),
        "attempts": attempts,
        **({"queued_s": round(step.queued_s, 3)} if step.queued_s else {}),
        "elements": step.count,
        "usage": _usage(step.usage),
    }


def of_stats(stats: Stats) -> dict[str, JSON]:
    """Return all metrics, with buckets: `le` is the upper bound in seconds, null for the last; not
    cumulative.
    """
    return {
        "runs": [{"workflow": w, "status": s, "count": n} for (w, s), n in sorted(stats.runs.items())],
        "run_durations": [
            {"workflow": name, **_distribution(found)} for name, found in sorted(stats.run_durations.items())
        ],
        "kinds": [_kind(one) for _, one in sorted(stats.kinds.items())],
    }


def _kind(one: KindStats) -> dict[str, JSON]:
    return {
        "kind": one.kind,
        "runs": one.runs,
        "steps": one.steps,
        "statuses": {str(status): number for status, number in sorted(one.statuses.items())},
        "cached": one.cached,
        "attempts": one.attempts,
        "retries": one.retries,
        "duration": _distribution(one.durations),
        "queue": _distribution(one.queue),
        "usage": _usage(one.usage),
    }


def _distribution(found: Distribution) -> dict[str, JSON]:
    bounds: list[float | None] = [*BOUNDS_S, None]
    buckets: list[JSON] = [
        {"le": bound, "count": number} for bound, number in zip(bounds, found.counts, strict=True)
    ]
    return {"count": found.count, "seconds": found.total_s, "buckets": buckets}


def of_plan(workflow: Workflow, inputs: Mapping[str, Value], plan: Forecast) -> dict[str, JSON]:
    """Return the plan as `--json` prints it. Times are seconds; null where nothing is known."""
    levels: list[JSON] = [list(stage) for stage in plan.stages]
    return {
        "workflow": workflow.name,
        **({} if plan.rerun_of is None else {"rerun_of": plan.rerun_of}),
        "inputs": values(inputs),
        "levels": levels,
        "nodes": {name: _planned(node, workflow) for name, node in plan.nodes.items()},
        "critical_path": list(plan.path),
        "time": _guess(plan.took),
        "time_unknown": list(plan.unknown),
        "usage": _estimate(plan.usage),
        "prices_known": plan.priced,
    }


def _planned(node: PlannedNode, workflow: Workflow) -> JSON:
    return {
        "kind": node.kind,
        "runs": detail_of(workflow.nodes[node.name]),
        "reuse": node.reuse,
        "why": node.why,
        "effects": list(node.effects),
        "time": _guess(node.guess),
        "usage": _estimate(node.usage),
    }


def _guess(guess: Guess | None) -> JSON:
    if guess is None:
        return None
    return {
        "median": guess.median_s,
        "low": guess.low_s,
        "high": guess.high_s,
        "samples": guess.samples,
        "same_node": guess.same,
    }


def _estimate(usage: Estimate | None) -> JSON:
    if usage is None:
        return None
    cost = None if usage.cost is None else f"{usage.cost:f}"
    return {"tokens_in": usage.tokens_in, "tokens_out": usage.tokens_out, "cost": cost}


def of_pruned(found: Pruned, shorts: Mapping[str, str]) -> dict[str, JSON]:
    """Return the document for programs; `shorts` has the short ids of runs."""
    return {
        "dry_run": found.dry_run,
        "runs": [spelling.summary(run, shorts[run.run_id]) for run in found.runs],
        "busy": found.busy,
        "artifacts": found.collected.objects,
        "bytes": found.collected.bytes,
        "grace_s": found.grace_s,
        "unread": [error.message for error in found.unread],
    }


def of_clearing(found: Clearing) -> dict[str, JSON]:
    """Return the document for programs: what happens to each artifact, by which rule and why."""
    return {
        "dry_run": found.dry_run,
        "damaged_lines": found.damaged,
        "complete": found.complete,
        "grace_s": found.grace_s,
        **{
            name: {"artifacts": some.objects, "bytes": some.bytes}
            for name, some in (
                ("trashed", found.trashed), ("deleted", found.deleted), ("restored", found.restored),
            )
        },
        "artifacts": [_judged(one) for one in found.judged],
    }  # fmt: skip


def of_tiering(found: Tiering) -> dict[str, JSON]:
    """Return the document for programs: the tier of each artifact, by which rule and why."""
    return {
        "dry_run": found.dry_run,
        "damaged_lines": found.damaged,
        "moved": {"artifacts": found.moved.objects, "bytes": found.moved.bytes},
        "stored_before": {tier.value: size for tier, size in found.before.items()},
        "stored": {tier.value: size for tier, size in found.after.items()},
        "artifacts": [
            {
                "digest": one.standing.digest,
                "size": one.standing.size,
                "names": [name.name for name in one.standing.names],
                "tier": one.standing.tier.value,
                "to": one.tier.value,
                "rule": one.rule,
                "why": one.why,
            }
            for one in found.verdicts
        ],
    }


def _judged(one: Judged) -> JSON:
    standing, verdict = one.standing, one.verdict
    runs: list[JSON] = [*sorted(standing.runs)]
    return {
        "digest": standing.digest,
        "size": standing.size,
        "content_type": standing.content_type,
        "names": [name.name for name in standing.names],
        "fate": one.fate.name.lower(),
        "stays": verdict.stays,
        "rule": verdict.rule,
        "why": verdict.why,
        "value": round(verdict.value, 6),
        "put_at": moments.iso(standing.put_at),
        "trashed_at": None if standing.trashed_at is None else moments.iso(standing.trashed_at),
        "pinned": standing.pinned,
        "uses": standing.uses,
        "runs": runs,
    }
