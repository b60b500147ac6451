"""One pass over a MessagePack document, without recursion and without building anything. Pure.

It refuses truncated documents, too deep nesting, bytes after the end, and lists and maps as keys, each with
its byte offset. It also finds duplicate keys.
"""

import struct
from typing import Final

from symphony.workflow.documents.tree import DEPTH_MAX, SyntaxProblem, not_readable, too_deep
from symphony.workflow.problems import Findings, Problem, child, shown

_SIZES: Final = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
"""Bytes behind the first, of numbers."""
_LENGTHS: Final = {0xC4: ">B", 0xC5: ">H", 0xC6: ">I", 0xD9: ">B", 0xDA: ">H", 0xDB: ">I"}
"""How the length of bytes and texts is written."""
_EXTENSIONS: Final = {0xC7: ">B", 0xC8: ">H", 0xC9: ">I"}
"""How the length of extensions is written."""
_COUNTS: Final = {0xDC: ">H", 0xDD: ">I", 0xDE: ">H", 0xDF: ">I"}
"""How the count of lists and maps is written."""


class _Frame:
    """An open list or map; `left` values are still to come in it."""

    __slots__ = ("key", "keys", "left", "place")

    def __init__(self, left: int, place: str, *, is_map: bool) -> None:
        self.left, self.place = left, place
        self.keys: set[str] | None = set() if is_map else None
        self.key: str | int = -1


def survey(body: bytes) -> tuple[Problem, ...]:
    """Return the duplicate keys. Raises SyntaxProblem if it is not a document at all."""
    surveyor = _Surveyor(body)
    try:
        surveyor.run()
    except (IndexError, struct.error):
        raise _wrong("it ends where more is due", len(body)) from None
    return tuple(surveyor.findings.found)


def _wrong(message: str, at: int) -> SyntaxProblem:
    return not_readable("MessagePack", f"byte {at}: {message}")


class _Surveyor:
    def __init__(self, body: bytes) -> None:
        self.body = body
        self.at = 0
        self.findings = Findings()
        self.stack: list[_Frame] = []

    def run(self) -> None:
        self._value("")
        while self.stack:
            frame = self.stack[-1]
            if not frame.left:
                self.stack.pop()
                continue
            frame.left -= 1
            if frame.keys is None:
                assert isinstance(frame.key, int)
                frame.key += 1
            else:
                frame.key = self._key(frame)
            self._value(child(frame.place, frame.key))
        if self.at < len(self.body):
            raise _wrong(f"{len(self.body) - self.at} more bytes follow the end", self.at)

    def _key(self, frame: _Frame) -> str:
        begin = self.at
        first = self._take()
        length = self._text_length(first)
        if length is None:
            if 0x80 <= first <= 0x9F or first in _COUNTS:
                raise _wrong("a key must be text", begin)
            self.at = begin
            self._value("")
            return shown(self.body[begin : self.at])  # the reader refuses it
        key = self._text(length, begin)
        assert frame.keys is not None
        if key in frame.keys:
            place, hint = child(frame.place, key), "rename or remove one"
            self.findings.add("duplicate-name", place, f"duplicate key {shown(key)} (byte {begin})", hint)
        frame.keys.add(key)
        return key

    def _take(self) -> int:
        self.at += 1
        return self.body[self.at - 1]

    def _number(self, form: str) -> int:
        (number,) = struct.unpack_from(form, self.body, self.at)
        assert isinstance(number, int)
        self.at += struct.calcsize(form)
        return number

    def _text_length(self, first: int) -> int | None:
        """Return the length of the text that begins with this byte, or None if it does not begin a text."""
        if 0xA0 <= first <= 0xBF:
            return first & 0x1F
        return self._number(_LENGTHS[first]) if 0xD9 <= first <= 0xDB else None

    def _text(self, length: int, begin: int) -> str:
        self._skip(length, begin)
        try:
            return self.body[self.at - length : self.at].decode()
        except UnicodeDecodeError:
            raise _wrong("the text that begins here is not UTF-8", begin) from None

    def _skip(self, length: int, begin: int) -> None:
        if length > len(self.body) - self.at:
            raise _wrong(f"a length of {length:,} is more than what follows", begin)
        self.at += length

    def _value(self, place: str) -> None:
        """The value that begins here; of a list or map, its beginning."""
        begin = self.at
        first = self._take()
        length = self._text_length(first)
        if length is not None:
            self._text(length, begin)
        elif first <= 0x7F or first >= 0xE0 or first in (0xC0, 0xC2, 0xC3):
            pass  # a small number, null or a boolean
        elif first in _SIZES:
            self._skip(_SIZES[first], begin)
        elif 0xC4 <= first <= 0xC6:
            self._skip(self._number(_LENGTHS[first]), begin)
        elif first <= 0x9F:
            self._open(first & 0x0F, place, begin, is_map=first <= 0x8F)
        elif first in _COUNTS:
            self._open(self._number(_COUNTS[first]), place, begin, is_map=first >= 0xDE)
        elif first in _EXTENSIONS:
            self._skip(1 + self._number(_EXTENSIONS[first]), begin)  # the reader refuses it, as a timestamp
        elif 0xD4 <= first <= 0xD8:
            self._skip(1 + (1 << first - 0xD4), begin)
        else:
            raise _wrong("a type that no workflow has", begin)

    def _open(self, count: int, place: str, begin: int, *, is_map: bool) -> None:
        if len(self.stack) >= DEPTH_MAX:
            raise too_deep()
        if count > len(self.body) - self.at:
            raise _wrong(f"a count of {count:,} is more than what follows", begin)
        self.stack.append(_Frame(count, place, is_map=is_map))
