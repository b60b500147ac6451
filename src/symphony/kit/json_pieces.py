"""JSON that may be large, parsed without keeping other threads from running. Pure.

A decoder written in C holds the interpreter's lock until it is done: 15 MB of `[[]],[[]],…` take it
three seconds, also in a thread. Here a large text is cut into pieces of 64 KiB at commas, each decoded
by itself, with room for other threads between them. Only what is cut is put together in Python.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import msgspec

from symphony.commons.lines import column_number, line_number
from symphony.kit.documents import beyond_64_bits, parse
from symphony.kit.errors import InputRefused
from symphony.ports.values import VALUE_DEPTH_MAX, Value

Stop: TypeAlias = Callable[[], None]
"""Raises if nobody waits for the result any more."""

PIECE_BYTES: Final = 64 * 1024
_TOKENS: Final = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{},]', re.DOTALL)
_LONG_NUMBER: Final = re.compile(rb"\d{19}")
_BLANKS: Final = b" \t\r\n"
_COMMA, _QUOTE = b',"'
_OPENING: Final = frozenset(b"[{")
_ENDS: Final = {b"{": b"},", b"[": b"],", b'"': b'",'}
"""How the last of several values ends that begin alike."""
_PORTION: Final = 1_000
_GUESSES: Final = 8
_WRONG_MAX: Final = 3
_BRACKETS: Final = {b"[": b"]", b"{": b"}"}


def parsed(text: str, stop: Stop) -> Value:
    """Return the value in `text`, as `json.parse` reads it. Raises InputRefused."""
    if len(text) <= PIECE_BYTES:
        return parse(text)
    try:
        body = text.encode()
    except UnicodeEncodeError as error:
        raise InputRefused(f"input text: {error.reason}", hint="give valid Unicode") from error
    cutting = _Cutting(body, stop)
    try:
        return cutting.value()
    except BaseException:
        cutting.take_down()
        raise


@dataclass(slots=True)
class _Open:
    """A list or map that is put together of pieces. `since`: where what is not yet decoded begins.

    `fresh`: nothing stands before it but the bracket; `whole`: a value that was put together does,
    so that a comma or the end must follow; else a comma does, and a value must follow.
    """

    kind: bytes
    value: Value
    since: int
    fresh: bool = True
    whole: bool = False
    key: str | None = None
    guesses: int = 0
    """That were wrong."""


@dataclass(slots=True)
class _Cutting:
    """One text on its way through.

    `at`: how far it was looked at. `inner`: the brackets between that and the last cut that are open.
    """

    body: bytes
    stop: Stop
    at: int = 0
    stack: list[_Open] = field(default_factory=list)
    inner: list[tuple[bytes, int]] = field(default_factory=list)

    def value(self) -> Value:
        """Raises InputRefused with line and column."""
        body = self.body
        start = len(body) - len(body.lstrip(_BLANKS))
        kind = body[start : start + 1]
        if kind not in _BRACKETS:
            return parse(body.decode())  # a single text or number
        root = _Open(kind, [] if kind == b"[" else {}, start + 1)
        self.stack.append(root)
        self.at = start + 1
        while self.stack:
            here = self.stack[-1]
            if self.inner or here.whole or here.guesses >= _WRONG_MAX or not self._guessed(here):
                self._scan()
        if body[self.at :].strip(_BLANKS):
            raise self._refused(self.at, "trailing characters")
        return root.value

    def take_down(self) -> None:
        """Give back in portions what was put together: all at once keeps others waiting."""
        for one in self.stack:
            if isinstance(one.value, list):
                while one.value:
                    del one.value[-_PORTION:]

    def _guessed(self, here: _Open) -> bool:
        """Return whether a cut was found without a look at each token.

        If a piece from one cut to a comma is a list of whole values, that comma is a cut: no value
        that begins at the first can end elsewhere.
        """
        body, since = self.body, here.since
        end = since + PIECE_BYTES
        if end >= len(body):
            return False
        first = body[since : since + 64].lstrip(_BLANKS)[:1]
        wanted = _ENDS.get(first, b",") if here.kind == b"[" else b","
        for _ in range(_GUESSES):
            end = body.rfind(wanted, since, end)
            cut = end + len(wanted) - 1
            if end <= since:
                break
            try:
                found: Value = msgspec.json.decode(here.kind + body[since:cut] + _BRACKETS[here.kind])
            except (ValueError, RecursionError):
                continue
            self.stop()
            self._keep(here, found, since, cut)
            self.at = here.since = cut + 1
            here.fresh, here.guesses = False, 0
            return True
        here.guesses += 1
        return False

    def _scan(self) -> None:
        """Look at tokens up to the next cut."""
        body, here, inner = self.body, self.stack[-1], self.inner
        limit = here.since + PIECE_BYTES
        for match in _TOKENS.finditer(body, self.at):
            start = match.start()
            token = body[start]
            if token == _COMMA:
                if not inner and (here.whole or start >= limit):
                    self._flush(here, start)
                    self.at = here.since = match.end()
                    here.fresh = here.whole = False
                    return
            elif token in _OPENING:
                inner.append((body[start : start + 1], start))
                if len(inner) + len(self.stack) > VALUE_DEPTH_MAX:
                    raise self._refused(start, f"nested more than {VALUE_DEPTH_MAX} deep")
            elif token != _QUOTE:
                self.at = match.end()
                if not inner:
                    self._close(here, body[start : start + 1], start)
                    return
                kind, _ = inner.pop()
                if _BRACKETS[kind] != body[start : start + 1]:
                    raise self._refused(start, "a bracket is closed by another one")
            if inner and start >= limit:
                self.at = match.end()
                self._enter(here)
                return
        raise self._refused(len(body), "it ends too early")

    def _enter(self, here: _Open) -> None:
        """The outermost bracket in a piece that grew too large is put together of pieces, too."""
        kind, start = self.inner.pop(0)
        before = self.body[here.since : start].rstrip(_BLANKS)
        if here.whole:
            raise self._refused(start, "a comma is missing")
        if here.kind == b"{":
            before, here.key = self._key(before, here.since)
        if before:
            if not before.endswith(b","):
                raise self._refused(start, "a comma is missing")
            self._add(here, before[:-1], here.since)
        self.stack.append(_Open(kind, [] if kind == b"[" else {}, start + 1))

    def _key(self, before: bytes, offset: int) -> tuple[bytes, str]:
        """Return what stands before the last key, and that key."""
        if not before.endswith(b":"):
            raise self._refused(offset + len(before), "expected a key")
        cut = self._last_text_of(before)
        key = self._decoded(before[cut:-1].strip(_BLANKS), offset + cut)
        if not isinstance(key, str):
            raise self._refused(offset + cut, "expected a key")
        return before[:cut].rstrip(_BLANKS), key

    def _last_text_of(self, before: bytes) -> int:
        last = 0
        for token in _TOKENS.finditer(before):
            if token[0][:1] == b'"':
                last = token.start()
        return last

    def _close(self, here: _Open, token: bytes, start: int) -> None:
        if _BRACKETS[here.kind] != token:
            raise self._refused(start, "a bracket is closed by another one")
        self._flush(here, start, last=True)
        self.stack.pop()
        if self.stack:
            outer = self.stack[-1]
            if isinstance(outer.value, dict):
                assert outer.key is not None
                outer.value[outer.key] = here.value
            elif isinstance(outer.value, list):
                outer.value.append(here.value)
            outer.since, outer.fresh, outer.whole, outer.key = self.at, False, True, None

    def _flush(self, here: _Open, end: int, *, last: bool = False) -> None:
        """Decode what stands before a comma or the end."""
        piece = self.body[here.since : end]
        if not piece.strip(_BLANKS):
            if here.whole or (last and here.fresh):
                return
            raise self._refused(end, "expected a value")
        if here.whole:
            raise self._refused(here.since, "a comma is missing")
        self._add(here, piece, here.since)

    def _add(self, here: _Open, piece: bytes, offset: int) -> None:
        found = self._decoded(here.kind + piece + _BRACKETS[here.kind], offset - 1)
        self._keep(here, found, offset, offset + len(piece))

    def _keep(self, here: _Open, found: Value, start: int, end: int) -> None:
        """Put the values of a piece to those before."""
        if not found:
            raise self._refused(start, "expected a value")
        if _LONG_NUMBER.search(self.body, start, end) and beyond_64_bits(found) is not None:
            raise self._refused(start, "an integer beyond 64 bits")
        if isinstance(here.value, list) and isinstance(found, list):
            here.value += found
        elif isinstance(here.value, dict) and isinstance(found, dict):
            here.value |= found

    def _decoded(self, piece: bytes, offset: int) -> Value:
        """Decode one piece by itself. `offset` is where it begins in the text."""
        self.stop()
        try:
            value: Value = msgspec.json.decode(piece)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            found = re.search(r"\(byte (\d+)\)", str(error))
            said = str(error).removeprefix("JSON is malformed: ").partition(" (byte")[0]
            raise self._refused(offset + (int(found[1]) if found else 0), said) from error
        return value

    def _refused(self, at: int, why: str) -> InputRefused:
        before = self.body[: max(at, 0)].decode("utf-8", "replace")
        row, column = line_number(before, len(before)), column_number(before, len(before))
        return InputRefused(
            f"input text, line {row}, column {column}: {why}", hint="see json.org for the language"
        )
