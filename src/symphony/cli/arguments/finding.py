"""Which workflow files a command line means: files, folders with files below them, and stdin."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from symphony.cli.console.failures import BadUsage
from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import read_bounded
from symphony.workflow.documents import BYTES_MAX, UnknownFormat, format_of, parse

STDIN: Final = Path("-")
_GRAPH_KEYS: Final = ("nodes", "steps")
_GRAPH_LINE: Final = re.compile(
    rb"""^["']?(?:nodes|steps)["']?\s*:|^\s*\[\s*(?:nodes|steps)\b""", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Named:
    """What was typed, as files: `one` if it can only be one, whatever lies in a folder."""

    files: Sequence[Path]
    one: bool


def workflow_files(given: Sequence[Path]) -> Named:
    """The files that `given` names, in order and each once; of folders the workflows below them.

    Hidden folders, and links to folders, are passed over, and so are files without nodes. Raises BadUsage
    for a folder without any workflow, IoFailed.
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


def stdin_body() -> bytes:
    """All of stdin, up to one byte more than a document may have."""
    return sys.stdin.buffer.read(BYTES_MAX + 1)


def _below(folder: Path) -> Iterator[Path]:
    def refused(error: OSError) -> None:
        raise IoFailed.of(error, f"look into {folder}")

    for place, folders, names in os.walk(folder, onerror=refused):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from filter(_holds_workflow, (Path(place, name) for name in sorted(names)))


def _holds_workflow(path: Path) -> bool:
    """Is the file one that `symphony run` would take, right or wrong? Its name and its keys tell."""
    try:
        kind = format_of(path)
        body = read_bounded(path, BYTES_MAX)
    except UnknownFormat:
        return False
    except SymphonyError:  # too large, or not readable: its own report says so
        return True
    document = parse(body, kind)
    if isinstance(document.tree, Mapping):
        return any(key in document.tree for key in _GRAPH_KEYS)
    return not kind.binary and _GRAPH_LINE.search(body) is not None
