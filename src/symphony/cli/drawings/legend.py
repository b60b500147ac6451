"""The entries of a drawing's legend: the kinds, lines and signs that are in it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from symphony.cli.console.signs import SIGNS
from symphony.cli.drawings.picture import EACH, KINDS, LINES, Picture
from symphony.ports.runs import NodeStatus


@dataclass(frozen=True, slots=True)
class Swatch:
    """One entry: what to draw, in which style, and the words beside it."""

    shape: Literal["box", "stack", "line", "sign"]
    style: str
    words: str
    sign: str = ""


def swatches(picture: Picture) -> Sequence[Swatch]:
    """Return the entries for `picture`: kinds of nodes first, then lines, then statuses."""
    boxes = [*picture.all_boxes()]
    kinds, lines = {box.kind for box in boxes}, {link.line for link in picture.all_links()}
    found = [Swatch("box", kind, words) for kind, words in KINDS.items() if kind in kinds]
    if any(box.each for box in boxes):
        found.append(Swatch("stack", "more", EACH))
    found += [Swatch("line", line, words) for line, words in LINES.items() if line in lines]
    seen = frozenset[NodeStatus]().union(*(box.state.statuses() for box in boxes if box.state))
    found += [Swatch("sign", str(one), str(one), look.unicode) for one, look in SIGNS.items() if one in seen]
    return found
