"""Reads the tree of an ordinary YAML text from the C parser's events. Pure.

The position of each event is kept, and becomes a spot only if a place is looked up. Anything wrong or
unexpected is left to the builder of `yaml_text`, which alone reports problems.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import yaml

from symphony.workflow.documents.tree import DEPTH_MAX, Spot, Tree


class UnusualYaml(Exception):
    """The text needs a closer look."""


class _Parser(Protocol):
    def get_event(self) -> yaml.Event | None: ...


class _Known(dict[str, object]):
    """The meanings of plain scalars, each worked out once."""

    def __init__(self, scalar: Callable[[str], object]) -> None:
        super().__init__()
        self._scalar = scalar

    def __missing__(self, text: str) -> object:
        found = self[text] = self._scalar(text)
        return found


def built(parser: _Parser, scalar: Callable[[str], object]) -> tuple[Tree, list[int]]:
    """Return the one document, and where its scalars and the beginnings of its lists and maps stand, in
    order.

    Raises UnusualYaml, and what the parser raises.
    """
    take, known = parser.get_event, _Known(scalar)
    offsets: list[int] = []
    root: list[Tree] = []
    items = root
    key: str | None = None
    pairs: dict[str, Tree] | None = None
    around: list[tuple[list[Tree], dict[str, Tree] | None]] = []
    if type(take()) is not yaml.StreamStartEvent or type(take()) is not yaml.DocumentStartEvent:
        raise UnusualYaml
    while True:
        event = take()
        item: Tree
        if isinstance(event, yaml.ScalarEvent):
            item = known[event.value] if event.implicit[0] else event.value
        elif isinstance(event, yaml.CollectionEndEvent):
            items, pairs = around.pop()
            key = None
            continue
        elif isinstance(event, yaml.MappingStartEvent):
            item = {}
        elif isinstance(event, yaml.SequenceStartEvent):
            item = []
        elif isinstance(event, yaml.DocumentEndEvent) and isinstance(take(), yaml.StreamEndEvent):
            return root[0], offsets
        else:
            raise UnusualYaml
        if event.tag is not None or event.start_mark is None:
            raise UnusualYaml
        offsets.append(event.start_mark.index)
        if pairs is None:
            items.append(item)
        elif key is None:
            if not isinstance(item, str) or item in pairs:
                raise UnusualYaml
            key = item
            continue
        else:
            pairs[key] = item
            key = None
        if type(item) is dict or type(item) is list:
            if len(around) >= DEPTH_MAX:
                raise UnusualYaml
            around.append((items, pairs))
            items, pairs = (item, None) if isinstance(item, list) else (root, item)


def spots_of(tree: Tree, offsets: list[int]) -> Spot:
    """Return the spots of a tree that `built` made, from the offsets that it gave."""
    left = iter(offsets)
    root = Spot(next(left))
    _fill(root, tree, left)
    return root


def _fill(spot: Spot, tree: Tree, offsets: Iterator[int]) -> None:
    if isinstance(tree, dict):
        for key, item in tree.items():
            below = spot.put(key, next(offsets))
            next(offsets)
            _fill(below, item, offsets)
    elif isinstance(tree, list):
        for number, item in enumerate(tree):
            _fill(spot.put(number, next(offsets)), item, offsets)
