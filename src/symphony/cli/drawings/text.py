"""A workflow as text: level by level, each node with what it waits for. Pure."""

from collections import defaultdict

from symphony.cli.console import output
from symphony.cli.drawings.picture import DrawnLink, Picture
from symphony.commons.widths import columns

_SOURCES_MAX = 6


def draw_text(picture: Picture, *, width: int, unicode: bool = True) -> str:
    """The tree, at most `width` columns wide; without `unicode`, in ASCII."""
    branch, last, arrow = ("├─ ", "└─ ", "←") if unicode else ("|- ", "`- ", "<-")
    incoming: dict[str, list[DrawnLink]] = defaultdict(list)
    for link in picture.links:
        incoming[link.target].append(link)
    total = ", ".join((
        output.count(picture.nodes_total, "node"), output.count(picture.edges_total, "edge"),
        output.count(picture.levels_total, "level"),
    ))  # fmt: skip
    lines = [output.brief(f"{picture.title} ({total})", width)]
    for number, level in enumerate(picture.levels, start=1):
        lines.append(f"level {number}")
        names = max((columns(box.name) for box in level if box.kind != "more"), default=0)
        for at, box in enumerate(level):
            name = "" if box.kind == "more" else output.pad(box.name, min(names, 30)) + "  "
            detail = box.detail if unicode else box.detail.replace("…", "...")
            sources = _sources(incoming.get(box.name, [])) if box.kind != "more" else ""
            text = f"{name}{detail}" + (f"  {arrow} {sources}" if sources else "")
            lines.append((last if at == len(level) - 1 else branch) + _fit(text, width - 3, unicode))
    return "\n".join(lines) + "\n"


def _fit(text: str, room: int, unicode: bool) -> str:
    text = output.shown(text)
    if columns(text) <= room:
        return text
    kept = text[:room]
    while columns(kept) > room - 3:
        kept = kept[:-1]
    return kept + ("…" if unicode else "...")


def _sources(links: list[DrawnLink]) -> str:
    """Where a node's edges come from: data edges by name, others with their branch or condition."""
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
