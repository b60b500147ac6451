"""What to write in place of a value that does not fit its port. Pure."""

import re
from typing import Final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.problems import did_you_mean
from symphony.workflow.types import PortType, mismatch

_CHOICES_MAX: Final = 12
_CHARS_MAX: Final = 40
_WORD: Final = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)


def remedy(value: Value, target: PortType) -> str | None:
    """How to write a literal `value` so that it fits `target`, where that is likely what was meant.

    >>> remedy("item.name", PortType("list", PortType("string")))
    'write a list: [item.name]'
    """
    if target.kind == "enum" and len(target.choices) <= _CHOICES_MAX:
        *others, last = target.choices
        return f"use {', '.join(others)} or {last}" if others else f"use {last}"
    if isinstance(value, dict):
        return _key_remedy(value, target)
    if isinstance(value, list | bytes) or value is None:
        return None
    if target.kind == "list" and target.item is not None and mismatch(value, target.item) is None:
        text = value if isinstance(value, str) and _is_bare(value) else msgspec.json.encode(value).decode()
        return (
            f"write a list: [{text}]" if len(text) <= _CHARS_MAX else "write a list, with it as its element"
        )
    number = _NUMBER.fullmatch(value) if isinstance(value, str) and len(value) <= _CHARS_MAX else None
    if number is not None and (target.kind == "number" or (target.kind == "integer" and number[1] is None)):
        return f"leave the quotes out: {value}"
    return None


def _key_remedy(value: dict[str, Value], target: PortType) -> str | None:
    """What to write in place of the first key that a map cannot have, here or further in."""
    if target.kind != "map" or target.item is None:
        return None
    for key, inner in value.items():
        if target.choices and key not in target.choices:
            return did_you_mean(key, target.choices, f"write one of them in place of {key}")
        if isinstance(inner, dict) and (found := _key_remedy(inner, target.item)):
            return found
    return None


def _is_bare(text: str) -> bool:
    """Is it a text in YAML without quotes, too?"""
    return _WORD.fullmatch(text) is not None and text.lower() not in ("true", "false", "null")
