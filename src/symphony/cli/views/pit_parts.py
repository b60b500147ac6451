"""Artifacts, retention and runs of the pit: as lines for people, and as JSON."""

from collections.abc import Mapping

import msgspec

from symphony.app.spelling import JSON
from symphony.cli.console import output
from symphony.ports.pit_status import ArtifactsStatus, PitParts, RunsStatus, StaleStatus


def document(found: PitParts) -> Mapping[str, JSON]:
    """Return the parts for programs."""
    whole: dict[str, JSON] = msgspec.to_builtins(found)
    return whole


def text(found: PitParts) -> str:
    """Return the parts for people, a line each, and one for each run under way."""
    return f"{_artifacts(found.artifacts)}\n{_stale(found.stale)}\n{_runs(found.runs)}"


def _artifacts(found: ArtifactsStatus) -> str:
    trash = f"; in the trash {found.trashed:,}, {output.size(found.trashed_bytes)}" if found.trashed else ""
    index = "" if found.searchable or not found.artifacts else "; no index for the search yet"
    colder = {tier: size for tier, size in found.stored.items() if tier != "hot" and size}
    tiers = "".join(f"; {tier} {output.size(size)}" for tier, size in colder.items())
    return f"artifacts: {found.artifacts:,}, {output.size(found.bytes)}{tiers}{trash}{index}{_outside(found)}"


def _outside(found: ArtifactsStatus) -> str:
    """Return where contents lie that are not in the home, as a line; nothing if all are."""
    if found.store is None and not found.outside:
        return ""
    packs = f"{output.count(found.outside, 'pack')}, {output.size(found.outside_bytes)}"
    if found.store is None:
        return f"\n  outside of the home: {packs}; artifacts.store is not set"
    left = f"{output.count(found.unsent, 'pack')}, {output.size(found.unsent_bytes)}"
    return f"\n  in {output.shown(found.store)}: {packs}; not sent so far: {left}"


def _stale(found: StaleStatus) -> str:
    rules = output.count(found.rules, "rule")
    if not found.automatic:
        return f"retention: {rules}, applied by hand; the trash keeps what it has for {_time(found.grace_s)}"
    last = "never so far" if found.cleared_at_s is None else output.moment(found.cleared_at_s)
    return f"retention: {rules}, applied once a day, last {last}; the trash keeps for {_time(found.grace_s)}"


def _time(seconds: float) -> str:
    days = seconds / 86_400
    return output.count(int(days), "day") if days >= 1 and days == int(days) else output.duration(seconds)


def _runs(found: RunsStatus) -> str:
    left = f"; {found.left:,} could go on" if found.left else ""
    lines = [f"runs: {len(found.running):,} running{left}\n"]
    for one in found.running:
        where = "" if one.process is None else f" in process {one.process}"
        lines.append(
            f"  {output.shown(one.name)}{where}: {one.done:,} of {output.count(one.total, 'node')}\n"
        )
    return "".join(lines)
