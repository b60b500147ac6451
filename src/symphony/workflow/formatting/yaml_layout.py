"""Changes the layout of a YAML text: lines move and change their indentation, but not their content.

Comments move with the line that they are above or beside; those at the end of a level stay there.
Anything written in an unusual way (keys marked by `?`, comments within values) keeps its lines as they
are.
"""

import re
from dataclasses import dataclass
from typing import Final

from symphony.commons.lines import unified
from symphony.workflow.formatting.shapes import KeyShape
from symphony.workflow.formatting.yaml_nodes import Lines, Unusual, YamlNode, root_of

_STEP: Final = 2
_AFTER: Final = re.compile(r"(\s*)(?:(?<=\s)(#.*))?")
_COLON: Final = re.compile(r"\s*:(?=\s|$)")
_DASHES: Final = re.compile(r"[ -]*")


def laid_out(text: str, shape: KeyShape) -> str:
    """Return `text`, the YAML of a document of this `shape`, in canonical layout."""
    text = unified(text)
    root = root_of(text)
    made = _Layout(Lines(text))
    lines = made.document(root, shape) if root.block else made.as_it_is(root)
    return "\n".join(lines) + "\n"


@dataclass(slots=True)
class _Entry:
    """One key with its value, or one element. `row` is its first line, `limit` the one after its last.

    `above` are the comments and blank lines over it, `head` what begins its first line, and `after`
    the column behind that.
    """

    row: int
    limit: int
    above: list[str]
    head: str
    after: int
    value: YamlNode
    key: str | int


class _Layout:
    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def as_it_is(self, root: YamlNode) -> list[str]:
        """Return all lines unchanged, but for trailing spaces that no value depends on."""
        if root.kind == "scalar":
            return list(self._lines.all)
        return _without_end([line.rstrip() for line in self._lines.all])

    def document(self, root: YamlNode, shape: KeyShape) -> list[str]:
        """Return the lines of the whole text."""
        lines, first = self._lines, self._lines.row(root.start)
        try:
            begin = self._header(first)
            header = _gap(lines.all[:begin], 0, keep=True)
            while header and not header[0]:
                header.pop(0)
            made = self._block(root, shape, 0, begin, len(lines.all), top=True)
            while made and not made[0] and not (header and header[-1]):
                made.pop(0)
            return [*header, *made]
        except Unusual:
            return list(lines.all)

    def _header(self, first: int) -> int:
        """Return how many lines stay at the top: all above the first key, but not the last of several
        paragraphs.
        """
        blank = [row for row in range(first) if not self._lines.all[row].strip()]
        return blank[-1] + 1 if blank and blank[-1] > 0 else first

    # ---- levels -------------------------------------------------------------------------------

    def _block(
        self, node: YamlNode, shape: KeyShape, at: int, first: int, limit: int, *, top: bool = False
    ) -> list[str]:
        """Return the lines of a list or map in the column `at`. It has the lines from `first` to `limit`."""
        entries, rest = self._entries(node, first, limit, top)
        keys = [str(entry.key) for entry in entries]
        order = shape.sorted(keys) if node.kind == "map" else range(len(entries))
        made: list[str] = []
        for place in order:
            entry = entries[place]
            above = _gap(entry.above, at, keep=bool(made) or top)
            if not made and not (top and first):
                while above and not above[0]:
                    above.pop(0)
            lines = self._entry(entry, self._column(node), shape.of(entry.key), at)
            made += [*above, *lines]
        below = _gap(rest, at, keep=True)
        return made + (_without_end(below) if top else below)

    def _column(self, node: YamlNode) -> int:
        return self._lines.column(node.start)

    def _entries(self, node: YamlNode, first: int, limit: int, top: bool) -> tuple[list[_Entry], list[str]]:
        """Return the entries of a list or map, and the comments below the last one. Raises Unusual."""
        lines, column = self._lines, self._column(node)
        heads = self._heads(node, column)
        entries: list[_Entry] = []
        begin = first
        for number, (row, head, after) in enumerate(heads):
            value = node.items[number]
            above = lines.all[begin:row] if begin < row else []
            last = max(lines.last_row(value, column, row), row)
            end = heads[number + 1][0] if number + 1 < len(heads) else limit
            if any(not lines.is_gap(gap) for gap in range(last + 1, end)) and not (top and end == limit):
                raise Unusual
            begin = self._inner_end(last + 1, end, column) if value.block else last + 1
            key: str | int = node.keys[number].text if node.keys else number
            entries.append(_Entry(row, begin, above, head, after, value, key))
        return entries, lines.all[begin:limit]

    def _heads(self, node: YamlNode, column: int) -> list[tuple[int, str, int]]:
        """Return each entry's row, the mark that begins it, and the column behind that. Raises Unusual."""
        lines, found = self._lines, list[tuple[int, str, int]]()
        for number, item in enumerate(node.items):
            if node.kind == "map":
                key = node.keys[number]
                row, begin = lines.row(key.start), lines.column(key.start)
                line, end = lines.all[row], lines.column(key.end)
                colon = _COLON.match(line, end)
                if key.kind != "scalar" or begin != column or lines.row(key.end) != row or colon is None:
                    raise Unusual
                found.append((row, f"{line[begin:end]}:", colon.end()))
            else:
                found.append((self._dash(item, column, found[-1][0] if found else -1), "-", column + 1))
        rows = [row for row, _, _ in found]
        if sorted(set(rows)) != rows:
            raise Unusual
        return found

    def _dash(self, item: YamlNode, column: int, before: int) -> int:
        """Return the row of the dash of an element. Raises Unusual."""
        lines = self._lines
        for row in range(lines.row(item.start), before, -1):
            line = lines.all[row]
            if line[column : column + 1] == "-" and _DASHES.fullmatch(line, 0, column):
                return row
            if row < lines.row(item.start) and not lines.is_gap(row):
                break
        raise Unusual

    def _inner_end(self, begin: int, end: int, column: int) -> int:
        """Return the row behind the last comment that belongs to an entry, because it is indented more."""
        inner = begin
        for row in range(begin, end):
            line = self._lines.all[row]
            if line.strip():
                if len(line) - len(line.lstrip()) <= column:
                    break
                inner = row + 1
        return inner

    # ---- entries ------------------------------------------------------------------------------

    def _entry(self, entry: _Entry, column: int, shape: KeyShape, at: int) -> list[str]:
        """Return the lines of one entry, whose head goes into the column `at`."""
        try:
            return self._laid_out(entry, column, shape, at)
        except Unusual:
            return self._shifted(entry.row, entry.limit, column, at)

    def _shifted(self, row: int, limit: int, column: int, at: int) -> list[str]:
        """Return lines with only their indentation changed; the first one starts at `column`."""
        first, *others = self._lines.all[row:limit]
        return [" " * at + first[column:].rstrip(), *(_moved(line, at - column) for line in others)]

    def _laid_out(self, entry: _Entry, column: int, shape: KeyShape, at: int) -> list[str]:
        lines, value = self._lines, entry.value
        head, line = " " * at + entry.head, lines.all[entry.row]
        if value.empty:
            return [head + _comment(line, entry.after)]
        row, begin = lines.row(value.start), lines.column(value.start)
        if value.block:
            return self._below(entry, shape, head, at, row)
        if any(lines.all[gap].strip() for gap in range(entry.row + 1, row)) or (
            row > entry.row and line[entry.after :].strip()
        ):
            raise Unusual
        if value.literal:
            return self._literal(value, head, column, at)
        last, end = lines.row(value.end), lines.column(value.end)
        comment = _comment(lines.all[last], end)
        if row == last:
            return [f"{head} {self._inline(value, shape)}{comment}"]
        if row == entry.row:
            return [f"{head} {lines.all[row][begin:]}", *self._moved(row + 1, last, at - column)]
        margin = " " * (at + _STEP)
        moved = self._moved(row + 1, last, at + _STEP - begin)
        return [head, margin + lines.all[row][begin:], *moved]

    def _moved(self, first: int, last: int, by: int) -> list[str]:
        return [_moved(line, by) for line in self._lines.all[first : last + 1]]

    def _below(self, entry: _Entry, shape: KeyShape, head: str, at: int, row: int) -> list[str]:
        """Return the lines of a list or map below its key, or behind its dash."""
        lines, value = self._lines, entry.value
        line = lines.all[entry.row]
        if isinstance(entry.key, str):
            inner = self._block(value, shape, at + _STEP, entry.row + 1, entry.limit)
            return [head + _comment(line, entry.after), *inner]
        if row == entry.row:
            above, first = "", row
        else:
            above, first = _comment(line, entry.after).strip(), entry.row + 1
        inner = self._block(value, shape, at + _STEP, first, entry.limit)
        comments = [" " * at + above] if above else []
        while inner and inner[0].lstrip().startswith("#"):
            comments.append(" " * at + inner.pop(0).strip())
        while inner and not inner[0]:
            inner.pop(0)
        if not inner:
            raise Unusual
        return [*comments, f"{head} {inner[0][at + _STEP :]}", *inner[1:]]

    def _literal(self, value: YamlNode, head: str, column: int, at: int) -> list[str]:
        """Return the lines of a block scalar, two columns further in unless it gives its own indentation."""
        lines = self._lines
        row, begin = lines.row(value.start), lines.column(value.start)
        sign = lines.all[row][begin:].rstrip()
        first, last, margin = lines.literal_rows(value, column)
        digits = re.match(r"[|>][-+]?[0-9]", sign)
        to = " " * (margin - column + at if digits else at + _STEP)
        texts = [lines.all[at_row] for at_row in range(first, last + 1)]
        return [
            f"{head} {sign}",
            *("" if len(t) <= max(margin, 0) and not t.strip(" ") else to + t[margin:] for t in texts),
        ]

    def _inline(self, node: YamlNode, shape: KeyShape) -> str:
        """Return a value on one line: scalars as they are, lists and maps with the usual spacing."""
        text = self._lines.text
        if node.kind == "scalar":
            return text[node.start : node.end]
        whole = text[node.start : node.end].rstrip()
        if whole[0] not in "{[" or any(item.empty for item in (*node.items, *node.keys)):
            return whole
        if node.kind == "list":
            return f"[{', '.join(self._inline(item, shape.of(at)) for at, item in enumerate(node.items))}]"
        pairs = [
            f"{self._inline(key, shape)}: {self._inline(item, shape.of(key.text))}"
            for key, item in zip(node.keys, node.items, strict=True)
        ]
        return "{" + ", ".join(pairs[at] for at in shape.sorted(key.text for key in node.keys)) + "}"


def _gap(lines: list[str], at: int, *, keep: bool) -> list[str]:
    """Return the comments, moved to the column `at`, with at most one blank line between them if blank
    lines are kept.
    """
    made: list[str] = []
    for line in lines:
        text = line.strip()
        if text:
            made.append((" " * at if text.startswith("#") else "") + text)
        elif keep and not (made and not made[-1]):
            made.append("")
    return made


def _without_end(lines: list[str]) -> list[str]:
    """Return `lines` without the blank ones at the end."""
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _comment(line: str, end: int) -> str:
    """Return the comment behind a value, at least two spaces away, as comments may be aligned. Raises
    Unusual for anything else.

    Raises Unusual for anything else.
    """
    found = _AFTER.fullmatch(line, end)
    if found is None:
        raise Unusual
    return " " * max(len(found[1]), 2) + found[2].rstrip() if found[2] else ""


def _moved(line: str, by: int) -> str:
    """Return one line of a multi-line value, moved right or left."""
    if not line.strip(" "):
        return line
    blanks = len(line) - len(line.lstrip(" "))
    return " " * max(blanks + by, 0) + line[blanks:]
