"""The words of `runs prune`."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from symphony.cli.console import output
from symphony.cli.console.failures import BadUsage
from symphony.cli.views import listing
from symphony.commons.quantities import duration_s
from symphony.ports.retention import Clearing
from symphony.ports.runs import RunSummary
from symphony.ports.steering import Pruned


def age_s(text: str) -> float:
    """Seconds of `--older`. Raises BadUsage."""
    try:
        return duration_s(text)
    except ValueError:
        raise BadUsage(f"--older {text!r} is not a duration", hint="write one such as 12h or 30d") from None


def question(runs: Sequence[RunSummary], label: Callable[[str], str], *, damaged: int = 0) -> str:
    """Return what is asked before these runs are deleted, and `damaged` ones of which nothing can be said.

    `label` says what is shown of an id.
    """
    count = output.count(len(runs) + damaged, "run")
    if len(runs) == 1 and not damaged:
        return f"delete run {label(runs[0].run_id)} ({runs[0].status})?"
    statuses = Counter(str(run.status) for run in runs) + Counter(damaged=damaged)
    told = ", ".join(f"{number:,} {status}" for status, number in sorted(statuses.items()))
    return f"delete {count} ({told})?"


def text(found: Pruned, shorts: Mapping[str, str]) -> str:
    """For people; `shorts` tells what is shown of the runs' ids."""
    count = output.count(len(found.runs), "run")
    if found.dry_run:
        return (listing.runs_text(found.runs, shorts) if found.runs else "") + f"would delete {count}\n"
    bodies = f"{output.count(found.collected.objects, 'artifact')} of {output.size(found.collected.bytes)}"
    stayed = f"{output.count(found.busy, 'run')}, taken up again meanwhile, stayed\n" if found.busy else ""
    if found.collected.objects and found.grace_s:
        kept = f"for {output.span(found.grace_s)} (see symphony artifacts gc)"
        return f"deleted {count}; {bodies} that no run needs, in the trash {kept}\n{stayed}"
    return f"deleted {count}, and {bodies} that no run needs\n{stayed}"


def cleared(found: Clearing) -> str:
    """Return what went after runs were deleted; empty if nothing did."""
    some = found.trashed if found.trashed.objects else found.deleted
    if not some.objects:
        return ""
    bodies = f"{output.count(some.objects, 'artifact')} of {output.size(some.bytes)} that no run needs"
    return (
        f"{bodies}: in the trash for {output.span(found.grace_s)}" if found.grace_s else f"{bodies}: deleted"
    )
