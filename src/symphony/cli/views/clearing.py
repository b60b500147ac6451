"""The words of `artifacts gc`."""

from typing import Final

from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.ports.artifacts import Collected
from symphony.ports.retention import Clearing, Fate, Judged

_DIGEST_SHOWN: Final = 12
_HEAD: Final = (
    Heading("ARTIFACT"), Heading("SIZE", 2), Heading("VALUE", 4), Heading("NAME", 1, 8), Heading("FATE"),
    Heading("RULE", 3, 8), Heading("WHY", 0, 20),
)  # fmt: skip
_ORDER: Final = (Fate.DELETED, Fate.TRASHED, Fate.WAITS, Fate.RESTORED, Fate.STAYS)


def question(ahead: Clearing) -> str:
    """Return what is asked before artifacts are deleted at once."""
    return f"delete {_told(ahead.deleted)} for good?"


def text(found: Clearing) -> str:
    """For people: a line for each artifact if it is a dry run, then what happens to how many."""
    if found.damaged:
        return "nothing was moved or deleted\n"
    rows = [_row(one) for one in sorted(found.judged, key=_place)] if found.dry_run else []
    return (table(rows, _HEAD, width=room()) if rows else "") + _summary(found)


def damaged_lines(count: int) -> str:
    """Return why nothing goes."""
    lines = output.count(count, "line")
    return f"{lines} of the records cannot be read; they may say what is needed: see symphony artifacts fsck"


def _summary(found: Clearing) -> str:
    would = "would be " if found.dry_run else ""
    lines = list[str]()
    if found.deleted.objects:
        lines.append(f"{_told(found.deleted)} {would}deleted")
    if found.trashed.objects:
        grace = output.span(found.grace_s)
        lines.append(f"{_told(found.trashed)} {would}moved to the trash, for {grace}")
    if found.restored.objects:
        lines.append(f"{_told(found.restored)} {would}brought back from the trash")
    if found.waiting:
        lines.append(f"{output.count(found.waiting, 'artifact')} waiting in the trash")
    if not found.complete:
        lines.append("the rest was left for the next time")
    lines.append(f"{output.count(found.stayed, 'artifact')} {'would stay' if found.dry_run else 'stayed'}")
    return "".join(f"{line}\n" for line in lines)


def _row(one: Judged) -> tuple[str, ...]:
    standing, verdict = one.standing, one.verdict
    return (
        standing.digest[:_DIGEST_SHOWN], output.size(standing.size), f"{verdict.value:.2f}",
        output.several([name.label for name in standing.names]), str(one.fate), verdict.rule, verdict.why,
    )  # fmt: skip


def _place(one: Judged) -> tuple[int, float, str]:
    return _ORDER.index(one.fate), one.verdict.value, one.standing.digest


def _told(some: Collected) -> str:
    return f"{output.count(some.objects, 'artifact')} of {output.size(some.bytes)}"
