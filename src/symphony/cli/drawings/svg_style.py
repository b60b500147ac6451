"""The colours of SVG drawings, for light pages and for dark ones."""

from collections.abc import Mapping
from typing import Final

_LIGHT: Final = {
    "page": "#ffffff", "text": "#111827", "soft": "#4b5563", "line": "#6b7280", "label": "#92400e",
    "operator": "#dbeafe", "instrument": "#ede9fe", "control": "#fef3c7", "workflow": "#dcfce7",
    "command": "#e5e7eb", "more": "#ffffff", "good": "#15803d", "reused": "#0e7490", "busy": "#1d4ed8",
    "bad": "#b91c1c", "warn": "#a16207",
}  # fmt: skip
_DARK: Final = {
    "page": "#0d1117", "text": "#e6edf3", "soft": "#9da7b3", "line": "#8b949e", "label": "#fbbf24",
    "operator": "#172a46", "instrument": "#2b2150", "control": "#3a2f0b", "workflow": "#12331f",
    "command": "#262c36", "more": "#0d1117", "good": "#4ade80", "reused": "#22d3ee", "busy": "#60a5fa",
    "bad": "#f87171", "warn": "#facc15",
}  # fmt: skip
_OF_STATUS: Final = {
    "succeeded": "good", "cached": "reused", "running": "busy", "failed": "bad", "waiting": "warn",
    "cancelled": "warn", "pending": "soft", "skipped": "soft",
}  # fmt: skip
_KINDS: Final = ("operator", "instrument", "control", "workflow", "command", "more")


def _coloured(colours: Mapping[str, str]) -> str:
    """Return the rules that give everything its colour: outright, for not every viewer knows variables."""
    text, soft, line, label = (colours[name] for name in ("text", "soft", "line", "label"))
    rules = [
        f"text{{fill:{text}}}.detail,.state,.legend{{fill:{soft}}}.label{{fill:{label}}}",
        f"rect,path{{stroke:{line}}}.page{{fill:{colours['page']};stroke:none}}",
        f".arrow{{fill:{line};stroke:none}}path.conditional{{stroke:{label}}}",
    ]
    rules += [f"rect.{kind}{{fill:{colours[kind]}}}" for kind in _KINDS]
    rules += [
        f"rect.{status}{{stroke:{colours[name]}}}text.{status}{{fill:{colours[name]}}}"
        for status, name in _OF_STATUS.items()
    ]
    return "".join(rules)


_STATUSES: Final = ",".join(f"rect.{status}" for status in _OF_STATUS)
STYLE: Final = (
    "text{font:12px ui-monospace,Menlo,Consolas,monospace;text-anchor:middle}"
    ".title{font-size:15px;font-weight:bold;text-anchor:start}.detail,.state,.label{font-size:10px}"
    f".legend{{font-size:10px;text-anchor:start}}{_STATUSES}{{stroke-width:1.6}}path{{fill:none}}"
    "path.control{stroke-dasharray:5 3}path.conditional{stroke-dasharray:2 3}"
    f"{_coloured(_LIGHT)}@media(prefers-color-scheme:dark){{{_coloured(_DARK)}}}"
)
"""One style sheet: the drawing has its own ground, light or dark as the reader of the page prefers."""
