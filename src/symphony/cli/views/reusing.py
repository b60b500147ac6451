"""What a rerun takes over from another run, and what runs again, in a few lines."""

from collections.abc import Sequence
from itertools import islice
from typing import Final

from symphony.cli.console import output
from symphony.ports.steering import ReuseSummary

_NAMED_MAX: Final = 5


def reuse_text(found: ReuseSummary, run: str) -> str:
    """`rerun of words-12: reused 3 of 5 nodes`, then a line for each fan-out in part, and what runs again."""
    head = f"rerun of {output.shown(run)}: reused {found.reused:,} of {output.count(found.nodes, 'node')}"
    if not found.again:
        return f"{head}; nothing else runs (--from NODE runs a node again)"
    lines = [head]
    for name, (reused, count) in islice(found.elements.items(), _NAMED_MAX):
        lines.append(
            f"  {output.shown(name)}: reused {reused:,} of {output.count(count, 'element')}, "
            f"{count - reused:,} again"
        )
    if len(found.elements) > _NAMED_MAX:
        lines.append(f"  … and of {len(found.elements) - _NAMED_MAX:,} more nodes with elements")
    others = [name for name in found.again if name not in found.elements]
    if others:
        lines.append(f"  again: {_named(others)}")
    return "\n".join(lines)


def _named(names: Sequence[str]) -> str:
    few = ", ".join(map(output.shown, names[:_NAMED_MAX]))
    return few + (f" and {len(names) - _NAMED_MAX:,} more" if len(names) > _NAMED_MAX else "")
