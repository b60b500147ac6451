"""Places in a document that parameters set, and texts that name parameters. Pure."""

import copy
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.problems import child
from symphony.workflow.templates.placeholders import PLACEHOLDER
from symphony.workflow.templates.shell_text import filled
from symphony.workflow.values import spelled

KEY: Final = "template"
MADE_FROM: Final = "made_from"

TEXTS: Final = re.compile(
    r"name|description|nodes\.[^.]+\.(description|command)|nodes\.[^.]+\.artifact\.name"
)
"""Texts in which a parameter may be named."""


def strings_in(tree: Tree, place: str) -> Iterator[tuple[str, str]]:
    """Yield every text in `tree` with its place."""
    if isinstance(tree, str):
        yield place, tree
    elif isinstance(tree, dict):
        for key, item in tree.items():
            yield from strings_in(item, child(place, str(key)))
    elif isinstance(tree, list):
        for at, item in enumerate(tree):
            yield from strings_in(item, child(place, at))


def with_words(tree: Tree, words: Mapping[str, str], place: str = "") -> Tree:
    """Return `tree` with words in place of the parameters that its texts name."""
    if isinstance(tree, str):
        if not TEXTS.fullmatch(place) or PLACEHOLDER.search(tree) is None:
            return tree
        if place.endswith(".command"):
            return filled(tree, words.__getitem__)
        return PLACEHOLDER.sub(lambda match: words[match[1]], tree)
    if isinstance(tree, dict):
        return {key: with_words(item, words, child(place, str(key))) for key, item in tree.items()}
    if isinstance(tree, list):
        return [with_words(item, words, child(place, at)) for at, item in enumerate(tree)]
    return tree


def without_template(tree: Mapping[str, Tree], made_from: str) -> dict[str, Tree]:
    """Return a copy of the document without its template data, except for `made_from`."""
    made = copy.deepcopy(dict(tree))
    metadata = made.pop("metadata", None)
    kept = {key: item for key, item in metadata.items() if key != KEY} if isinstance(metadata, dict) else {}
    if made_from:
        kept[MADE_FROM] = made_from
    return {**made, "metadata": kept} if kept else made


def as_text(value: Value) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(spelled(value)).decode()


NOTHING: Final = object()
_LITERALS: Final = ("inputs", "config", "message", "state", "cases")
_STEP: Final = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)|\[([0-9]{1,6})\]")


def path_of(place: str) -> tuple[str | int, ...] | None:
    """Return the keys of a place such as `nodes.a.inputs.items[0]`; None if it is not a place."""
    keys: list[str | int] = []
    at = 0
    while at < len(place):
        match = _STEP.match(place, at)
        if match is None or (not keys and place[0] in ".["):
            return None
        keys.append(match[1] if match[1] is not None else int(match[2]))
        at = match.end()
    return tuple(keys) or None


def found_at(tree: Tree, path: Sequence[str | int]) -> Tree:
    """Return what is at `path`, or `NOTHING`."""
    for key in path:
        known = tree if isinstance(tree, dict) else range(len(tree)) if isinstance(tree, list) else ()
        if key not in known:
            return NOTHING
        tree = tree[key]  # type: ignore[index]  # a list has only integers for keys
    return tree


def set_at(tree: Tree, place: str, item: Tree) -> None:
    """Put `item` at an existing place. Expressions in it are escaped, so that it is taken literally."""
    path = path_of(place)
    assert path is not None
    holder = found_at(tree, path[:-1])
    assert isinstance(holder, dict | list)
    literal = path[0] == "outputs" or (path[0] == "nodes" and path[2] in _LITERALS)
    holder[path[-1]] = _escaped(item) if literal else item  # type: ignore[index]  # lists have only integers


def _escaped(tree: Tree) -> Tree:
    if isinstance(tree, str):
        return tree.replace("${{", "$${{")
    if isinstance(tree, dict):
        return {key: _escaped(item) for key, item in tree.items()}
    return [_escaped(item) for item in tree] if isinstance(tree, list) else tree
