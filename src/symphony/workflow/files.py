"""Workflow files: read, checked, written. The only part of this package that touches a disk."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.workflow.catalog import Catalog
from symphony.workflow.documents import BYTES_MAX, Format, Position, format_named, format_of, parse
from symphony.workflow.fields import Fields
from symphony.workflow.model import Workflow
from symphony.workflow.problems import Problem, ValidationReport
from symphony.workflow.schema import read_tree
from symphony.workflow.spelling import write_tree


class WorkflowInvalid(SymphonyError):
    """A workflow that cannot be used; `report` holds every problem."""

    code = "workflow-invalid"

    def __init__(self, report: ValidationReport, source: str | None = None) -> None:
        first = report.errors[0]
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        where = f"{source or 'the workflow'}: {first.place}: " if first.place else f"{source or 'the workflow'}: "
        super().__init__(f"{where}{first.message}{more}", hint=first.hint)
        self.report = report
        self.source = source


class WorkflowNotFound(SymphonyError):
    """The workflow file cannot be read."""

    code = "workflow-not-found"


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a document. `broken`: nodes that are there but could not be read."""

    workflow: Workflow | None
    problems: tuple[Problem, ...]
    locate: Callable[[str], Position | None] = field(default=lambda place: None)
    broken: frozenset[str] = frozenset()


def read(path: Path | str) -> Reading:
    """Best effort: everything that is wrong inside comes back as problems.

    Raises WorkflowNotFound if there is no such file, UnknownFormat for an unknown ending.
    """
    path = Path(path)
    kind = format_of(path)
    return read_bytes(_bytes_of(path), kind)


def read_bytes(data: bytes, kind: Format) -> Reading:
    """`read` for a document in memory."""
    document = parse(data, kind)
    fields = Fields()
    workflow = None
    if document.tree is not None or not document.problems:
        workflow = read_tree(document.tree, fields)
    problems = (*document.problems, *fields.problems)
    located = tuple(locate(problem, document.locate) for problem in problems)
    return Reading(workflow, located, document.locate, frozenset(fields.broken))


def locate(problem: Problem, position: Callable[[str], Position | None]) -> Problem:
    """The problem with line and column: those of its place, or of the nearest one around it."""
    if problem.line is not None:
        return problem
    place = problem.place
    while (found := position(place)) is None and place:
        cut = max(place.rfind("."), place.rfind("["))
        place = place[: max(cut, 0)]
    return problem if found is None else msgspec.structs.replace(problem, line=found[0], column=found[1])


def _bytes_of(path: Path) -> bytes:
    try:
        return read_bounded(path, BYTES_MAX)
    except FileTooLarge:
        problem = Problem(
            code="limit-exceeded", place="", message=f"the file has more than {BYTES_MAX} bytes",
            hint="move large values into files of their own",
        )  # fmt: skip
        raise WorkflowInvalid(ValidationReport(errors=(problem,)), str(path)) from None
    except (OSError, SymphonyError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise WorkflowNotFound(f"cannot read {path}: {why}", hint="check the path") from None


def load(path: Path | str) -> Workflow:
    """The workflow in a file. Raises WorkflowInvalid, WorkflowNotFound, UnknownFormat."""
    return _sound(read(path), str(path))


def loads(data: bytes | str, format: str) -> Workflow:
    """The workflow in a text. Raises WorkflowInvalid, UnknownFormat."""
    body = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
    return _sound(read_bytes(body, format_named(format)), None)


def _sound(reading: Reading, source: str | None) -> Workflow:
    if reading.problems or reading.workflow is None:
        raise WorkflowInvalid(ValidationReport(errors=reading.problems), source)
    return reading.workflow


def dumps(workflow: Workflow, format: str) -> bytes:
    """The canonical document; JSON shows derived edges too. Raises UnknownFormat."""
    kind = format_named(format)
    return kind.write(write_tree(workflow, derived=format in ("json", "pretty-json"), null=kind.null))


class Resolver:
    """Finds sub-workflows beside a file. Calling it gives a Workflow, or None if there is none.

    Raises WorkflowInvalid for a broken one and WorkflowRecursive when it leads back to a file
    that is being read.
    """

    def __init__(self, path: Path, above: tuple[Path, ...] = ()) -> None:
        self.path = path.resolve()
        self.above = (*above, self.path)

    def locate(self, reference: str) -> Path:
        """The file that a reference names."""
        return (self.path.parent / reference).resolve()

    def __call__(self, reference: str) -> Workflow | None:
        from symphony.workflow.validation import WorkflowRecursive

        path = self.locate(reference)
        if path in self.above:
            raise WorkflowRecursive(f"{reference} leads back to {path.name}", hint="a workflow cannot contain itself")
        try:
            return load(path)
        except (WorkflowNotFound, SymphonyError) as error:
            if isinstance(error, WorkflowInvalid):
                raise
            return None

    def child(self, reference: str) -> "Resolver":
        """The resolver for the references inside a sub-workflow."""
        return Resolver(self.locate(reference), self.above)


def check_file(path: Path | str, catalog: Catalog | None = None) -> tuple[Workflow | None, ValidationReport]:
    """Structure and meaning of a file: every problem, with line and column, in document order.

    Raises WorkflowNotFound, UnknownFormat.
    """
    path = Path(path)
    try:
        reading = read(path)
    except WorkflowInvalid as error:
        return None, error.report
    if reading.workflow is None:
        return None, ValidationReport(errors=reading.problems)
    from symphony.workflow.validation import validate

    found = validate(reading.workflow, catalog, resolve=Resolver(path), broken=reading.broken, source=str(path))
    errors = [*reading.problems, *(locate(problem, reading.locate) for problem in found.errors)]
    warnings = [locate(problem, reading.locate) for problem in found.warnings]
    return reading.workflow, ValidationReport(errors=_in_order(errors), warnings=_in_order(warnings))


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(dict.fromkeys(problems), key=lambda p: (p.line or 0, p.column or 0)))
