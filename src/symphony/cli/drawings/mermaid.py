"""A workflow as a Mermaid flowchart. Pure."""

from typing import Final

from symphony.cli.console import output
from symphony.cli.drawings.picture import Box, DrawnLink, Kind, Picture

_SHAPES: Final[dict[Kind, tuple[str, str]]] = {
    "operator": ("[", "]"),
    "instrument": ("([", "])"),
    "control": ("{{", "}}"),
    "workflow": ("[[", "]]"),
    "command": ("[/", "/]"),
    "more": ("(", ")"),
}
_ENTITIES: Final = str.maketrans(
    {"#": "#35;", "&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "`": "#96;"}
)
_DETAIL_COLUMNS_MAX: Final = 60


def draw_mermaid(picture: Picture) -> str:
    """The flowchart, from left to right. Ids are numbers: names of nodes may be Mermaid's words."""
    ids = {box.name: f"n{number}" for number, box in enumerate(b for level in picture.levels for b in level)}
    lines = ["---", f"title: {_title(picture.title)}", "---", "flowchart LR"]
    lines += [f"    {ids[box.name]}{_box(box)}" for level in picture.levels for box in level]
    lines += [f"    {ids[link.source]} {_arrow(link)} {ids[link.target]}" for link in picture.links]
    return "\n".join(lines) + "\n"


def _title(text: str) -> str:
    """A title as a YAML string in double quotes."""
    return '"' + output.shown(text).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _box(box: Box) -> str:
    before, after = _SHAPES[box.kind]
    detail = _escaped(output.brief(box.detail, _DETAIL_COLUMNS_MAX))
    text = detail if box.kind == "more" else f"{_escaped(box.name)}<br/><small>{detail}</small>"
    return f'{before}"{text}"{after}'


def _arrow(link: DrawnLink) -> str:
    line = "-->" if link.line == "data" else "-.->"
    return f'{line}|"{_escaped(output.brief(link.label, 40))}"|' if link.label else line


def _escaped(text: str) -> str:
    """Text inside quotes, where Mermaid knows entities by `#name;`."""
    return text.translate(_ENTITIES)
