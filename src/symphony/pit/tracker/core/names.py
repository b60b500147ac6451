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
    """The parts of a full name, from the outside in; none if it is not such a name."""
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
    """The step that a step belongs to: `a[3]` to `a`, `loop#2.b` to `loop#2`, `loop#2` to `loop`."""
    if name.endswith("]"):
        return name[: name.rindex("[")]
    head, dot, last = name.rpartition(".")
    if "#" in last:
        return name[: name.rindex("#")]
    return head if dot else None


def elements_of(name: str) -> Iterator[str]:
    """The elements that a step is or lies in, outermost first: `a[1]` and `a[1].b[2]` of `a[1].b[2].c`."""
    at = name.find("]")
    while at >= 0:
        yield name[: at + 1]
        at = name.find("]", at + 1)


def together(names: Sequence[str]) -> list[str]:
    """The names without duplicates; those that differ only in numbers are one, without its numbers."""
    alike = Counter(map(folded, names))
    return [*dict.fromkeys(name if alike[folded(name)] == 1 else folded(name) for name in names)]


def folded(name: str) -> str:
    """The name without the numbers of elements and rounds: `loop#2.parse[3]` is `loop.parse`."""
    if "[" not in name and "#" not in name:
        return name
    return ".".join(part.partition("[")[0].partition("#")[0] for part in name.split("."))
