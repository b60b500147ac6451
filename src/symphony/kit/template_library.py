"""Finds templates: a project's, the home's, and those that ship with Symphony."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Final, Literal, TypeAlias

from symphony.commons.errors import SymphonyError
from symphony.commons.logging import logger
from symphony.commons.ownership import distrusted
from symphony.workflow.document_reading import DocumentReading
from symphony.workflow.documents import UnknownFormat
from symphony.workflow.files import read
from symphony.workflow.model import NAME
from symphony.workflow.problems import Problem, ValidationReport
from symphony.workflow.templates import WorkflowTemplate, is_template, read_template

PROJECT_FOLDER: Final = "symphony-templates"
"""The name of the folder, here or in the nearest folder above, with a project's templates."""
HOME_FOLDER: Final = "templates"
SUFFIXES: Final = (".yaml", ".yml", ".toml", ".json")
FILES_MAX: Final = 1_000

Origin: TypeAlias = Literal["project", "home", "symphony", "file"]

log = logger(__name__)


class TemplateNotFound(SymphonyError):
    """No template has this name."""

    code = "template-not-found"


class TemplateInvalid(SymphonyError):
    """A template cannot be used; `report` holds every problem, `path` is its file."""

    code = "template-invalid"

    def __init__(self, report: ValidationReport, path: Path) -> None:
        first = report.errors[0]
        more = f" (and {len(report.errors) - 1} more)" if len(report.errors) > 1 else ""
        super().__init__(f"{path}: {first.place}: {first.message}{more}", hint=first.hint)
        self.report, self.path = report, path


@dataclass(frozen=True, slots=True)
class LibraryEntry:
    """One template that was found. Without `template`, `problems` say why it cannot be used.

    `shadows`: a template of this name ships with Symphony, and this one takes its place.
    """

    name: str
    path: Path
    origin: Origin
    template: WorkflowTemplate | None
    problems: tuple[Problem, ...] = ()
    shadows: bool = False


def folders(home: Path | None, start: Path) -> list[tuple[Origin, Path]]:
    """Return where to look, the nearest first: of two templates with one name the first counts.

    A folder that belongs to another user, or that others may write to, is passed over with a warning.
    """
    found: list[tuple[Origin, Path]] = []
    for parent in (start, *start.parents):
        if _is_safe(parent / PROJECT_FOLDER):
            found.append(("project", parent / PROJECT_FOLDER))
            break
    if home is not None and _is_safe(home / HOME_FOLDER):
        found.append(("home", home / HOME_FOLDER))
    found.append(("symphony", _shipped()))
    return found


def _shipped() -> Path:
    return Path(str(resources.files("symphony.kit") / "templates"))


def _is_safe(folder: Path) -> bool:
    if not folder.is_dir():
        return False
    if (why := distrusted(folder)) is not None:
        log.warning(f"the templates in {folder} are not used: {why}")
        return False
    return True


def all_templates(places: Sequence[tuple[Origin, Path]]) -> list[LibraryEntry]:
    """Return every template in `places`, by name; broken ones too. Files that are no templates are left
    out.
    """
    found: dict[str, LibraryEntry] = {}
    for origin, folder in places:
        for path in _files(folder):
            entry = _entry(path, origin)
            if entry is None:
                continue
            if path.stem not in found:
                found[path.stem] = entry
            elif origin == "symphony":
                found[path.stem] = replace(found[path.stem], shadows=True)
    return [found[name] for name in sorted(found)]


def find_template(name: str, places: Sequence[tuple[Origin, Path]]) -> LibraryEntry:
    """Return the template called `name`, or in the file `name`.

    Raises TemplateNotFound, TemplateInvalid; WorkflowNotFound and UnknownFormat for a file.
    """
    if name.endswith(SUFFIXES) or "/" in name or "\\" in name:
        if not name.lower().endswith(SUFFIXES):
            hint = f"use one of {', '.join(SUFFIXES)}"
            raise UnknownFormat(
                f"the ending of {Path(name).name!r} does not name a format for templates", hint=hint
            )
        return _usable(LibraryEntry(Path(name).stem, Path(name), "file", *_read(Path(name))))
    for origin, folder in places:
        for path in _files(folder):
            if path.stem == name and (entry := _entry(path, origin)) is not None:
                shadows = origin != "symphony" and any(one.stem == name for one in _files(_shipped()))
                return _usable(replace(entry, shadows=shadows))
    from difflib import get_close_matches

    known = [entry.name for entry in all_templates(places)]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}?" if close else "`symphony template list` names them all"
    raise TemplateNotFound(f"there is no template {name[:60]!r}", hint=hint)


def _files(folder: Path) -> Iterator[Path]:
    try:
        names = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    except OSError:
        return
    for path in names[:FILES_MAX]:
        if NAME.fullmatch(path.stem) and path.is_file():
            yield path


def _entry(path: Path, origin: Origin) -> LibraryEntry | None:
    try:
        reading = read(path)
    except SymphonyError:
        return None
    if reading.workflow is not None and not is_template(reading.workflow):
        return None
    return LibraryEntry(path.stem, path, origin, *_template(reading))


def _read(path: Path) -> tuple[WorkflowTemplate | None, tuple[Problem, ...]]:
    return _template(read(path))


def _template(reading: DocumentReading) -> tuple[WorkflowTemplate | None, tuple[Problem, ...]]:
    if reading.problems or reading.workflow is None or not isinstance(reading.tree, dict):
        return None, reading.problems
    template, problems = read_template(reading.workflow, reading.tree)
    return template, tuple(reading.located(problem) for problem in problems)


def _usable(entry: LibraryEntry) -> LibraryEntry:
    if entry.template is None:
        raise TemplateInvalid(ValidationReport(errors=entry.problems), entry.path)
    return entry
