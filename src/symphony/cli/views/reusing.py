"""Tells in a few lines what a rerun takes over from another run, and what runs again."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from shlex import quote
from typing import Final

from symphony.cli.console import output
from symphony.ports.steering import ReuseSummary, StaleCode

_NAMED_MAX: Final = 5


def reuse_text(found: ReuseSummary, run: str) -> str:
    """`rerun of words-12: reused 3 of 5 nodes`, then a line for each fan-out in part, and what runs again."""
    head = f"rerun of {output.shown(run)}: reused {found.reused:,} of {output.count(found.nodes, 'node')}"
    if not found.again:
        return f"{head}; nothing else runs (--from NODE runs a node again)"
    lines = [head]
    for name, (reused, count) in islice(found.elements.items(), _NAMED_MAX):
        again = found.tried.get(name, 0) if name in found.moving else count - reused
        new = count - reused - again
        rest = (f", {new:,} new" if new else "") + (f", {again:,} again" if again else "")
        lines.append(f"  {output.shown(name)}: reused {reused:,} of {output.count(count, 'element')}{rest}")
    if len(found.elements) > _NAMED_MAX:
        lines.append(f"  … and of {len(found.elements) - _NAMED_MAX:,} more nodes with elements")
    for name, count in islice(found.inside.items(), _NAMED_MAX):
        lines.append(f"  {output.shown(name)}: reused {output.count(count, 'step')} inside, the rest again")
    parts = found.elements.keys() | found.inside.keys()
    others = {name: why for name, why in found.again.items() if name not in parts or _mended(why)}
    if others:
        lines.append(f"  again: {_named(others)}")
    return "\n".join(lines)


def stale_text(stale: Mapping[str, StaleCode], called: Callable[[str], str]) -> str:
    """`warning: my.calc has changed since run words-1: …`, of one or several operators."""
    names = list(stale)
    one = next(iter(stale.values()))
    asked = " ".join(f"--from {output.shown(quote(node))}" for node in _each_node(stale))
    run = output.shown(called(one.run_id))
    return (
        f"warning: {_changed_names(names)} changed since run {run}: {_its(names)} results there are reused; "
        f"{asked} runs {'it' if asked.count('--from') == 1 else 'them'} again, --file FILE all that changed"
    )


def changed_code_text(names: Sequence[str]) -> str:
    """`warning: my.calc has changed since this run began: …`, of one or several operators."""
    return f"warning: {_changed_names(names)} changed since this run began: what has ended keeps its results"


def _changed_names(names: Sequence[str]) -> str:
    """`a.b has`, `a.b and a.c have`, or `a.b, a.c and 3 more have`."""
    few = [output.shown(name) for name in names[:_NAMED_MAX]]
    if len(names) > _NAMED_MAX:
        few.append(f"{len(names) - _NAMED_MAX:,} more")
    return few[0] + " has" if len(few) == 1 else f"{', '.join(few[:-1])} and {few[-1]} have"


def _its(names: Sequence[str]) -> str:
    return "its" if len(names) == 1 else "their"


def _each_node(stale: Mapping[str, StaleCode]) -> list[str]:
    return list(dict.fromkeys(node for one in stale.values() for node in one.nodes))[:_NAMED_MAX]


def _mended(why: str) -> bool:
    """True if it runs because of what was mended in it. Other reasons are for a dry run to tell."""
    return why.startswith(("changed:", "it is new"))


def _named(names: Mapping[str, str]) -> str:
    few = ", ".join(
        output.shown(f"{name} ({why})" if _mended(why) else name)
        for name, why in islice(names.items(), _NAMED_MAX)
    )
    return few + (f" and {len(names) - _NAMED_MAX:,} more" if len(names) > _NAMED_MAX else "")
