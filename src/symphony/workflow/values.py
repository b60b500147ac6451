"""Values as documents spell them: bytes as `{"$bytes": base64}`, keys that begin with `$` doubled. Pure."""

from collections.abc import Mapping
from math import isfinite

from symphony.commons.errors import SerializationFailed
from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ipc.values import BYTES_KEY, spelled_bytes, unspelled_bytes
from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree
from symphony.workflow.problems import Findings, child, shown


def plain(tree: Tree, room: int, marker: str = "$") -> bool:
    """True if `tree` is a value as it is, nested at most `room` deep. Most are, and are not copied.

    No key may begin with `marker`, which has a meaning; it is empty in binary formats.
    """
    kind = type(tree)
    if isinstance(tree, list) and room > 0:
        for item in tree:
            inner = type(item)
            if inner is str or (inner is int and INTEGER_MIN <= item <= INTEGER_MAX):
                continue  # a recursive call takes longer than all the rest
            if not plain(item, room - 1, marker):
                return False
        return True
    if kind is str or kind is bool or tree is None:
        return True
    if kind is int:
        return INTEGER_MIN <= tree <= INTEGER_MAX  # type: ignore[operator]  # mypy does not know `type(x) is`
    if kind is float:
        return isfinite(tree)  # type: ignore[arg-type]  # as above
    if isinstance(tree, dict) and room > 0:
        for key, item in tree.items():
            if type(key) is not str or (marker and key[:1] == marker):
                return False
            if type(item) is not str and not plain(item, room - 1, marker):
                return False
        return True
    return kind is bytes and not marker


def value_of(
    tree: Tree, place: str, findings: Findings, room: int, *, literal: bool = False, binary: bool = False
) -> Value:
    """Return the value that `tree` spells. Anything that is not a value is reported and becomes null.

    `room` is how deep it may nest. `literal` trees come from Python: tuples are lists, and texts may
    hold what no file can. In them, and in those of `binary` formats, `$` means nothing.
    """
    return _Unspelling(findings, literal=literal, binary=binary).value(tree, place, room)


class _Unspelling:
    def __init__(self, findings: Findings, *, literal: bool, binary: bool) -> None:
        self.findings, self.literal = findings, literal
        self.marked = not (literal or binary)  # where `$` has a meaning

    def value(self, tree: Tree, place: str, room: int) -> Value:
        if tree is None or isinstance(tree, bool | bytes):
            return tree
        if isinstance(tree, str):
            return self._text(tree, place)
        if isinstance(tree, int | float):
            return self._number(tree, place)
        if isinstance(tree, dict | list) or (self.literal and isinstance(tree, tuple)):
            if room <= 0:
                message, hint = (
                    "the value is nested too deeply",
                    "flatten it, or keep it in a file of its own",
                )
                self.findings.add("limit-exceeded", place, message, hint)
                return None
            if isinstance(tree, dict):
                return self._map(tree, place, room - 1)
            return [self.value(item, child(place, i), room - 1) for i, item in enumerate(tree)]
        self._wrong(place, f"{shown(tree)} is no value", "write it as text")
        return None

    def _wrong(self, place: str, message: str, hint: str) -> None:
        self.findings.add("type-mismatch", place, message, hint)

    def _text(self, text: str, place: str) -> str:
        if self.literal:
            try:
                text.encode()
            except UnicodeEncodeError:
                self._wrong(
                    place, f"{shown(text)} is not Unicode text", "decode the bytes, or give them as bytes"
                )
        return text

    def _number(self, number: int | float, place: str) -> int | float | None:
        if isinstance(number, int):
            if INTEGER_MIN <= number <= INTEGER_MAX:
                return int(number)
            self._wrong(
                place,
                "an integer beyond 64 bits is not a value",
                "write it as text, or as a double (1.0e+30)",
            )
        elif isfinite(number):
            return float(number)
        else:
            self._wrong(place, "a number that is not finite is not a value", "write null or text")
        return None

    def _map(self, tree: Mapping[str, Tree], place: str, room: int) -> Value:
        if self.marked and len(tree) == 1 and BYTES_KEY in tree:
            return self._bytes(tree[BYTES_KEY], place)
        out: dict[str, Value] = {}
        for key, item in tree.items():
            at = child(place, str(key))
            if type(key) is not str:
                self._wrong(place, f"a key must be text, not {shown(key)}", "put it in quotes")
            elif not self.marked:
                out[self._text(key, at)] = self.value(item, at, room)
            elif key[:1] == "$" and key[:2] != "$$":
                hint = f"for a literal key, double the dollar: ${key}"
                self._wrong(at, f"the key {shown(key)} means nothing here", hint)
            else:
                out[key.removeprefix("$")] = self.value(item, at, room)
        return out

    def _bytes(self, tree: Tree, place: str) -> bytes | None:
        try:
            return unspelled_bytes(tree)
        except ValueError:
            self._wrong(
                place, "$bytes must be base64", 'write {"$bytes": "AAEC"}; double the $ for a literal key'
            )
            return None


def spelled(value: Value, room: int = 100) -> Tree:
    """Return `value` as text formats spell it. Raises SerializationFailed for something that is not a
    value.
    """
    if type(value) is str or plain(value, room):
        return value
    if isinstance(value, bytes):
        return {**spelled_bytes(value)}
    if room <= 0 or not isinstance(value, list | dict):
        raise _no_value(value)
    if isinstance(value, list):
        return [spelled(item, room - 1) for item in value]
    return {f"${key}" if key[:1] == "$" else key: spelled(item, room - 1) for key, item in value.items()}


def unspelled(value: Value) -> Tree:
    """Return `value` itself, as binary formats carry it. Raises SerializationFailed if it is not a value."""
    if not plain(value, 100, ""):
        raise _no_value(value)
    return value


def _no_value(value: object) -> SerializationFailed:
    return SerializationFailed(
        f"{shown(value)} cannot be written: it is not a value, or it is nested too deeply",
        hint="values are null, booleans, 64-bit integers, finite doubles, text, bytes, lists and maps",
    )
