"""Reads JSON token by token, without recursion. It is slow, but knows the position of everything. Pure."""

import json
import re
from typing import Final

from symphony.workflow.documents.tree import DEPTH_MAX, Positions, Spot, SyntaxProblem, Tree, too_deep
from symphony.workflow.problems import Findings, child, shown

_BLANK = re.compile(r"[ \t\n\r]*+")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_RUN = re.compile(r"[^\s,:\[\]{}\"]+")
_WORDS: Final[dict[str, bool | None]] = {"true": True, "false": False, "null": None}
_DIGITS_MAX = 30
_STRING = json.JSONDecoder().raw_decode


class _Frame:
    """An open array or object; `key` waits for its value."""

    __slots__ = ("holder", "key", "place", "spot", "wanted")

    def __init__(self, holder: dict[str, Tree] | list[Tree], place: str, spot: Spot) -> None:
        self.holder, self.place, self.spot = holder, place, spot
        self.key: str | None = None
        self.wanted = True  # is the next value kept? The value of a duplicate key is not.


class JsonReader:
    """Reads one text; afterwards `root`, `spot` and `findings` say what it holds."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.findings = Findings()
        self.positions = Positions(text, lambda: self.spot)
        self.root: Tree = None
        self.spot = Spot(0)
        self.stack: list[_Frame] = []
        self.at = 0
        self.due = False  # must an element of the innermost list or object come next?

    def read(self) -> "JsonReader":
        """Read all. Raises SyntaxProblem."""
        self._blank()
        if self.at == len(self.text):
            raise SyntaxProblem("syntax", "the file is empty", "a workflow needs a name and nodes", (1, 1))
        self.spot.at = self.at
        self._value()
        while self.stack:
            if self.due:
                self._element()
            else:
                self._after_value()
        self._blank()
        if self.at < len(self.text):
            raise self._wrong("something follows the document", "one file holds one workflow")
        return self

    def _blank(self) -> None:
        found = _BLANK.match(self.text, self.at)
        self.at = found.end() if found else self.at

    def _char(self) -> str:
        return self.text[self.at : self.at + 1]

    def _wrong(self, message: str, hint: str = "check commas, quotes and brackets") -> SyntaxProblem:
        return SyntaxProblem("syntax", f"this is not JSON: {message}", hint, self.positions.at(self.at))

    def _value(self) -> None:
        """The value that begins here; of a list or object, its beginning."""
        char = self._char()
        self.due = False
        if char == "[" or char == "{":
            self._open({} if char == "{" else [])
        elif char == '"':
            at = self.at
            self._put(self._string(), at)
        else:
            at = self.at
            self._put(self._literal(), at)

    def _open(self, holder: dict[str, Tree] | list[Tree]) -> None:
        if len(self.stack) >= DEPTH_MAX:
            raise too_deep(self.positions.at(self.at))
        place, spot = self._put(holder, self.at)
        self.stack.append(_Frame(holder, place, spot))
        self.at += 1
        self._blank()
        if self._char() == ("}" if isinstance(holder, dict) else "]"):
            self.at += 1
            self.stack.pop()
        else:
            self.due = True

    def _after_value(self) -> None:
        """A comma and the next element, or the end of the innermost list or object."""
        self._blank()
        char = self._char()
        end = "}" if isinstance(self.stack[-1].holder, dict) else "]"
        if char == end:
            self.at += 1
            self.stack.pop()
        elif char == ",":
            self.at += 1
            self._blank()
            if self._char() in ("}", "]"):
                raise self._wrong("there is a comma before the end", "remove the last comma")
            self.due = True
        elif char:
            raise self._wrong(f"a comma or {end} is missing before {shown(char)}")
        else:
            raise self._wrong(f"it ends before its {end}")

    def _element(self) -> None:
        """The next element of the innermost list, or key and value of the innermost object."""
        frame = self.stack[-1]
        if isinstance(frame.holder, list):
            self._value()
            return
        at = self.at
        if self._char() != '"':
            raise self._wrong("a key in double quotes is missing", "put every key in double quotes")
        frame.key = self._string()
        frame.wanted = frame.key not in frame.holder
        place = child(frame.place, frame.key)
        if frame.wanted:
            frame.spot.put(frame.key, at)
        else:
            message = f"duplicate key {shown(frame.key)}"
            hint = self.positions.duplicate_hint(frame.spot.below(frame.key))
            self.findings.add("duplicate-name", place, message, hint, self.positions.at(at))
        self._blank()
        if self._char() != ":":
            raise self._wrong(f"a colon is missing after the key {shown(frame.key)}")
        self.at += 1
        self._blank()
        self._value()

    def _put(self, item: Tree, at: int) -> tuple[str, Spot]:
        """Put `item`, which stands at `at`, into the innermost list or object; its place and spot."""
        if not self.stack:
            self.root = item
            return "", self.spot
        frame = self.stack[-1]
        if isinstance(frame.holder, list):
            frame.holder.append(item)
            index = len(frame.holder) - 1
            return child(frame.place, index), frame.spot.put(index, at)
        assert frame.key is not None
        place = child(frame.place, frame.key)
        if not frame.wanted:
            return place, Spot(at)
        frame.holder[frame.key] = item
        return place, frame.spot.put(frame.key, at)

    def _string(self) -> str:
        try:
            found, end = _STRING(self.text, self.at)
        except json.JSONDecodeError as error:
            self.at = error.pos
            raise self._wrong(
                f"{error.msg[:1].lower()}{error.msg[1:]}", "check the quotes and escapes"
            ) from None
        assert isinstance(found, str)
        try:
            found.encode()
        except UnicodeEncodeError:
            hint = "write both halves of the pair, or the character itself"
            raise self._wrong("a text holds half of a surrogate pair", hint) from None
        self.at = end
        return found

    def _literal(self) -> Tree:
        run = _RUN.match(self.text, self.at)
        if run is None:
            if not self._char():
                raise self._wrong("it ends where a value is due")
            raise self._wrong(f"a value is missing before {shown(self._char())}")
        word = run[0]
        number = _NUMBER.fullmatch(word)
        if word in _WORDS:
            found: Tree = _WORDS[word]
        elif number is None:
            hint = "write null or a finite number" if "n" in word.lower() else "put text in double quotes"
            raise self._wrong(f"{shown(word)} is no value", hint)
        elif number[1] or number[2]:
            found = float(word)
        else:
            # Converting very many digits takes very long, and the number is refused anyway.
            found = int(word[:_DIGITS_MAX])
        self.at = run.end()
        return found
