"""YAML 1.2, core schema: read from the C parser's events, so that nesting is counted first."""

import math
import re
from collections.abc import Iterable
from typing import Final

import yaml

from symphony.workflow.documents.tree import (
    DEPTH_MAX,
    Document,
    Positions,
    Spot,
    SyntaxProblem,
    Tree,
    too_deep,
)
from symphony.workflow.documents.yaml_quick import UnusualYaml, built, spots_of
from symphony.workflow.problems import Findings, child, shown

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final[dict[str, bool | None]] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_SPECIAL = re.compile(r"([-+]?)\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_INDENTATION = re.compile(r"(?:[ \t]|[-?:](?=[ \t]))*")
_BARE_EXPRESSION = re.compile(r"""(?<!["'])\$\{""")
_NO_BEGIN = ("@", "`", "%")
_DIGITS_MAX = 30
_NO_KEY: Final = object()


def scalar(text: str) -> bool | int | float | str | None:
    """Return what a plain scalar means in the core schema (YAML 1.2.2, 10.3.2). Leading zeros stay text."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    if _INTEGER.fullmatch(text):
        # Converting very many digits takes very long, and the number is refused anyway.
        return int(text[:_DIGITS_MAX])
    if _BASED.fullmatch(text):
        return int(text[2:].lstrip("0")[:_DIGITS_MAX] or "0", 8 if text[1] == "o" else 16)
    if _NUMBER.fullmatch(text):
        return float(text)
    if special := _SPECIAL.fullmatch(text):
        return math.nan if special[1] is None else float(special[1] + "inf")
    return text


def parse(text: str) -> Document:
    """Return the one document in `text`. Raises SyntaxProblem."""
    return quickly(text) or closely(text)


def quickly(text: str) -> Document | None:
    """Return the document, if nothing about it is unusual."""
    parser = _LOADER(_ended(text))
    try:
        tree, offsets = built(parser, scalar)
    except (UnusualYaml, yaml.YAMLError):
        return None
    finally:
        parser.dispose()
    return Document(tree, (), Positions(text, lambda: spots_of(tree, offsets)))


def closely(text: str) -> Document:
    """Return the document, with everything that is wrong. Raises SyntaxProblem."""
    builder = _Builder(text)
    try:
        builder.build(yaml.parse(_ended(text), Loader=_LOADER))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        tab = None if mark is None else _tab_in(text, mark.index)
        if tab is not None:
            message, hint = "YAML forbids tabs for indentation", "indent with spaces, two for each level"
            raise SyntaxProblem("syntax", message, hint, builder.positions.at(tab)) from None
        position = builder.positions.at(mark.index) if mark else (1, 1)
        words, hint = _explained(error, text, 0 if mark is None else mark.index)
        raise SyntaxProblem("syntax", f"this is not YAML: {words}", hint, position) from None
    except yaml.YAMLError:
        raise _unprintable(text, builder.positions) from None
    return builder.document()


def _explained(error: yaml.MarkedYAMLError, text: str, at: int) -> tuple[str, str]:
    """Return what is wrong at the character `at`, and how to fix it."""
    words = ", ".join(part for part in (error.context, error.problem) if part)
    begin = text.rfind("\n", 0, at) + 1
    line = text[begin:].partition("\n")[0]
    if _BARE_EXPRESSION.search(line[: at - begin + 1] if "flow" in words else ""):
        return words, 'put an expression within { } or [ ] in quotes: "${{ … }}"'
    if "cannot start any token" in words and text[at : at + 1] in _NO_BEGIN:
        return f"a value cannot begin with {text[at]}", "put the value in quotes"
    if "mapping values are not allowed" in words and ": " in line[: at - begin]:
        return words, "put a text that holds `: ` in quotes, or check the indentation"
    return words, "check indentation, brackets and quotes"


def _tab_in(text: str, at: int) -> int | None:
    """Return where a tab indents the line of the character `at`, or the one before it; None if none does."""
    begin = text.rfind("\n", 0, at) + 1
    for start in (begin, text.rfind("\n", 0, max(begin - 1, 0)) + 1):
        blank = _INDENTATION.match(text, start)
        found = -1 if blank is None else text.find("\t", start, blank.end())
        if found >= 0:
            return found
    return None


def _ended(text: str) -> str:
    """Return `text` with an end of a last line of blanks: libyaml takes one without for a part of a text."""
    blank = text.endswith(" ") and not text[text.rfind("\n") + 1 :].strip(" ")
    return text + "\n" if blank else text


def _unprintable(text: str, positions: Positions) -> SyntaxProblem:
    """The reader refuses characters, not structure: name the first one."""
    found = _UNPRINTABLE.search(text)
    char = f"U+{ord(found[0]):04X}" if found else "a character"
    return SyntaxProblem(
        "syntax", f"this is not YAML: {char} may not stand in it", "write it as an escape in double quotes",
        positions.at(found.start() if found else 0),
    )  # fmt: skip


class _Frame:
    """An open list or map: what is in it, where, and the key that waits for its value."""

    __slots__ = ("holder", "key", "place", "spot")

    def __init__(self, holder: dict[str, Tree] | list[Tree], place: str, spot: Spot) -> None:
        self.holder, self.place, self.spot = holder, place, spot
        self.key: object = _NO_KEY


class _Builder:
    """Builds the tree with an explicit stack of open collections."""

    def __init__(self, text: str) -> None:
        self.findings = Findings()
        self.root: Tree = None
        self.spot = Spot(0)
        self.documents = 0
        self.readable = True
        self.stack: list[_Frame] = []
        self.positions = Positions(text, lambda: self.spot)

    def document(self) -> Document:
        """Return the document that was built."""
        if not self.documents:
            raise SyntaxProblem("syntax", "the file is empty", "a workflow needs a name and nodes", (1, 1))
        return Document(self.root, tuple(self.findings.found), self.positions, self.readable)

    def build(self, events: Iterable[yaml.Event]) -> None:
        """Take all events of one text. Raises SyntaxProblem, or what the parser raises."""
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                self._refuse_tag(event)
                self._add(scalar(event.value) if event.implicit[0] else event.value, event)
            elif isinstance(event, yaml.MappingStartEvent):
                self._open({}, event)
            elif isinstance(event, yaml.SequenceStartEvent):
                self._open([], event)
            elif isinstance(event, yaml.CollectionEndEvent):
                self.stack.pop()
            elif isinstance(event, yaml.AliasEvent):
                self._refuse(event, f"the alias *{event.anchor}", "write the value out")
                self._add(None, event)
            elif isinstance(event, yaml.DocumentStartEvent):
                self.documents += 1
                if self.documents > 1:
                    self._refuse(event, "a second document", "one file holds one workflow")
                    return

    def _refuse(self, event: yaml.Event, what: str, hint: str) -> None:
        self.readable = False
        self.findings.add("syntax", "", f"{what} is not allowed", hint, self.positions.at(_offset(event)))

    def _refuse_tag(self, event: "yaml.ScalarEvent | yaml.CollectionStartEvent") -> None:
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag}", "remove it; quote what must be text")

    def _open(self, holder: dict[str, Tree] | list[Tree], event: "yaml.CollectionStartEvent") -> None:
        if len(self.stack) >= DEPTH_MAX:
            raise too_deep(self.positions.at(_offset(event)))
        self._refuse_tag(event)
        place, spot = self._add(holder, event)
        self.stack.append(_Frame(holder, place, spot))

    def _add(self, item: Tree, event: yaml.Event) -> tuple[str, Spot]:
        """Put `item` where the document stands; its place and spot."""
        if not self.stack:
            self.root = item
            self.spot.at = _offset(event)
            return "", self.spot
        frame = self.stack[-1]
        if isinstance(frame.holder, list):
            index = len(frame.holder)
            frame.holder.append(item)
            return child(frame.place, index), frame.spot.put(index, _offset(event))
        if frame.key is _NO_KEY:
            return self._key(frame, item, event)
        key, frame.key = frame.key, _NO_KEY
        if isinstance(key, str):
            frame.holder[key] = item
            assert frame.spot.inside is not None
            return child(frame.place, key), frame.spot.inside[key]
        return frame.place, Spot(_offset(event))

    def _key(self, frame: _Frame, item: Tree, event: yaml.Event) -> tuple[str, Spot]:
        """Keep `item` as the pending key. A refused key is kept too, so that its value can be dropped."""
        frame.key = None
        if not isinstance(item, str):
            message = f"a key must be text, not {shown(item)}"
            self.findings.add(
                "type-mismatch", frame.place, message, "put it in quotes", self.positions.at(_offset(event))
            )
        elif item in frame.holder:
            self.findings.add(
                "duplicate-name", child(frame.place, item), f"duplicate key {shown(item)}",
                self.positions.duplicate_hint(frame.spot.below(item)), self.positions.at(_offset(event)),
            )  # fmt: skip
        else:
            frame.key = item
            return child(frame.place, item), frame.spot.put(item, _offset(event))
        return frame.place, Spot(_offset(event))


def _offset(event: yaml.Event) -> int:
    assert event.start_mark is not None  # the C parser marks every event
    return event.start_mark.index
