"""One readable block for every error: what, where, the source line with a caret, and what to do."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from symphony.cli.console.output import paint, shown
from symphony.commons.lines import lines_of
from symphony.commons.widths import columns

if TYPE_CHECKING:
    from symphony.workflow.problems import Problem, ValidationReport

STDIN: Final = Path("-")
STDIN_NAME: Final = "<stdin>"
_SOURCE_BYTES_MAX: Final = 16 * 1024 * 1024
_PROBLEMS_MAX: Final = 50
_WARNINGS_MAX: Final = 5
_BEFORE_CARET: Final = 30


class BlockPage(msgspec.Struct, frozen=True, kw_only=True):
    """The page that a block is made for: its width in columns, with colours or not."""

    width: int = 80
    colours: bool = False


class SourceText(msgspec.Struct, frozen=True):
    """The text that problems point into. `lines` is empty if there is nothing to show."""

    name: str
    lines: Sequence[str] = msgspec.field(default_factory=list)

    @classmethod
    def named(cls, path: Path) -> "SourceText":
        """Return a source without its text, named relative to here if it lies below; `-` is stdin."""
        if path == STDIN:
            return cls(STDIN_NAME)
        try:
            name = os.path.relpath(path)
        except (OSError, ValueError):  # no current folder; another drive
            return cls(str(path))
        return cls(str(path) if name.startswith("..") else name)

    def at(self, place: str, line: int | None, column: int | None) -> str:
        """Return how a place in it is named: `words.yaml:12:3 (nodes.count)`."""
        position = "" if line is None else f":{line}" if column is None else f":{line}:{column}"
        return f"{self.name}{position} ({place})" if place else f"{self.name}{position}"

    @classmethod
    def of_stdin(cls, body: bytes) -> "SourceText":
        """Return the document that was read from stdin."""
        return cls(STDIN_NAME, lines_of(body.decode("utf-8", "replace")))

    @classmethod
    def of(cls, path: Path) -> "SourceText":
        """Return the source in `path`; never raises."""
        from symphony.workflow.documents.compression import unpacked
        from symphony.workflow.documents.tree import SyntaxProblem

        name = cls.named(path).name
        try:
            with path.open("rb") as file:
                body = file.read(_SOURCE_BYTES_MAX)
                body = unpacked(body)
        except (OSError, SyntaxProblem):  # a packed text that is cut off or damaged has no lines to show
            return cls(name)
        return cls(name, lines_of(body.decode("utf-8", "replace")))


def problem_block(
    problem: "Problem", page: BlockPage, *, source: SourceText | None = None, warning: bool = False
) -> str:
    """One problem of a workflow file."""
    where = problem.place
    if source is not None:
        where = source.at(problem.place, problem.line, problem.column)
    lines = [_headline("warning" if warning else "error", problem.code, problem.message, page)]
    if where:
        lines.append(_pointer(where, page))
    if source is not None and problem.line is not None and 0 < problem.line <= len(source.lines):
        lines += _excerpt(source.lines[problem.line - 1], problem.line, problem.column, page)
    if problem.hint:
        lines.append(_advice(problem.hint, page))
    return "\n".join(lines) + "\n"


def report_blocks(report: "ValidationReport", page: BlockPage, *, source: SourceText | None = None) -> str:
    """Return every error and warning, in order; after the first 50 only how many more there are."""
    found = [(problem, False) for problem in report.errors] + [(problem, True) for problem in report.warnings]
    blocks = [problem_block(p, page, source=source, warning=warning) for p, warning in found[:_PROBLEMS_MAX]]
    if len(found) > _PROBLEMS_MAX:
        blocks.append(
            f"… and {len(found) - _PROBLEMS_MAX:,} more: `symphony validate FILE --json` lists them all\n"
        )
    return "\n".join(blocks)


def warning_lines(report: "ValidationReport", *, source: SourceText) -> str:
    """Warnings on a workflow that is going to run anyway: a line each, and only a few."""
    lines = []
    for problem in report.warnings[:_WARNINGS_MAX]:
        where = source.name + (f":{problem.line}" if problem.line is not None else "")
        lines.append(f"warning[{shown(problem.code)}]: {shown(where)}: {shown(problem.message)}\n")
    more = len(report.warnings) - _WARNINGS_MAX
    if more > 0:
        lines.append(f"… and {more:,} more warnings: `symphony validate FILE` shows them\n")
    return "".join(lines)


def error_block(
    code: str,
    message: str,
    page: BlockPage,
    *,
    hint: str | None = None,
    where: str | None = None,
    also: Sequence[tuple[str, str | None]] = (),
    warning: bool = False,
) -> str:
    """One error or warning that belongs to no file. `also`: other causes of it, each with its place."""
    lines = [_headline("warning" if warning else "error", code, message, page)]
    if where:
        lines.append(_pointer(where, page))
    for cause, place in also:
        lines.append(f"  also {_indented(cause, 7)}")
        if place and place != where:
            lines.append(_pointer(place, page))
        where = place or where
    if hint:
        lines.append(_advice(hint, page))
    return "\n".join(lines) + "\n"


def _headline(kind: str, code: str, message: str, page: BlockPage) -> str:
    label = f"{kind}[{shown(code)}]" if code else kind
    text = _indented(message, 4)
    return f"{paint(label, 'bold', 'yellow' if kind == 'warning' else 'red', on=page.colours)}: {text}"


def _advice(hint: str, page: BlockPage) -> str:
    text = _indented(hint, 8)
    return f"  {paint('hint:', 'cyan', on=page.colours)} {text}"


def _pointer(where: str, page: BlockPage) -> str:
    return f"  {paint('-->', 'blue', on=page.colours)} {shown(where)}"


def _indented(text: str, by: int) -> str:
    """Return the text with its further lines moved to the right."""
    return shown(text.strip(), lines=True).replace("\n", "\n" + " " * by)


def _excerpt(line: str, number: int, column: int | None, page: BlockPage) -> list[str]:
    """Return the line under a gutter, cut around the caret where it is longer than the page."""
    gutter = f"{number:>5}"
    room = max(10, page.width - len(gutter) - 4)
    at = min(max((column or 1) - 1, 0), len(line))
    start = max(0, at - _BEFORE_CARET) if columns(line[: room + 1]) > room else 0
    before = ("…" if start else "") + shown(line[start:at])
    # A whole document may be one line of megabytes: no more of it is looked at than can be shown.
    text = _shortened(before + shown(line[at : at + room + 1]), room)
    bar = paint("|", "blue", on=page.colours)
    rows = [f"{gutter} {bar} {text}"]
    if column is not None:
        rows.append(
            f"{' ' * len(gutter)} {bar} {' ' * columns(before)}{paint('^', 'bold', 'red', on=page.colours)}"
        )
    return rows


def _shortened(text: str, room: int) -> str:
    """Return `text` without its last columns where it is wider than `room`; blanks are kept."""
    return text.rstrip() if columns(text) <= room else _cut(text, room - 1) + "…"


def _cut(text: str, room: int) -> str:
    kept: list[str] = []
    for character in text:
        room -= columns(character)
        if room < 0:
            break
        kept.append(character)
    return "".join(kept)
