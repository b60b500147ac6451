"""What a parser gives: a plain tree, the problems met on the way, and where things stand. Pure."""

import base64
import binascii
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from symphony.ports.values import Value
from symphony.workflow.problems import Code, Problem
from symphony.workflow.types import INTEGER_MAX, INTEGER_MIN

BYTES_MAX = 16 * 1024 * 1024
DEPTH_MAX = 100

Tree: TypeAlias = object
"""None, bool, int, float, str, list and dict as parsed; not yet checked to be a value."""

Position: TypeAlias = tuple[int, int]
"""Line and column, from 1."""


@dataclass(slots=True)
class Document:
    """One parsed file. `locate` may be costly: it is called only for problems."""

    tree: Tree = None
    problems: list[Problem] = field(default_factory=list)
    locate: Callable[[str], Position | None] = lambda place: None


class SyntaxProblem(Exception):
    """The text is no document; nothing of it can be used."""

    def __init__(self, code: Code, message: str, hint: str, position: Position | None = None) -> None:
        super().__init__(message)
        line, column = position or (None, None)
        self.problem = Problem(code=code, place="", message=message, hint=hint, line=line, column=column)


def too_deep(position: Position | None = None) -> SyntaxProblem:
    """The document is nested beyond `DEPTH_MAX`."""
    return SyntaxProblem(
        "limit-exceeded", f"the document is nested more than {DEPTH_MAX} deep", "flatten it", position
    )


def check_depth(tree: Tree) -> None:
    """Raises SyntaxProblem if `tree` is nested more than `DEPTH_MAX` deep. No recursion."""
    level: list[object] = [tree]
    for _ in range(DEPTH_MAX + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                below += [v for v in item.values() if isinstance(v, dict | list)]
            elif isinstance(item, list):
                below += [v for v in item if isinstance(v, dict | list)]
        if not below:
            return
        level = below
    raise too_deep()


def child(place: str, name: str) -> str:
    """The place of a key below `place`."""
    return f"{place}.{name}" if place else name


def value_of(tree: Tree, place: str, problems: list[Problem]) -> Value:
    """The value that a tree spells: `{"$bytes": …}` becomes bytes, doubled `$` single.

    What is no value is reported at `place` as `type-mismatch` and becomes null.
    """

    def wrong(message: str, hint: str) -> None:
        problems.append(Problem(code="type-mismatch", place=place, message=message, hint=hint))

    if tree is None or isinstance(tree, bool | str):
        return tree
    if isinstance(tree, int):
        if INTEGER_MIN <= tree <= INTEGER_MAX:
            return tree
        wrong(f"{tree} does not fit 64 bits", "write it as text")
    elif isinstance(tree, float):
        if math.isfinite(tree):
            return tree
        wrong("infinities and NaN are no values", "write null or text")
    elif isinstance(tree, list):
        return [value_of(item, place, problems) for item in tree]
    elif isinstance(tree, dict):
        return _map(tree, place, problems)
    else:
        wrong(f"a {type(tree).__name__} is no value", "write it as text")
    return None


def _map(tree: dict[object, object], place: str, problems: list[Problem]) -> Value:
    if "$bytes" in tree and len(tree) == 1:
        text = tree["$bytes"]
        try:
            return base64.b64decode(text if isinstance(text, str) else "?", validate=True)
        except binascii.Error:
            hint = 'write {"$bytes": "<base64>"}'
            problems.append(Problem(code="type-mismatch", place=place, message="$bytes is not base64", hint=hint))
            return None
    if tree == {"$null": True}:
        return None
    out: dict[str, Value] = {}
    for key, item in tree.items():
        if not isinstance(key, str):
            hint = "quote the key"
            problems.append(
                Problem(code="type-mismatch", place=place, message=f"the key {key!r} is no string", hint=hint)
            )
            continue
        if key.startswith("$") and not key.startswith("$$"):
            message, hint = f"the key {key!r} is not known", f"double the dollar for a literal key: ${key}"
            problems.append(Problem(code="type-mismatch", place=place, message=message, hint=hint))
            continue
        out[key[1:] if key.startswith("$") else key] = value_of(item, place, problems)
    return out


def tree_of(value: Value, *, null: bool = False) -> Tree:
    """A value as a tree; with `null`, null is spelled `{"$null": true}` (TOML has none)."""
    if value is None:
        return {"$null": True} if null else None
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    if isinstance(value, list):
        return [tree_of(item, null=null) for item in value]
    if isinstance(value, dict):
        return {"$" + k if k.startswith("$") else k: tree_of(v, null=null) for k, v in value.items()}
    return value
