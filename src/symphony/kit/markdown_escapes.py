"""Texts and values put into Markdown so that it shows them as they are. Pure; no operators here."""

import re
from typing import Final

_MARKS: Final = re.compile(r"(?<=[^\W_])_+(?=[^\W_])|([\\`*_{}\[\]<>#|~]|&(?=#?[0-9A-Za-z]+;))")
"""Marks, as a group; an underscore within a word is none. Source: CommonMark 0.31, "Emphasis"."""


def markdown_text(value: object) -> str:
    """Return `value` so that Markdown, in a table too, shows it as it is: on one line, its marks escaped."""
    return _MARKS.sub(_escape, " ".join(str(value).split()))


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[1] is None else f"\\{found[1]}"


def markdown_code(value: object) -> str:
    """Return `value` as a code span on one line, whatever backquotes it holds."""
    text = " ".join(str(value).split())
    if not text:
        return ""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence, room = "`" * (longest + 1), " " if text[0] == "`" or text[-1] == "`" else ""
    return f"{fence}{room}{text}{room}{fence}"


def markdown_cell(value: object) -> str:
    """Markdown without the bars that would end a cell of a table; for what `code` made."""
    return str(value).replace("|", "\\|")


def html_comment(value: object) -> str:
    """Return `value` without what ends a comment of HTML: every end has a `>` in it."""
    return str(value).replace(">", "&gt;")
