"""Full names of steps, as people see them: `loop#2.parse[3]`. Pure."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_PART: Final = re.compile(r"([^.\[#]+)(?:\[([0-9]{1,9})\])?(?:#([0-9]{1,9}))?(?:\.|$)")


class StepPart(NamedTuple):
    """One part of a name: a node, with its element and with the round of the graph inside it."""

    node: str
    element: int | None
    round: int | None


def parts_of(name: str) -> tuple[StepPart, ...]:
    """Return the parts of a full name, from the outside in; empty if it is not a full name."""
    found, at = list[StepPart](), 0
    while at < len(name):
        match = _PART.match(name, at)
        if match is None:
            return ()
        node, element, round_ = match.groups()
        found.append(
            StepPart(node, None if element is None else int(element), None if round_ is None else int(round_))
        )
        at = match.end()
    return tuple(found)


def pattern_of(name: str) -> str:
    """A regular expression for a full name in which numbers of elements and rounds may be left out."""
    parts = [
        re.escape(one.node)
        + (r"(?:\[[0-9]+\])?" if one.element is None else rf"\[{one.element}\]")
        + (r"(?:#[0-9]+)?" if one.round is None else f"#{one.round}")
        for one in parts_of(name)
    ]
    return r"\.".join(parts) or re.escape(name)


def parent_of(name: str) -> str | None:
    """Return the step that contains a step: `a` for `a[3]`, `loop#2` for `loop#2.b`, `loop` for `loop#2`."""
    if name.endswith("]"):
        return name[: name.rindex("[")]
    head, dot, last = name.rpartition(".")
    if "#" in last:
        return name[: name.rindex("#")]
    return head if dot else None


def elements_of(name: str) -> Iterator[str]:
    """Yield the elements that contain a step, or that it is, outermost first.

    For `a[1].b[2].c`: `a[1]`, then `a[1].b[2]`.
    """
    at = name.find("]")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("]", at + 1)


def together(names: Sequence[str]) -> list[str]:
    """Return the names without duplicates; those that differ only in numbers become one without numbers."""
    alike = Counter(map(folded, names))
    return [*dict.fromkeys(name if alike[folded(name)] == 1 else folded(name) for name in names)]


def folded(name: str) -> str:
    """Return the name without the numbers of elements and rounds: `loop.parse` for `loop#2.parse[3]`."""
    if "[" not in name and "#" not in name:
        return name
    return ".".join(part.partition("[")[0].partition("#")[0] for part in name.split("."))
