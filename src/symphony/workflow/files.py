"""Reads, checks and writes workflow files. The only part of this package that touches a disk."""

import contextlib
import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

from symphony.commons.collector import seldom_collected, uncollected
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import FileTooLarge, read_bounded, read_text_bounded
from symphony.workflow.catalog import Catalog, OwnOperators
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.documents import (
    BYTES_MAX,
    Document,
    Format,
    UnknownFormat,
    format_named,
    format_of_file,
    packed,
    parse,
)
from symphony.workflow.fields import Fields
from symphony.workflow.model import NODES_MAX, Workflow
from symphony.workflow.problems import Findings, Problem, ValidationReport, WorkflowInvalid
from symphony.workflow.schema import read_tree
from symphony.workflow.spelling import write_tree

if TYPE_CHECKING:
    from symphony.workflow.validation import Checked

ReadOperators: TypeAlias = Callable[[Path, Sequence[str]], OwnOperators]
"""Returns what the files that a workflow names, in its folder, define."""

_TEMPLATE_BYTES_MAX = 4 * 1024 * 1024
_BESIDE_MAX = 10_000
_LOOKED_UP_MAX = 20
_PYTHON_FILES_MAX = 100
_PYTHON_BYTES_MAX = 256 * 1024
_SUFFIXES = (".yaml", ".yml", ".toml", ".json", ".msgpack", ".bincode")


CHECK_PATH: Final = "check the path"


class WorkflowNotFound(SymphonyError):
    """The workflow file cannot be read."""

    code = "workflow-not-found"


def read(path: Path | str, *, nodes_max: int = NODES_MAX) -> DocumentReading:
    """Read as much of the file as possible: everything that is wrong inside comes back as problems.

    Raises WorkflowNotFound for what cannot be read as a file, UnknownFormat for an unknown extension.
    """
    path = Path(path)
    try:
        body = read_bounded(path, BYTES_MAX)
    except FileTooLarge:
        message, hint = (
            f"the file has more than {BYTES_MAX // 2**20} MiB",
            "keep large values in files of their own",
        )
        return DocumentReading(None, (Problem(code="limit-exceeded", place="", message=message, hint=hint),))
    except SymphonyError as error:
        raise unreadable(path, error) from None
    except ValueError:
        raise WorkflowNotFound(f"{str(path)!r} is not a path", hint=CHECK_PATH) from None
    return read_bytes(body, format_of_file(path, body), nodes_max=nodes_max)


def unreadable(path: Path, error: SymphonyError) -> WorkflowNotFound:
    """Return the error for a `path` that could not be read. If it is a pipe, the hint names stdin."""
    hint = CHECK_PATH
    with contextlib.suppress(OSError):  # a name that is too long cannot be looked at either
        if path.is_fifo():
            hint = "to read a pipe: - in place of the file, with stdin from it"
    return WorkflowNotFound(error.message, details=error.details, hint=hint)


def read_bytes(body: bytes, kind: Format, *, nodes_max: int = NODES_MAX) -> DocumentReading:
    """Read a document in memory, as `read` reads a file."""
    with seldom_collected:
        return _reading(body, kind, nodes_max)


def _reading(body: bytes, kind: Format, nodes_max: int) -> DocumentReading:
    document = parse(body, kind)
    if not document.readable:
        return DocumentReading(None, document.problems, positions=document.positions, body=body)
    fields = Fields(nodes_max=nodes_max, binary=kind.binary, indented=kind.name == "yaml")
    workflow = read_tree(document.tree, fields)
    found = _merged(document, fields)
    reading = DocumentReading(
        workflow, found, frozenset(fields.broken), document.positions, fields.aliases, document.tree, body
    )
    return reading if not found else _ordered(reading)


def _ordered(reading: DocumentReading) -> DocumentReading:
    """Return the reading with its problems located and sorted by their place in the document."""
    located = [reading.located(problem) for problem in reading.problems]
    return DocumentReading(
        reading.workflow, _in_order(located), reading.broken, reading.positions, reading.aliases
    )


def _merged(document: Document, fields: Fields) -> tuple[Problem, ...]:
    """Return the problems of text and of structure. What the text lost is not reported a second time."""
    if not document.problems:
        return tuple(fields.findings.found)
    findings = Findings()
    findings.extend(document.problems)
    touched = {problem.place for problem in document.problems}
    findings.extend(p for p in fields.findings.found if p.code != "missing-input" or p.place not in touched)
    return tuple(findings.found)


def load(path: Path | str) -> Workflow:
    """Return the workflow in a file, if its structure is sound. `check_file` checks its meaning too.

    Raises WorkflowInvalid with every problem, WorkflowNotFound, UnknownFormat.
    """
    return _sound(read(path), Path(path))


def loads(data: bytes | str, format: str) -> Workflow:  # named as in `json` and `tomllib`
    """Return the workflow in a text, if its structure is sound. Raises WorkflowInvalid, UnknownFormat."""
    kind = format_named(format)
    # A lone surrogate becomes bytes that are not UTF-8, which is reported as in a file.
    body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else bytes(data)
    return _sound(read_bytes(body, kind), None)


def _sound(reading: DocumentReading, path: Path | None) -> Workflow:
    if reading.problems or reading.workflow is None:
        raise WorkflowInvalid(ValidationReport(errors=reading.problems), path)
    return reading.workflow


def dumps(workflow: Workflow, format: str, *, compressed: bool = False, derived: bool = True) -> bytes:
    """Return the canonical document in one of `FORMATS`, packed with Zstandard if `compressed`.

    JSON shows derived edges too, unless `derived` is false: they are most of a large document, and only
    programs that read no expressions need them. Reading it back gives an equal workflow. Raises
    UnknownFormat, and SerializationFailed if the workflow holds what is not a value.
    """
    kind = format_named(format)
    with seldom_collected:
        body = kind.write(write_tree(workflow, derived=derived and kind.derived_edges, binary=kind.binary))
    return packed(body) if compressed else body


_UNUSED: Final = ("unused-input", "orphan")


class Resolver:
    """Finds the sub-workflows that a file refers to. Every file is read once.

    Calling it gives the workflow, or None if there is none; it raises WorkflowInvalid for one that is
    broken, and WorkflowRecursive for one that is being read already. `path` is that of the file itself,
    behind all links: whatever lies beside a workflow lies beside that. `operators` reads the files of
    operators in a folder; without it, what they define is unknown.
    """

    def __init__(
        self,
        path: Path,
        above: tuple[Path, ...] = (),
        known: dict[Path, DocumentReading | None] | None = None,
        operators: ReadOperators | None = None,
        asked: set[Path] | None = None,
    ) -> None:
        self.path = Path(os.path.realpath(path))  # which leaves links that form a cycle as they are
        self.above = (*above, self.path)
        self._known = known if known is not None else {}
        self._operators = operators
        self._defining: dict[str, str | None] = {}
        self.asked: set[Path] = set() if asked is None else asked
        """Every file that was looked for, there or not."""

    def own_operators(self, files: Sequence[str]) -> OwnOperators:
        """Return the operators defined by the files that a workflow here names under `operators`."""
        if self._operators is None:
            return OwnOperators(partial=tuple(files))
        self.asked.update(self.path.parent / file for file in files if "\0" not in file)
        return self._operators(self.path.parent, files)

    def defining(self, operator: str) -> str | None:
        """Return the Python file beside this one that defines an operator of that name, judged by its text.

        Only the first few names asked for are looked up.
        """
        if operator not in self._defining and len(self._defining) < _LOOKED_UP_MAX:
            self._defining[operator] = self._look_up(operator)
        return self._defining.get(operator)

    def _look_up(self, operator: str) -> str | None:
        folder, word = self.path.parent, operator.rpartition(".")[2].encode()
        if self._operators is None:
            return None
        try:
            with os.scandir(folder) as entries:
                names = sorted(one.name for one in islice(entries, _BESIDE_MAX) if one.name.endswith(".py"))
        except OSError:
            return None
        for name in names[:_PYTHON_FILES_MAX]:
            try:
                body = read_bounded(folder / name, _PYTHON_BYTES_MAX)
            except SymphonyError:
                continue
            # Only a file that has the word is parsed.
            if word in body and operator in self._operators(folder, [name]).operators:
                return name
        return None

    def locate(self, reference: str) -> Path | None:
        """Return the file that a reference names: beside this one, with or without its extension."""
        if "\0" in reference:
            return None
        try:
            named = self.path.parent / reference
            tried = (named, *(named.with_name(named.name + suffix) for suffix in _SUFFIXES if named.name))
            self.asked.update(tried)
            return next((path.resolve() for path in tried if path.is_file()), None)
        except (OSError, RuntimeError, ValueError):
            return None  # the name is too long, or links form a cycle

    def __call__(self, reference: str) -> Workflow | None:
        """Return the workflow that `reference` names. Raises as the class says."""
        from symphony.workflow.validation import WorkflowRecursive

        path = self.locate(reference)
        if path is None:
            return None
        if path in self.above:
            message, hint = (
                f"{reference} leads back to {path.name}",
                "a workflow cannot contain itself: use a loop",
            )
            raise WorkflowRecursive(message, hint=hint)
        reading = self.reading(path)
        return None if reading is None else _sound(reading, path)

    def reading(self, path: Path) -> DocumentReading | None:
        """Return what could be read of one file; None if there is no such file."""
        if path not in self._known:
            try:
                self._known[path] = read(path)
            except SymphonyError:
                self._known[path] = None
        return self._known[path]

    def where(self, reference: str, problem: Problem) -> str:
        """Return the name that messages use for the file of a reference, with the line and column of a
        problem in it.
        """
        path = self.locate(reference)
        reading = None if path is None else self.reading(path)
        if path is None or reading is None:
            return reference
        try:
            name = os.path.relpath(path, self.path.parent)
        except ValueError:  # on another drive
            name = str(path)
        found = reading.located(problem)
        return name if found.line is None else f"{name}:{found.line}:{found.column}"

    def child(self, reference: str) -> "Resolver":
        """Return the resolver for the references inside a sub-workflow."""
        return Resolver(
            self.locate(reference) or self.path.parent / reference, self.above, self._known, self._operators,
            self.asked,
        )  # fmt: skip

    def template(self, name: str) -> str | None:
        """Return the text of a template beside the workflow, None for one that is very large.

        Raises SymphonyError if it cannot be read.
        """
        if not name or "\0" in name:
            raise WorkflowNotFound("the name is empty, or holds the character NUL")
        path = self.path.parent / name
        self.asked.add(path)
        try:
            return read_text_bounded(path, _TEMPLATE_BYTES_MAX)
        except FileTooLarge:
            return None


def resolver_for(path: Path | str, operators: ReadOperators | None = None) -> Resolver:
    """Return a resolver for the sub-workflows of the file at `path` and for its own operators."""
    return Resolver(Path(path), operators=operators)


def check_file(
    path: Path | str, catalog: Catalog | None = None, resolver: Resolver | None = None
) -> tuple[Workflow | None, ValidationReport]:
    """Structure and meaning of a file: every problem, with line and column, in document order.

    The workflow is what could be read; run it only if the report is ok. `resolver` has then seen
    every sub-workflow as it was checked. Raises WorkflowNotFound, UnknownFormat.
    """
    found = checked_file(path, catalog, resolver)
    return found.workflow, found.report


def checked_file(
    path: Path | str, catalog: Catalog | None = None, resolver: Resolver | None = None
) -> "Checked":
    """`check_file`, with what was worked out on the way: a run is prepared from that."""
    path = Path(path)
    with uncollected():
        return _checked(read(path), path, catalog, resolver)


def check_bytes(
    body: bytes, path: Path | str, catalog: Catalog | None = None, resolver: Resolver | None = None
) -> tuple[Workflow | None, ValidationReport]:
    """`check_file` for a document in memory, which would be the file `path`: sub-workflows lie beside that.

    What neither the name nor the content tells to be of another format is YAML.
    """
    found = checked_bytes(body, path, catalog, resolver)
    return found.workflow, found.report


def checked_bytes(
    body: bytes, path: Path | str, catalog: Catalog | None = None, resolver: Resolver | None = None
) -> "Checked":
    """`check_bytes`, with what was worked out on the way: a run is prepared from that."""
    path = Path(path)
    with uncollected():
        return _checked(read_bytes(body, format_of_bytes(path, body)), path, catalog, resolver)


def format_of_bytes(path: Path, body: bytes) -> Format:
    """Return the format that the extension of `path` names, or else the document `body`; without
    either, YAML.
    """
    try:
        return format_of_file(path, body)
    except UnknownFormat:
        return format_named("yaml")


def _checked(
    reading: DocumentReading, path: Path, catalog: Catalog | None, resolver: Resolver | None
) -> "Checked":
    from symphony.workflow.compiled import Compilation
    from symphony.workflow.validation import Checked, check

    if reading.workflow is None:
        return Checked(None, ValidationReport(errors=reading.problems), Compilation())
    resolve = resolver or Resolver(path)
    made = check(reading.workflow, catalog, resolve=resolve, broken=reading.broken, source=str(path))
    errors = (*made.report.errors, *_of_template(reading))
    report = checked(reading, msgspec.structs.replace(made.report, errors=errors))
    return Checked(reading.workflow, report, made.compilation, reading)


def _of_template(reading: DocumentReading) -> tuple[Problem, ...]:
    """Return the problems of the parameters of a workflow that is a template."""
    workflow = reading.workflow
    if workflow is None or reading.problems or not workflow.metadata or not isinstance(reading.tree, dict):
        return ()
    from symphony.workflow.templates import is_template, read_template

    return read_template(workflow, reading.tree)[1] if is_template(workflow) else ()


def checked(reading: DocumentReading, found: ValidationReport) -> ValidationReport:
    """Return what validation found, together with what reading found, located and in document order."""
    told = {(problem.code, problem.place) for problem in reading.problems}
    more = [reading.located(p) for p in found.errors if (p.code, p.place) not in told]
    # What could not be read may be what reads an input or a node.
    unsure = _UNUSED if reading.problems else ()
    warnings = [reading.located(p) for p in found.warnings if p.code not in unsure]
    return ValidationReport(errors=_in_order([*reading.problems, *more]), warnings=_in_order(warnings))


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.line or 0, p.column or 0)))
