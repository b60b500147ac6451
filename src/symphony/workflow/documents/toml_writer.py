"""Trees as TOML whose maps keep the order of their keys. Pure.

In TOML a table of its own (`[a]`) takes all lines up to the next one, so that what stands behind
it in a map can only be another table. A map that comes before something else is therefore written
inline (`a = { b = 1 }`), and as a table of its own where nothing but tables follows.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeGuard

from symphony.workflow.documents.tree import Tree

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_quoted: Final = json.JSONEncoder(ensure_ascii=False).encode
_INDENT: Final = "    "
_COLUMNS: Final = 100

Table = Mapping[str, Tree]


def write(tree: Table) -> str:
    """Return the text that spells `tree`: bool, int, float, str, dates and times, lists and maps."""
    lines: list[str] = []
    _table(tree, "", "", lines)
    return "".join(f"{line}\n" for line in lines)


def is_table(item: Tree) -> TypeGuard[Table | Sequence[Table]]:
    """True if it can be a table of its own, or several of one name."""
    return isinstance(item, dict) or _is_array(item)


def _is_array(item: Tree) -> TypeGuard[Sequence[Table]]:
    return isinstance(item, list) and bool(item) and all(isinstance(one, dict) for one in item)


def _table(table: Table, name: str, header: str, lines: list[str]) -> None:
    """The lines of a table and of those in it. `header` is left out where one of those says it too."""
    items = list(table.items())
    first = next((i for i in range(len(items), 0, -1) if not is_table(items[i - 1][1])), 0)
    while first < len(items) and _is_array(array := items[first][1]) and _is_short(array):
        first += 1
    if header and (first or not items or header.startswith("[[")):
        if lines:
            lines.append("")
        lines.append(header)
    lines += [f"{_key(key)} = {_value(item, 0)}" for key, item in items[:first]]
    for key, item in items[first:]:
        inner = f"{name}.{_key(key)}" if name else _key(key)
        if isinstance(item, dict):
            _table(item, inner, f"[{inner}]", lines)
        elif _is_array(item):
            for one in item:
                _table(one, inner, f"[[{inner}]]", lines)


def _is_short(array: Sequence[Table]) -> bool:
    """True if the tables are so small that each reads well on one line."""
    return all(_left(one, _COLUMNS - len(_INDENT) - 1) >= 0 for one in array)


def _left(item: Tree, room: int) -> int:
    """Return how many of `room` columns `item` leaves on one line; less than none if it does not fit."""
    if isinstance(item, dict):
        room -= 4 if item else 2
        for position, (key, inner) in enumerate(item.items()):
            if room < 0:
                break
            room = _left(inner, room - len(_key(key)) - 3 - (2 if position else 0))
        return room
    if isinstance(item, list):
        return -1 if item else room - 2
    if isinstance(item, str) and len(item) > room:
        return -1
    return room - len(_value(item, 0))


def _value(item: Tree, level: int) -> str:
    """Return `item` behind an equals sign or in an array that is nested `level` deep."""
    if isinstance(item, str):
        return _text(item)
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, dict):
        pairs = ", ".join(f"{_key(key)} = {_value(inner, level)}" for key, inner in item.items())
        return f"{{ {pairs} }}" if pairs else "{}"
    if isinstance(item, list):
        if not item:
            return "[]"
        lines = "".join(f"{_INDENT * (level + 1)}{_value(inner, level + 1)},\n" for inner in item)
        return f"[\n{lines}{_INDENT * level}]"
    return str(item)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    """Return the text in quotes. JSON escapes all that TOML does, except for one character."""
    return _quoted(text).replace("\x7f", "\\u007f")
