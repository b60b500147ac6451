"""YAML 1.2, core schema: read from the C parser's events, so that nesting is counted first."""

import re
from collections.abc import Iterator

import yaml

from symphony.workflow.documents.tree import DEPTH_MAX, Document, Position, SyntaxProblem, Tree, child, too_deep
from symphony.workflow.problems import Problem

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF|nan|NaN|NAN)")


def scalar(text: str) -> None | bool | int | float | str:
    """What a plain scalar means in the core schema; leading zeros stay text."""
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    first = text[0]
    if not (first.isdigit() or first in "+-."):
        return text
    if _INT.fullmatch(text):
        return int(text) if len(text) < 4000 else text
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _FLOAT.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return float(special[1] + special[2].lower())
    return text


def parse(data: bytes) -> Document:
    """The one document in `data`. Raises SyntaxProblem."""
    text = data.decode("utf-8")  # the caller has checked it
    try:
        return _Builder(yaml.parse(text, Loader=_LOADER)).document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        words = " ".join(part for part in (error.context, error.problem) if part)
        raise SyntaxProblem("syntax", f"not YAML: {words}", "check indentation, brackets and quotes", position) from None
    except yaml.YAMLError as error:
        raise SyntaxProblem("syntax", f"not YAML: {str(error).splitlines()[0]}", "save the file as UTF-8 text", (1, 1)) from None


class _Builder:
    """Builds the tree with an explicit stack of open collections."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self.events = events
        self.positions: dict[str, Position] = {}
        self.problems: list[Problem] = []
        self.root: Tree = None
        self.documents = 0
        self.stack: list[tuple[dict[object, Tree] | list[Tree], str]] = []
        self.keys: list[object] = []  # for each open map: its pending key, or _NO_KEY

    def document(self) -> Document:
        for event in self.events:
            self._event(event)
        return Document(self.root, self.problems, self.positions.get)

    def _event(self, event: yaml.Event) -> None:
        position = (event.start_mark.line + 1, event.start_mark.column + 1) if event.start_mark else (1, 1)
        if isinstance(event, yaml.DocumentStartEvent):
            self.documents += 1
            if self.documents > 1:
                raise SyntaxProblem("syntax", "a second document begins", "one file holds one workflow", position)
        elif isinstance(event, yaml.AliasEvent):
            raise SyntaxProblem("syntax", f"an alias (*{event.anchor}) is not allowed", "write the value out", position)
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_tag(event, position)
            plain = event.style is None or event.style == ""
            self._add(scalar(event.value) if plain else event.value, position)
        elif isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            self._refuse_tag(event, position)
            if len(self.stack) >= DEPTH_MAX:
                raise too_deep(position)
            opened: dict[object, Tree] | list[Tree] = {} if isinstance(event, yaml.MappingStartEvent) else []
            place = self._add(opened, position)
            self.stack.append((opened, place))
            self.keys.append(_NO_KEY)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self.stack.pop()
            self.keys.pop()

    def _refuse_tag(self, event: "yaml.ScalarEvent | yaml.CollectionStartEvent", position: Position) -> None:
        if event.tag is not None:
            raise SyntaxProblem("syntax", f"a tag ({event.tag}) is not allowed", "remove it", position)

    def _add(self, item: Tree, position: Position) -> str:
        """Put `item` where the document stands; its place."""
        if not self.stack:
            self.root = item
            self.positions[""] = position
            return ""
        holder, place = self.stack[-1]
        if isinstance(holder, list):
            holder.append(item)
            at = f"{place}[{len(holder) - 1}]"
            self.positions[at] = position
            return at
        key = self.keys[-1]
        if key is _NO_KEY:
            if isinstance(item, dict | list):
                raise SyntaxProblem("syntax", "a key must be a scalar", "write the key as text", position)
            self.keys[-1] = item
            at = child(place, str(item))
            if item in holder and type(item) in (str,):
                message = f"the key {item!r} stands twice"
                line, column = position
                self.problems.append(
                    Problem(code="duplicate-name", place=at, message=message, hint="rename or remove one",
                            line=line, column=column)
                )  # fmt: skip
            else:
                self.positions[at] = position
            return at
        self.keys[-1] = _NO_KEY
        if isinstance(key, float) and key != key or isinstance(key, bool | int | float) or key is None:
            holder[_Odd(key)] = item
        else:
            holder.setdefault(key, item)
        return child(place, str(key))


class _Odd:
    """A key that is no string: kept apart, so that `1` and `true` do not fall together."""

    def __init__(self, key: object) -> None:
        self.key = key

    def __repr__(self) -> str:
        return repr(self.key)


_NO_KEY = object()
