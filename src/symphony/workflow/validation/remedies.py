"""Hints for what to write in place of a value that does not fit its port. Pure."""

import re
from typing import Final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.expressions import Read
from symphony.workflow.problems import did_you_mean
from symphony.workflow.types import PortType, mismatch
from symphony.workflow.validation.scope import Scope

_CHOICES_MAX: Final = 12
_CHARS_MAX: Final = 40
_WORD: Final = re.compile(r"[A-Za-z_][\w.]*", re.ASCII)
_NUMBER: Final = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_HALF_REFERENCES: Final = ("${", "{{")
_REFERENCE_CHARS_MAX: Final = 200
_REFERENCE: Final = re.compile(
    r"""(?P<open>\$?\{{0,2})\s*
    (?:nodes\.|nodes\[["'](?=[\w-]+["']\]))?
    (?P<root>[A-Za-z_][\w-]*)(?:["']\])?
    (?P<rest>(?:\.[A-Za-z_]\w*)*)
    \s*(?P<close>\}{0,2})""",
    re.VERBOSE | re.ASCII,
)


def remedy(value: Value, target: PortType) -> str | None:
    """Return how to write a literal `value` so that it fits `target`, where that is likely what was meant.

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
    if isinstance(value, str) and value.startswith(_HALF_REFERENCES):
        return None  # an element of this text is not what was meant
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
    """Return what to write in place of the first key that a map, or a map inside it, cannot have."""
    if target.kind != "map" or target.item is None:
        return None
    for key, inner in value.items():
        if target.choices and key not in target.choices:
            return did_you_mean(key, target.choices, f"write one of them in place of {key}")
        if isinstance(inner, dict) and (found := _key_remedy(inner, target.item)):
            return found
    return None


def _is_bare(text: str) -> bool:
    """True if YAML reads the text as a text even without quotes."""
    return _WORD.fullmatch(text) is not None and text.lower() not in ("true", "false", "null")


def forgotten(text: str, scope: Scope) -> str | None:
    """Return how to write the reference that `text` names exactly, if `scope` has what it names.

    Some of the signs may be there: `{{ inputs.n }}`, `${words.result}`, `$words.result`.
    """
    if "${{" in text or len(text) > _REFERENCE_CHARS_MAX or (found := _REFERENCE.fullmatch(text)) is None:
        return None
    root, rest = found["root"], found["rest"]
    names = rest.split(".")[1:]
    if root == "item" and scope.item is not None and (names or "{" in found["open"]):
        return f"${{{{ item{rest} }}}}"
    if "{" in found["open"] and _is_variable(f"{root}{rest}", scope):
        return f"${{{{ {root}{rest} }}}}"
    if len(names) != 1:
        return None
    if root == "inputs":
        there = names[0] in scope.workflow.inputs
        return f"${{{{ {Read('input', names[0])} }}}}" if there else None
    level = scope.level_of(root)
    ports = None if level is None else level.outputs(root)
    return f"${{{{ {Read('port', root, names[0])} }}}}" if ports is not None and names[0] in ports else None


def _is_variable(text: str, scope: Scope) -> bool:
    """True if `text` names what an expression sees beside inputs, nodes and elements."""
    root, _, name = text.partition(".")
    match root:
        case "index":
            return not name and scope.item is not None
        case "iteration":
            return not name and scope.state is not None
        case "state":
            return scope.state is not None and name in scope.state
        case "run":
            return name in ("id", "started_at")
        case "env":
            return name in scope.workflow.env
    return False
