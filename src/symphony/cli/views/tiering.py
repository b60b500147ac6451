"""The words of `artifacts tier`."""

from typing import Final

from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.ports.retention import Tiering, TierVerdict

_DIGEST_SHOWN: Final = 12
_HEAD: Final = (
    Heading("ARTIFACT"), Heading("SIZE", 2), Heading("NAME", 1, 8), Heading("TIER"), Heading("TO"),
    Heading("RULE", 3, 8), Heading("WHY", 0, 20),
)  # fmt: skip


def text(found: Tiering) -> str:
    """For people: a line for each artifact if it is a dry run, then what moves, and the bytes by tier."""
    if found.damaged:
        return "nothing was moved\n"
    rows = [_row(one) for one in sorted(found.verdicts, key=_place)] if found.dry_run else []
    would = "would be " if found.dry_run else ""
    count, size = output.count(found.moved.objects, "artifact"), output.size(found.moved.bytes)
    tiers = ", ".join(f"{tier} {output.size(size)}" for tier, size in found.after.items())
    shown = table(rows, _HEAD, width=room()) if rows else ""
    return f"{shown}{count} of {size} {would}moved\non the disk: {tiers}\n"


def _row(one: TierVerdict) -> tuple[str, ...]:
    standing = one.standing
    return (
        standing.digest[:_DIGEST_SHOWN], output.size(standing.size),
        output.several([name.label for name in standing.names]), str(standing.tier), str(one.tier), one.rule,
        one.why,
    )  # fmt: skip


def _place(one: TierVerdict) -> tuple[bool, str, str]:
    return not one.moves, one.tier.value, one.standing.digest
