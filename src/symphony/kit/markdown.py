"""Reads Markdown into tokens, in a time that grows with its size and not with its square."""

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_RULE: Final = re.compile(r":?-+:?")
_RULE_LINE: Final = re.compile(r"[-:| \t]+")
_PIPE: Final = re.compile(r"(?<!\\)\|")


def tokens_of(text: str) -> "Sequence[Token]":
    """Return the tokens of a page: CommonMark with tables, of which every cell is an `inline` token.

    Rows are not filled up with the cells that they lack, as the library's own rule does: a narrow row
    under each of many columns would make of a small page very many cells.
    """
    from markdown_it import MarkdownIt

    reader = MarkdownIt("commonmark")
    reader.core.ruler.after("block", "cells", _part_tables)
    return reader.parse(text)


def _part_tables(state: "StateCore") -> None:
    """Put the cells of tables, which are paragraphs by now, in place of their text."""
    parted: list[Token] = []
    in_paragraph = False
    for token in state.tokens:
        if token.type == "inline" and in_paragraph and token.map and "|" in token.content:
            parted += _cells_of(token, token.map[0])
        else:
            parted.append(token)
        in_paragraph = token.type == "paragraph_open"
    state.tokens = parted


def _cells_of(paragraph: "Token", line: int) -> "Iterator[Token]":
    """Yield a paragraph as it was, or what stands before a table in it, and then the table's cells."""
    rows = paragraph.content.split("\n")
    head, columns = _table(rows)
    if not columns:
        yield paragraph
        return
    if head:
        yield _inline(paragraph, "\n".join(rows[:head]), line)
    for number, row in enumerate(rows[head:], start=head):
        if number != head + 1:  # the one of dashes
            for cell in _split(row)[:columns]:
                yield _inline(paragraph, cell.replace("\\|", "|"), line + number)


def _table(rows: Sequence[str]) -> tuple[int, int]:
    """Return the number of the row that heads a table, and its columns; no columns if there is no table."""
    for number, row in enumerate(rows[1:]):
        if _RULE_LINE.fullmatch(row) and "|" in rows[number]:
            rules = _split(row)
            if rules and all(map(_RULE.fullmatch, rules)) and len(_split(rows[number])) == len(rules):
                return number, len(rules)
    return 0, 0


def _split(row: str) -> list[str]:
    """Return the cells of a row; a backslash keeps a pipe in its cell."""
    cells = [cell.strip() for cell in _PIPE.split(row.strip())]
    if cells and not cells[0]:
        del cells[0]
    if cells and not cells[-1]:
        del cells[-1]
    return cells


def _inline(like: "Token", content: str, line: int) -> "Token":
    return like.copy(content=content, map=[line, line + content.count("\n") + 1], children=[])
