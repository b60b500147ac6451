"""Writes trees as readable YAML that readers of YAML 1.1 and 1.2 understand the same way."""

import re
from typing import Final

from symphony.workflow.documents.tree import Tree

_FLOW_COLUMNS = 80
_KEY_CHARS_MAX = 500  # libyaml: a key of more than 1,024 bytes must be marked by `?`
_PLAIN = re.compile(r"[^\W\d][^\x00-\x1f\x7f-\x9f,\[\]{}#:\"`\\\u2028\u2029\ufeff]*(?<! )")
_PLAIN_DIGITS = re.compile(r"[0-9]+(?:ms|s|m|h|d)|[0-9]+\.[0-9]+\.[0-9]+(?:[-+][A-Za-z0-9.+-]+)?")
_MISREAD: Final = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_NAMED_ESCAPES: Final = {"\n": "\\n", "\t": "\\t", '"': '\\"', "\\": "\\\\", "\r": "\\r", "\0": "\\0"}


def write(tree: Tree) -> bytes:
    """Return the document that spells `tree`: None, bool, int, float, str, lists and maps with text keys."""
    lines: list[str] = []
    if isinstance(tree, dict) and tree:
        _map(tree, 0, lines)
    elif isinstance(tree, list) and tree:
        _list(tree, 0, lines)
    else:
        lines.append(_scalar(tree))
    return ("\n".join(lines) + "\n").encode()


def _map(tree: dict[str, Tree], indent: int, lines: list[str], first: str | None = None) -> None:
    """The lines of a map that is not empty; `first` stands before its first key in place of blanks."""
    margin = " " * indent
    for key, item in tree.items():
        head = margin if first is None else first
        first = None
        name = _text(key)
        if len(name) > _KEY_CHARS_MAX:
            lines.append(f"{head}? {name}")
            head, name = margin, ""
        _entry(f"{head}{name}:", item, indent, lines)


def _list(tree: list[Tree], indent: int, lines: list[str], first: str | None = None) -> None:
    """The lines of a list that is not empty."""
    margin = " " * indent
    for item in tree:
        head = (margin if first is None else first) + "- "
        first = None
        flow = _flow(item, _FLOW_COLUMNS - indent)
        if isinstance(item, dict) and item:
            _map(item, indent + 2, lines, head)
        elif isinstance(item, list) and flow is None:
            _list(item, indent + 2, lines, head)
        elif isinstance(item, str) and (block := _block(item)):
            _literal(head + block, item, indent + 2, lines)
        else:
            lines.append(head + (flow if flow is not None else _scalar(item)))


def _entry(head: str, item: Tree, indent: int, lines: list[str]) -> None:
    """The value of a map's key, which `head` ends with."""
    if isinstance(item, dict) and item:
        lines.append(head)
        _map(item, indent + 2, lines)
    elif isinstance(item, list) and item:
        flow = _flow(item, _FLOW_COLUMNS - len(head))
        if flow is None:
            lines.append(head)
            _list(item, indent + 2, lines)
        else:
            lines.append(f"{head} {flow}")
    elif isinstance(item, str) and (block := _block(item)):
        _literal(f"{head} {block}", item, indent + 2, lines)
    else:
        lines.append(f"{head} {_scalar(item)}")


def _literal(head: str, text: str, indent: int, lines: list[str]) -> None:
    margin = " " * indent
    lines.append(head)
    lines += [margin + line if line else "" for line in text.removesuffix("\n").split("\n")]


def _block(text: str) -> str | None:
    """Return the sign of a literal block that gives exactly `text` back, if one does and it reads better."""
    if "\n" not in text[:-1] or text[0] in " \t\n":
        return None
    for line in text.split("\n"):
        if not line.isprintable() or (line and (line[0] == "\t" or line.isspace())):
            return None
    if not text.endswith("\n"):
        return "|-"
    return "|+" if text.endswith("\n\n") else "|"


def _flow(tree: Tree, room: int) -> str | None:
    """Return a list on one line, if it has only scalars and such lists, none of many lines, and fits
    `room`.
    """
    if isinstance(tree, dict) and tree:
        return None
    if not isinstance(tree, list):
        return _scalar(tree)
    parts: list[str] = []
    left = room - 2
    for item in tree:
        part = _flow(item, left)
        if part is None:
            return None
        left -= len(part) + 2
        if left < -2 or (isinstance(item, str) and "\n" in item):
            return None
        parts.append(part)
    return f"[{', '.join(parts)}]"


def _scalar(item: Tree) -> str:
    if isinstance(item, str):
        return _text(item)
    if item is None:
        return "null"
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, float):
        digits = repr(item)
        # Readers of YAML 1.1 take `1e+22` for text.
        return digits.replace("e", ".0e") if "e" in digits and "." not in digits else digits
    if isinstance(item, int):
        return str(item)
    return "{}" if isinstance(item, dict) else "[]"


def _text(text: str) -> str:
    """Return `text` plain where every reader takes it for that text, quoted otherwise."""
    if _PLAIN_DIGITS.fullmatch(text):
        return text
    if text.isprintable():
        if _PLAIN.fullmatch(text) and text.lower() not in _MISREAD:
            return text
        if '"' in text or "\\" in text:
            return "'" + text.replace("'", "''") + "'"
        return f'"{text}"'
    return '"' + "".join(char if _stands(char) else _escape(char) for char in text) + '"'


def _stands(char: str) -> bool:
    return char.isprintable() and char not in '"\\'


def _escape(char: str) -> str:
    if char in _NAMED_ESCAPES:
        return _NAMED_ESCAPES[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02X}"
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
