"""What is said when a run has ended: outputs, counts, what went wrong, how to go on."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from symphony.cli import blocks, output, spelling
from symphony.ports.models import Usage
from symphony.ports.runs import NodeResult, NodeStatus, RunResult, RunStatus
from symphony.ports.values import ArtifactRef, Digest, StoredValue

VALUE_COLUMNS_MAX: Final = 500
_NAMED_MAX: Final = 5
_AGAIN: Final = "to try again, run it again: results that may be reused come from the cache"

PathOf = Callable[[Digest], Path | None]
"""Where the body of an artifact lies on disk, if it does."""


def outputs_text(run: RunResult, path_of: PathOf) -> str:
    """The outputs for people: short values in full, artifacts with their path."""
    return "".join(
        f"{output.shown(name)} = {value_text(value, path_of)}\n" for name, value in run.outputs.items()
    )


def value_text(value: StoredValue, path_of: PathOf) -> str:
    """One value on one line."""
    if isinstance(value, ArtifactRef):
        try:
            path = path_of(value.digest)
        except OSError:
            path = None
        about = ", ".join(
            p for p in (output.shown(value.name or ""), value.content_type, output.size(value.size)) if p
        )
        return f"{output.shown(str(path)) if path is not None else 'artifact ' + value.digest}  ({about})"
    if isinstance(value, str):
        return output.brief(value, VALUE_COLUMNS_MAX)
    import json

    return output.brief(json.dumps(spelling.spelled(value), ensure_ascii=False), VALUE_COLUMNS_MAX)


def closing_text(run: RunResult, elapsed_s: float | None, page: blocks.Page) -> str:
    """Status, time and counts of a run, in one line."""
    colour = {RunStatus.SUCCEEDED: "green", RunStatus.FAILED: "red"}.get(run.status, "yellow")
    word = output.paint(str(run.status), "bold", colour, on=page.colours)
    took = "" if elapsed_s is None else f" in {output.duration(elapsed_s)}"
    used = "" if run.usage is None else f"; {usage_text(run.usage)}"
    return f"{word}{took}: {counts_of(run.nodes)}{used}; run {run.run_id}"


def usage_text(usage: Usage) -> str:
    """`3 calls, 1,200 + 80 tokens, 0.0021 USD`: tokens read and written, and what they cost."""
    parts = [output.count(usage.calls, "call")]
    if usage.tokens:
        parts.append(f"{usage.tokens_in:,} + {usage.tokens_out:,} tokens")
    if usage.cost is not None:
        parts.append(f"{usage.cost.normalize():f} {usage.currency}")
    return ", ".join(parts) + (" (estimated)" if usage.estimated else "")


def counts_of(nodes: Mapping[str, NodeResult]) -> str:
    """`12 nodes (4 cached, 1 skipped)`. Elements of a fan-out, `parse[3]`, are not nodes."""
    found = Counter(outcome.status for name, outcome in nodes.items() if "[" not in name)
    parts = [
        f"{number:,} {status}"
        for status, number in sorted(found.items())
        if status is not NodeStatus.SUCCEEDED
    ]
    return output.count(found.total(), "node") + (f" ({', '.join(parts)})" if parts else "")


def error_text(run: RunResult, page: blocks.Page) -> str:
    """The block of what failed the run; empty where nothing did."""
    if run.error is None:
        return ""
    where = None if run.error.node is None else f"node {run.error.node}"
    return blocks.error_block(run.error.code, run.error.message, page, hint=run.error.hint, where=where)


def advice(run: RunResult) -> str:
    """How to go on, where there is something to go on with; else empty."""
    match run.status:
        case RunStatus.FAILED:
            return f"what it printed: symphony runs logs {run.run_id}\n{_AGAIN}"
        case RunStatus.CANCELLED:
            return _AGAIN
        case RunStatus.WAITING | RunStatus.PAUSED:
            return _waiting_advice(run, f"symphony runs resume {run.run_id}")
        case RunStatus.INTERRUPTED:
            return f"to go on: symphony runs resume {run.run_id}"
    return ""


def _waiting_advice(run: RunResult, resume: str) -> str:
    names = [name for name, outcome in run.nodes.items() if outcome.status is NodeStatus.WAITING]
    if not names:
        return f"to go on: {resume}"
    waits = ", ".join(output.shown(name) for name in names[:_NAMED_MAX])
    more = f" and {len(names) - _NAMED_MAX:,} more" if len(names) > _NAMED_MAX else ""
    node = _quoted(names[0])
    return (
        f"waiting for you to decide about {waits}{more}:\n  {resume} --retry {node}\n  {resume} --skip {node}"
    )


def _quoted(name: str) -> str:
    """A node's name as a shell takes it: brackets are patterns there."""
    from shlex import quote

    return quote(output.shown(name))
