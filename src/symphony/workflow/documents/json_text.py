"""JSON: the C decoder for the tree; a tokenizer of ours, only when something must be located."""

import json
import re

from symphony.workflow.documents.tree import Document, Position, SyntaxProblem, Tree, check_depth, child, too_deep
from symphony.workflow.problems import Problem

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]|[^\s\[\]{},:"]+', re.DOTALL)
_INTEGER_DIGITS_MAX = 400


class _Constant(ValueError):
    """`NaN` and the infinities are not JSON."""


def parse(data: bytes) -> Document:
    """The document in `data`. Raises SyntaxProblem."""
    text = data.decode("utf-8")  # the caller has checked it
    doubles: list[str] = []

    def pairs(items: list[tuple[str, Tree]]) -> dict[str, Tree]:
        out = dict(items)
        if len(out) != len(items):
            doubles.append("")
            out = dict(reversed(items))
        return out

    def constant(word: str) -> Tree:
        raise _Constant(word)

    def integer(digits: str) -> Tree:
        return int(digits) if len(digits) <= _INTEGER_DIGITS_MAX else float("inf")

    try:
        tree = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer)
    except RecursionError:
        raise too_deep() from None
    except _Constant as error:
        match = next((m for m in _TOKEN.finditer(text) if m[0] == str(error)), None)
        where = _line_column(text, match.start() if match else 0)
        raise SyntaxProblem("syntax", f"{error} is not JSON", "write null or a finite number", where) from None
    except json.JSONDecodeError as error:
        where = (error.lineno, error.colno)
        raise SyntaxProblem("syntax", f"not JSON: {error.msg}", "check commas, quotes and brackets", where) from None
    check_depth(tree)
    places = _Places(text)
    problems = places.duplicates() if doubles else []
    return Document(tree, problems, places.locate)


def _line_column(text: str, offset: int) -> Position:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class _Places:
    """Where each key and element stands; made at the first question."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, int] | None = None
        self._doubles: list[tuple[str, int]] = []

    def locate(self, place: str) -> Position | None:
        """Line and column of a place, if it is in the text."""
        if self._found is None:
            self._found = self._walk()
        offset = self._found.get(place)
        return None if offset is None else _line_column(self._text, offset)

    def duplicates(self) -> list[Problem]:
        """Every key that stands twice in one object."""
        if self._found is None:
            self._found = self._walk()
        out = []
        for place, offset in self._doubles:
            line, column = _line_column(self._text, offset)
            name = place.rpartition(".")[2]
            out.append(
                Problem(code="duplicate-name", place=place, message=f"the key {name!r} stands twice",
                        hint="rename or remove one", line=line, column=column)
            )  # fmt: skip
        return out

    def _walk(self) -> dict[str, int]:
        """One pass over the tokens of a text that is known to be JSON."""
        found: dict[str, int] = {}
        stack: list[list[object]] = []  # [place, is a map, key or next index]
        expects_key = False
        for match in _TOKEN.finditer(self._text):
            token, offset = match[0], match.start()
            if token in "}]":
                stack.pop()
                expects_key = False
                continue
            if token == ",":
                expects_key = bool(stack[-1][1])
                continue
            if token == ":":
                continue
            if expects_key:
                key = json.loads(token)
                place = child(str(stack[-1][0]), key)
                stack[-1][2] = key
                if place in found:
                    self._doubles.append((place, offset))
                else:
                    found[place] = offset
                expects_key = False
                continue
            place = self._place(stack)
            found.setdefault(place, offset)
            if token in "{[":
                stack.append([place, token == "{", 0])
                expects_key = token == "{"
        return found

    @staticmethod
    def _place(stack: list[list[object]]) -> str:
        if not stack:
            return ""
        place, is_map, at = stack[-1]
        if is_map:
            return child(str(place), str(at))
        assert isinstance(at, int)
        stack[-1][2] = at + 1
        return f"{place}[{at}]"
