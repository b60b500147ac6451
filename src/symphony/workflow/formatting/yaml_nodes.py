"""Reads a YAML text into nodes that know their places. The text must be valid and have no aliases."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BLANK_OR_COMMENT: Final = re.compile(r"\s*(?:#.*)?")


class Unusual(Exception):
    """Something is written in a way that is left as it is."""


@dataclass(slots=True, eq=False)
class YamlNode:
    """A scalar, list or map. `start` and `end` are characters of the text.

    `style` is that of a scalar: one of `|`, `>` and the quotes, empty for a plain one. A map's `keys`
    belong to its `items`.
    """

    start: int
    end: int
    kind: str
    flow: bool = False
    style: str = ""
    text: str = ""
    keys: "list[YamlNode]" = field(default_factory=list)
    items: "list[YamlNode]" = field(default_factory=list)

    @property
    def empty(self) -> bool:
        """True for a null that is not written out."""
        return self.kind == "scalar" and not self.style and self.start == self.end

    @property
    def block(self) -> bool:
        """True for a list or map whose elements each have a line of their own."""
        return self.kind != "scalar" and not self.flow

    @property
    def literal(self) -> bool:
        """True for a block scalar."""
        return self.style in ("|", ">")


def root_of(text: str) -> YamlNode:
    """Return the node of the one document in `text`."""
    events = yaml.parse(text, Loader=_LOADER)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            return _node(next(events), events)
    raise Unusual


def _node(event: yaml.Event, events: Iterator[yaml.Event]) -> YamlNode:
    start, end = _span(event)
    if isinstance(event, yaml.ScalarEvent):
        style = event.style or ""
        return YamlNode(start, end, "scalar", style="" if style == " " else style, text=event.value)
    if isinstance(event, yaml.SequenceStartEvent):
        made = YamlNode(start, end, "list", flow=bool(event.flow_style))
        while not isinstance(event := next(events), yaml.SequenceEndEvent):
            made.items.append(_node(event, events))
    elif isinstance(event, yaml.MappingStartEvent):
        made = YamlNode(start, end, "map", flow=bool(event.flow_style))
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            made.keys.append(_node(event, events))
            made.items.append(_node(next(events), events))
    else:
        raise Unusual
    made.end = _span(event)[1]
    return made


def _span(event: yaml.Event) -> tuple[int, int]:
    assert event.start_mark is not None  # the parser marks every event
    assert event.end_mark is not None
    return event.start_mark.index, event.end_mark.index


class Lines:
    """The lines of a text, and the places of its nodes in them."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.all = text.split("\n")
        if not self.all[-1]:
            self.all.pop()
        self._starts = [0]
        for line in self.all:
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._ends: dict[int, int] = {}

    def row(self, at: int) -> int:
        """Return the number of the line, from 0, in which a character stands."""
        return min(bisect_right(self._starts, at), len(self.all)) - 1

    def column(self, at: int) -> int:
        """Return the column, from 0, of a character."""
        return at - self._starts[self.row(at)]

    def is_gap(self, row: int) -> bool:
        """True if the line is blank or only a comment."""
        return _BLANK_OR_COMMENT.fullmatch(self.all[row]) is not None

    def last_row(self, node: YamlNode, parent: int, row: int) -> int:
        """Return the last line of a node. `parent` is the column of what it is in, `row` the line
        before it.
        """
        known = self._ends.get(id(node))
        if known is None:
            known = self._ends[id(node)] = self._last_row(node, parent, row)
        return known

    def _last_row(self, node: YamlNode, parent: int, row: int) -> int:
        if node.empty:
            return row
        if node.literal:
            return self.literal_rows(node, parent)[1]
        if not node.block:
            return self.row(node.end)
        column = self.column(node.start)
        last = row
        for at, item in enumerate(node.items):
            begin = self.row(node.keys[at].end) if node.keys else self.row(item.start)
            last = self.last_row(item, column, max(begin, last))
        return last

    def literal_rows(self, node: YamlNode, parent: int) -> tuple[int, int, int]:
        """Return a block scalar's first row, its last row, and its column.

        If it has no lines, the last row is that of its sign.
        """
        head = self.row(node.start)
        sign = self.all[head][self.column(node.start) :]
        given = re.match(r"[|>][-+]?([1-9])|[|>]([1-9])", sign)
        digit = 0 if given is None else int(given[1] or given[2])
        margin = max(parent, 0) + digit if digit else -1
        last = head
        for row in range(head + 1, len(self.all)):
            line = self.all[row]
            blanks = len(line) - len(line.lstrip(" "))
            if blanks == len(line):
                continue
            if margin < 0:
                margin = blanks if blanks > parent else len(line) + 1
            if blanks < margin:
                break
            last = row
        if "+" in sign.partition("#")[0]:
            while last + 1 < len(self.all) and not self.all[last + 1].strip(" "):
                last += 1
        return head + 1, last, margin
