"""Finds the workflow files that a command line means: files, folders with files below them, and stdin."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from symphony.cli.console.blocks import STDIN, SourceText
from symphony.cli.console.failures import BadUsage
from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import read_bounded
from symphony.workflow.documents import BYTES_MAX, UnknownFormat, format_of, parse

DEFAULT: Final = "workflow"
"""The name of the file that is meant where none is named, before its ending."""
_DEFAULT_BYTES_MAX: Final = 1 << 20
_LOOKED_AT_MAX: Final = 200
_LISTED_MAX: Final = 8
_GRAPH_KEYS: Final = ("nodes", "steps")
_GRAPH_LINE: Final = re.compile(
    rb"""^["']?(?:nodes|steps)["']?\s*:|^\s*\[\s*(?:nodes|steps)\b""", re.MULTILINE
)


class Named(msgspec.Struct, frozen=True):
    """The files that an argument names: `one` if it can only name one, whatever lies in a folder."""

    files: Sequence[Path]
    one: bool


def workflow_files(given: Sequence[Path]) -> Named:
    """Return the files that `given` names, in order and each once; of folders the workflows below them.

    Hidden folders, and links to folders, are passed over, and so are files without nodes. Raises
    BadUsage for a folder without any workflow, IoFailed.
    """
    if len(given) == 1 and not given[0].is_dir():
        return Named(given, one=True)
    found: dict[Path, None] = {}
    for path in given:
        inside = list(_below(path)) if path.is_dir() else [path]
        if not inside:
            raise BadUsage(
                f"there is no workflow in {path}", hint="workflows are files with nodes: see symphony init"
            )
        found.update(dict.fromkeys(inside))
    return Named(tuple(found), one=False)


def workflow_here(given: Path | None) -> Path:
    """Return the file that was typed, or else `workflow.yaml` (or of another format) here, or the only
    workflow.

    Raises BadUsage if there is none, or several.
    """
    if given is not None:
        return given
    return _default()


def runnable(given: Path | None) -> Path:
    """`workflow_here` where nodes may follow. Raises BadUsage also for a node in place of a file."""
    if given is None or given.suffix or given == STDIN or given.exists():
        return workflow_here(given)
    try:
        file = _default()
    except BadUsage:
        return given  # which is not found
    raise BadUsage(f"there is no file {given}", hint=f"for a node of {file}: symphony run {file} {given}")


def _default() -> Path:
    files = _documents(Path())
    named = [file for file in files if file.name.partition(".")[0] == DEFAULT]
    if len(files) > _LOOKED_AT_MAX and not named:
        raise BadUsage("there are too many files here to find a workflow", hint="name a FILE")
    found = named or _workflows(files)
    if len(found) == 1:
        return found[0]
    if found:
        raise BadUsage(f"there are several workflows here: {_listed(found)}", hint="name one of them as FILE")
    raise BadUsage("there is no workflow here", hint="name a FILE, or begin one: symphony init")


def _documents(folder: Path) -> list[Path]:
    """Return the files in `folder` whose names say that they may be workflows, by name."""
    files = [folder / name for name in sorted(os.listdir(folder)) if name[0] != "."]  # noqa: PTH208  (names)
    return [file for file in files if is_document(file) and file.is_file()]


def _workflows(files: Sequence[Path]) -> list[Path]:
    return [file for file in files if _holds_workflow(file, limit=_DEFAULT_BYTES_MAX)]


def _listed(found: Sequence[Path]) -> str:
    return ", ".join(map(str, found[:_LISTED_MAX])) + (", …" if len(found) > _LISTED_MAX else "")


def instead_of(path: Path) -> str | None:
    """Return a hint with the workflows in the folder `path`, or beside the `path` that is no file.

    None if there are none, or too many files to look at.
    """
    try:
        folder = path if path.is_dir() else path.parent
        files = _documents(folder)
    except OSError:  # the name may be too long, too
        return None
    found = [] if len(files) > _LOOKED_AT_MAX else _workflows(files)
    if not found:
        return None
    stems = {file.stem: file for file in reversed(found)}
    from difflib import get_close_matches  # only for an error

    if folder != path and (near := get_close_matches(path.stem, stems, n=1)):
        return f"did you mean {stems[near[0]]}?"
    where = "here" if folder == Path() else "there"
    return f"name a file; the workflows {where}: {_listed(found)}"


def is_document(path: Path) -> bool:
    """Return whether the name of the file ends as those of workflows do."""
    try:
        format_of(path)
    except UnknownFormat:
        return False
    return True


def given_body(path: Path) -> bytes | None:
    """Return all of stdin if `path` is `-`; None for a file, which is yet to be read."""
    return stdin_body() if path == STDIN else None


def source_text(path: Path, body: bytes | None) -> SourceText:
    """Return what problems of the document point into; `body` as `given_body` gives it."""
    return SourceText.of(path) if body is None else SourceText.of_stdin(body)


def stdin_body() -> bytes:
    """Return all of stdin, up to one byte more than a document may have."""
    return sys.stdin.buffer.read(BYTES_MAX + 1)


def _below(folder: Path) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        raise IoFailed.of(error, f"look into {folder}")

    for place, folders, names in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from filter(_holds_workflow, (Path(place, name) for name in sorted(names)))


def _holds_workflow(path: Path, *, limit: int | None = None) -> bool:
    """True if `symphony run` would take the file, right or wrong. Its name and its keys tell.

    A file of more than `limit` bytes is not one.
    """
    try:
        kind = format_of(path)
        body = read_bounded(path, BYTES_MAX if limit is None else limit)
    except UnknownFormat:
        return False
    except SymphonyError:  # too large, or not readable: its own report says so
        return limit is None
    document = parse(body, kind)
    if isinstance(document.tree, Mapping):
        return any(key in document.tree for key in _GRAPH_KEYS)
    return not kind.binary and _GRAPH_LINE.search(body) is not None
