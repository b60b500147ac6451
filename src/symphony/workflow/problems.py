"""The problems of a workflow and their places: values, and the error that carries them."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError

Code: TypeAlias = Literal[
    "syntax", "unsupported-schema", "unknown-key", "duplicate-name", "reserved-name", "bad-name",
    "unknown-node", "unknown-port", "unknown-operator", "unknown-model", "unknown-workflow",
    "type-mismatch", "missing-input", "bad-expression", "cycle", "limit-exceeded",
    "orphan", "unreachable", "unused-input",
]  # fmt: skip

PROBLEMS_MAX: Final = 1_000
"""The most problems that a report lists. A hostile file could contain millions."""


_KNOWN_MAX = 2_000


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """One problem. `place` is a path such as `nodes.embed.inputs.texts`, empty for the document.

    `line` and `column` count from 1 and are None where the workflow did not come from text.
    """

    code: Code
    place: str
    message: str
    hint: str
    line: int | None = None
    column: int | None = None


class ValidationReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything found, in document order. Warnings do not stop a run."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.errors


class WorkflowInvalid(SymphonyError):
    """A workflow that cannot be used; `report` holds every problem, `path` the file if there is one."""

    code = "workflow-invalid"

    def __init__(self, report: ValidationReport, path: Path | str | None = None) -> None:
        first = report.errors[0]
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        line = "" if first.line is None else f":{first.line}:{first.column}"
        where = ": ".join(part for part in (f"{path or 'the workflow'}{line}", first.place) if part)
        super().__init__(f"{where}: {first.message}{more}", hint=first.hint)
        self.report = report
        self.path = None if path is None else Path(path)

    @property
    def source(self) -> str | None:
        """The file's name, if there is one."""
        return None if self.path is None else str(self.path)


class Findings:
    """Collects problems, at most `PROBLEMS_MAX` and one that says that there are more."""

    def __init__(self) -> None:
        self.found: list[Problem] = []

    @property
    def full(self) -> bool:
        """True if further problems would be left out."""
        return len(self.found) > PROBLEMS_MAX

    def add(
        self, code: Code, place: str, message: str, hint: str, position: tuple[int, int] | None = None
    ) -> None:
        """Add one problem; `position` is its line and column, if already known."""
        if len(self.found) > PROBLEMS_MAX:
            return
        if len(self.found) == PROBLEMS_MAX:
            code, place, position = "limit-exceeded", "", None
            message = f"there are more than {PROBLEMS_MAX:,} problems: the rest is not listed"
            hint = "mend these and check again"
        line, column = position or (None, None)
        self.found.append(
            Problem(code=code, place=place, message=message, hint=hint, line=line, column=column)
        )

    def extend(self, problems: Iterable[Problem]) -> None:
        """Add problems found elsewhere."""
        for problem in problems:
            where = None if problem.line is None or problem.column is None else (problem.line, problem.column)
            self.add(problem.code, problem.place, problem.message, problem.hint, where)


def child(place: str, key: str | int) -> str:
    """Return the place of a map's key, or of a list's element; `place` is that of the map or list."""
    if isinstance(key, int):
        return f"{place}[{key}]"
    return f"{place}.{key}" if place else key


def shown(value: object, width: int = 40) -> str:
    """Return `value` as messages show it: on one line, shortened."""
    if isinstance(value, dict):
        return "a map"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    text = repr(value) if isinstance(value, str | int | float) else type(value).__name__
    return text if len(text) <= width else f"{text[:width]}…"


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """Return a hint with the known word closest to `word`, or else `otherwise`.

    If there are very many known words, the search is skipped: a file may contain thousands of mistakes.
    """
    from difflib import get_close_matches  # imported only after a typo

    words = list(known)
    if len(words) > _KNOWN_MAX:
        return otherwise
    close = get_close_matches(word[:100], words, n=1)
    return f"did you mean {close[0]}?" if close else otherwise
