"""A workflow as text: level by level, each node with what it waits for. Pure."""

import textwrap
from collections import defaultdict
from collections.abc import Iterator

from symphony.cli.console import output
from symphony.cli.console.signs import SIGNS
from symphony.cli.drawings.picture import EACH, REPEATED, Box, DrawnLink, Picture
from symphony.commons.widths import columns
from symphony.ports.runs import NodeStatus

_SOURCES_MAX = 6
_NAME_COLUMNS = 30
_DETAIL_LEAST = 16


def draw_text(picture: Picture, *, width: int, unicode: bool = True) -> str:
    """Return the tree, at most `width` columns wide; without `unicode`, in ASCII."""
    drawing = _TextDrawing(width, unicode)
    total = ", ".join((
        output.count(picture.nodes_total, "node"), output.count(picture.edges_total, "edge"),
        output.count(picture.levels_total, "level"),
    ))  # fmt: skip
    lines = [output.brief(f"{picture.title} ({total})", width), *drawing.levels(picture, "")]
    if signs := drawing.legend(picture):
        wrapped = textwrap.wrap("; ".join(signs), width, break_long_words=False, break_on_hyphens=False)
        lines += ["", *(drawing.fit(line, width) for line in wrapped)]
    return "\n".join(lines) + "\n"


class _TextDrawing:
    """Lines of a drawing; graphs inside nodes are indented below them."""

    def __init__(self, width: int, unicode: bool) -> None:
        self._width, self._unicode = width, unicode
        self._branch, self._last, self._through = ("├─ ", "└─ ", "│  ") if unicode else ("|- ", "`- ", "|  ")
        self._arrow, self._each, self._repeated = ("←", "×each", "↻") if unicode else ("<-", "xeach", "loops")

    def levels(self, picture: Picture, indent: str) -> Iterator[str]:
        """Yield the lines of one graph, `indent` before each."""
        incoming: dict[str, list[DrawnLink]] = defaultdict(list)
        for link in picture.links:
            incoming[link.target].append(link)
        for number, level in enumerate(picture.levels, start=1):
            yield f"{indent}level {number}"
            names = max((columns(box.name) for box in level if box.kind != "more"), default=0)
            for at, box in enumerate(level):
                final = at == len(level) - 1
                text = self._box(box, incoming.get(box.name, []), min(names, _NAME_COLUMNS))
                head = indent + (self._last if final else self._branch)
                yield head + self.fit(text, self._width - columns(head))
                if box.inside is not None:
                    yield from self.levels(box.inside, indent + ("   " if final else self._through))

    def _box(self, box: Box, incoming: list[DrawnLink], names: int) -> str:
        detail = box.detail if self._unicode else box.detail.replace("…", "...")
        if box.kind == "more":
            return detail
        room = max(_DETAIL_LEAST, self._width // 3)  # a long command must not push away how it went
        words = [output.pad(box.name, names), output.brief(detail, room)]
        words += [self._each] if box.each else []
        words += [self._repeated] if box.repeated else []
        words += [box.state.text(unicode=self._unicode)] if box.state is not None else []
        sources = _sources(incoming)
        return "  ".join([*words, f"{self._arrow} {sources}"] if sources else words)

    def legend(self, picture: Picture) -> list[str]:
        """Return what the signs mean that the drawing has."""
        boxes = [*picture.all_boxes()]
        signs = []
        if any(True for _ in picture.all_links()):
            signs.append(f"{self._arrow} waits for")
        if any(box.each for box in boxes):
            signs.append(f"{self._each} {EACH}")
        if any(box.repeated for box in boxes):
            signs.append(f"{self._repeated} {REPEATED}")
        seen = frozenset[NodeStatus]().union(*(box.state.statuses() for box in boxes if box.state))
        signs += [f"{look.on(unicode=self._unicode)} {one}" for one, look in SIGNS.items() if one in seen]
        return signs

    def fit(self, text: str, room: int) -> str:
        """Return `text` without control characters, cut to `room` columns."""
        text = output.shown(text)
        if columns(text) <= room:
            return text
        kept = text[: max(room, 0)]
        while kept and columns(kept) > room - 3:
            kept = kept[:-1]
        return kept + ("…" if self._unicode else "...")


def _sources(links: list[DrawnLink]) -> str:
    """Return where a node's edges come from: data edges by name, others with their branch or condition."""
    words: dict[str, None] = {}
    for link in links:
        source = "others" if link.source.startswith("more ") else link.source
        if link.line == "conditional":
            words[f"{source} (when {link.label})"] = None
        else:
            words[f"{source}.{link.label}" if link.label else source] = None
    listed = list(words)
    more = f", and {len(listed) - _SOURCES_MAX} more" if len(listed) > _SOURCES_MAX else ""
    return ", ".join(listed[:_SOURCES_MAX]) + more
