"""The checks of `symphony doctor` that look at the arbiter, the artifact store and what leaves it."""

from pathlib import Path

from symphony.app import Symphony
from symphony.cli.actions import running
from symphony.cli.actions.check import Check
from symphony.cli.console import output
from symphony.commons.errors import SymphonyError
from symphony.ports.arbitration import ArbiterStatus

WAITED_LONG_S = 600.0
"""A request that waits for so long may never be granted, for example behind one that hangs."""


def check_arbiter(home: Path) -> Check:
    """Check that the owner of the arbiter answers, and that nothing waits for very long."""
    from symphony.app.pit import reached, require_no_arbiter
    from symphony.commons.settings import Config

    async def run() -> ArbiterStatus | None:
        async with reached(home, Config()) as client:
            if client is None:
                require_no_arbiter(home)
                return None
            return await client.arbiter()

    try:
        found = running.on_a_loop(run())
    except SymphonyError as error:
        return Check(
            name="arbiter", verdict="failed", found=error.message, fix=error.hint or "end that process"
        )
    if found is None:
        return Check(name="arbiter", verdict="ok", found="nothing is handed out: no process has an arbiter")
    told = f"{output.count(len(found.held), 'request')} granted, {len(found.waiting):,} waiting"
    longest = min((one.since_s for one in found.waiting), default=found.at_s)
    if found.at_s - longest < WAITED_LONG_S:
        return Check(name="arbiter", verdict="ok", found=told)
    first = min(found.waiting, key=lambda one: one.since_s)
    why = f"{told}; {first.node} has waited for {output.duration(found.at_s - longest)}: {first.reason}"
    return Check(
        name="arbiter", verdict="warning", found=why, fix="`symphony pit arbiter` shows who has what it needs"
    )


def check_artifacts(home: Path) -> Check:
    """Check that the index and the log of the artifact store can be read, and what lies in the trash."""
    from symphony.app.pit_parts import counted

    if not (home / "artifacts").is_dir():
        return Check(name="artifacts", verdict="ok", found="none so far")
    there, trashed = counted(home)
    told = f"{output.count(there.objects, 'artifact')}, {output.size(there.bytes)}"
    if trashed.objects:
        told += f"; in the trash {trashed.objects:,}, {output.size(trashed.bytes)}"
    if trashed.bytes <= there.bytes or trashed.bytes < 1 << 30:
        return Check(name="artifacts", verdict="ok", found=told)
    fix = "`symphony artifacts gc` deletes what was there for long enough, `gc --now` what may go at once"
    return Check(name="artifacts", verdict="warning", found=told, fix=fix)


def check_store(home: Path) -> Check:
    """Check that the place outside of the home that artifacts are sent to, if any, can be reached."""
    from symphony.app.outside import outside_state, place_fault

    parts = Symphony.open(home).parts
    if not (home / "artifacts").is_dir() and parts.outside.address is None:
        return Check(name="store", verdict="ok", found="artifacts stay in the home")
    found = outside_state(parts)
    packs = f"{output.count(found.outside.packs, 'pack')}, {output.size(found.outside.bytes)}"
    if found.address is None and found.outside.packs:
        return Check(
            name="store", verdict="warning", found=f"{packs} of artifacts lie outside of the home",
            fix="set artifacts.store, or leave it: what is outside can be read as long as it is there",
        )  # fmt: skip
    if found.address is None:
        return Check(name="store", verdict="ok", found="artifacts stay in the home")
    if (fault := place_fault(parts)) is not None:
        fix = fault.hint or "correct artifacts.store and [object_storage]"
        return Check(name="store", verdict="failed", found=fault.message, fix=fix)
    left = output.size(found.unsent.bytes)
    return Check(
        name="store", verdict="ok", found=f"{found.address} answers: {packs} there, {left} not sent so far"
    )


def check_tiers(home: Path) -> Check:
    """Check that the place of the cold tier answers."""
    from symphony.app.outside import place_fault

    parts = Symphony.open(home).parts
    if parts.outside.cold is None:
        return Check(name="tiers", verdict="ok", found="no cold tier: tiers.cold is not set")
    if (fault := place_fault(parts, cold=True)) is not None:
        fix = fault.hint or "until it answers, what lies there cannot be read"
        return Check(name="tiers", verdict="warning", found=f"the cold tier: {fault.message}", fix=fix)
    return Check(
        name="tiers", verdict="ok", found=f"cold artifacts go to {parts.outside.cold}, which answers"
    )


def check_encryption(home: Path) -> Check:
    """Check that the settings open the key of the artifacts, if there is one. Asks for no passphrase."""
    parts = Symphony.open(home).parts
    key, on = parts.store_keys.state(), "on" if parts.config.encryption.enabled else "off"
    if key.opens is None:
        made = "; the first artifact makes the key" if on == "on" else ""
        return Check(name="encryption", verdict="ok", found=f"{on}{made}")
    if key.opened == "failed":
        fix = f"correct [encryption] in the settings, or restore what opens {parts.store_keys.path}"
        return Check(name="encryption", verdict="failed", found=key.why, fix=fix)
    told = "the key can be opened" if key.opened == "opened" else f"the key was not tried: {key.why}"
    return Check(name="encryption", verdict="ok", found=f"{on}; {told}")


def check_search(home: Path) -> Check:
    """Check that the files of the search index are whole."""
    from symphony.app.pit_parts import search_fault

    if not (home / "artifacts" / "search").is_dir():
        return Check(name="search", verdict="ok", found="no index: the first search makes one")
    fault = search_fault(home)
    if fault is not None:
        return Check(
            name="search", verdict="warning", found=f"the index cannot be used: {fault}",
            fix="symphony artifacts index --rebuild makes it again, as does the next search",
        )  # fmt: skip
    return Check(name="search", verdict="ok", found="the index is whole")


def check_retention(home: Path, now_s: float) -> Check:
    """Check that the daily upkeep that the settings ask for is done."""
    from symphony.app.pit_parts import STAMP

    retention = Symphony.open(home).config.retention
    if not retention.automatic:
        return Check(name="retention", verdict="ok", found="by hand: `retention.automatic` is not set")
    try:
        last_s = (home / STAMP).stat().st_mtime
    except OSError:
        return Check(name="retention", verdict="ok", found="once a day, after a run; never so far")
    told = f"once a day, after a run; last {output.moment(last_s)}"
    if last_s > now_s + 86_400:
        fix = f"the clock was wrong then: rm {home / STAMP}"
        return Check(name="retention", verdict="warning", found=f"{told}, which is to come", fix=fix)
    return Check(name="retention", verdict="ok", found=told)
