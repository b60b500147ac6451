"""`symphony validate --watch`: validates again whenever a file changes that counts."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from symphony.app import spelling
from symphony.cli.actions.validating import FileVerdict, refused, verdict_told
from symphony.cli.arguments.files import resolver
from symphony.cli.arguments.finding import Named, workflow_files
from symphony.cli.console import output
from symphony.cli.console.blocks import STDIN
from symphony.cli.console.failures import BadUsage
from symphony.commons.changes import SeenFiles, settled
from symphony.commons.errors import SymphonyError
from symphony.commons.moments import iso
from symphony.commons.time import SystemClock

if TYPE_CHECKING:
    from symphony.workflow.catalog import Catalog, OperatorInfo

_POLL_S: Final = 0.25
_SHARE: Final = 10
"""Looking at many files takes at most one part in so many of the time."""
_NAMED_MAX: Final = 3
_ENDINGS: Final = (".yaml", ".yml", ".toml", ".json")


def pause() -> None:
    """Wait a moment, until files are looked at again."""
    time.sleep(_POLL_S)


def watch(
    given: Sequence[Path],
    catalog: "Catalog",
    operators: Sequence[Path],
    *,
    as_json: bool,
    wait: Callable[[], None] = pause,
) -> NoReturn:
    """Validate what `given` names, and again after each change, until `wait` raises something.

    Files of operators are read, not run. Raises SymphonyError for what is not there at the beginning.
    """
    if STDIN in given:
        raise BadUsage("stdin cannot be watched", hint="name files or folders")
    missing = next((path for path in given if not path.exists()), None)
    if missing is not None:
        raise BadUsage(f"there is no {missing}", hint="check the path")
    told = "validating"
    while True:
        seen, listed = SeenFiles(), _listed(given)
        named = _named(given, listed, seen)
        _round(told, named, _catalog(catalog, operators, seen), seen, as_json=as_json)
        if told == "validating":
            there = sum(path.exists() for path in seen)
            output.note(f"watching {output.count(there, 'file')}; end with Ctrl-C")
        told = _told(_next_change(given, listed, seen, wait))


def _named(given: Sequence[Path], listed: frozenset[Path], seen: SeenFiles) -> Named:
    """Return the files that are meant now: of a folder, perhaps none."""
    seen.update(path for path in given if not path.is_dir())
    seen.update(path for path in listed if path in given or not path.name.lower().endswith(".json"))
    try:
        named = workflow_files(given)
    except SymphonyError:
        return Named([path for path in given if not path.is_dir()], one=False)
    seen.update(named.files)
    return named


def _catalog(
    catalog: "Catalog", operators: Sequence[Path], seen: SeenFiles
) -> "Catalog | tuple[SymphonyError, Path]":
    """Return the catalogue with what files of operators define, or the first of these that is wrong."""
    from symphony.sdk.reading.files import read_file

    found: dict[str, OperatorInfo] = {}
    partial: list[str] = []
    for path in operators:
        seen.add(path)
        try:
            read = read_file(path)
        except SymphonyError as error:
            return error, path
        found |= read.infos
        partial += [str(path)] * read.partial
    if not operators:
        return catalog
    return msgspec.structs.replace(
        catalog, operators={**catalog.operators, **found}, partial=(*catalog.partial, *partial)
    )


def _round(
    told: str,
    named: Named,
    catalog: "Catalog | tuple[SymphonyError, Path]",
    seen: SeenFiles,
    *,
    as_json: bool,
) -> None:
    """Validate all files once and say what was found, with the time."""
    now_s = SystemClock.now_s()
    if not as_json:
        output.say(f"{output.moment(now_s)} {told}\n")
    verdicts: list[FileVerdict] = []
    if isinstance(catalog, tuple):
        verdicts.append(refused(catalog[0], catalog[1]))
        if not as_json:
            output.say(verdicts[0].text)
    else:
        for path in named.files:
            resolve = resolver(path)
            resolve.asked = seen
            verdicts.append(verdict_told(path, catalog, resolve, as_json=as_json))
    if as_json:
        document: Mapping[str, spelling.JSON] = {
            "at": iso(now_s),
            "files": [one.document for one in verdicts],
        }
        output.say_json(document, line=True)
    elif not verdicts:
        output.say("there is no workflow\n")
    output.flush()


def _next_change(
    given: Sequence[Path], listed: frozenset[Path], seen: SeenFiles, wait: Callable[[], None]
) -> list[Path]:
    """Wait for a change, and until what changes has come to rest; the files that changed."""
    took_s = 0.0
    while True:
        for _ in range(1 + int(took_s * _SHARE / _POLL_S)):
            wait()
        begun = time.monotonic()
        changed = sorted({*seen.changed(), *(listed ^ _listed(given))})
        took_s = time.monotonic() - begun
        if changed:
            for _ in settled(changed):
                wait()
            return changed


def _listed(given: Sequence[Path]) -> frozenset[Path]:
    """Return the files among `given`, and below folders those whose names are of texts that may be
    workflows.
    """
    found: set[Path] = {path for path in given if path.is_file()}
    for path in given:
        for folder, inside, names in os.walk(path):
            inside[:] = [name for name in inside if not name.startswith(".")]
            found.update(Path(folder, name) for name in names if name.lower().endswith(_ENDINGS))
    return frozenset(found)


def _told(changed: Sequence[Path]) -> str:
    names = [f"{_short(path)}{'' if path.exists() else ' (gone)'}" for path in changed[:_NAMED_MAX]]
    more = f" and {len(changed) - _NAMED_MAX} more" if len(changed) > _NAMED_MAX else ""
    return f"changed: {', '.join(names)}{more}"


def _short(path: Path) -> str:
    """Return the path as it is typed here, if it is below this folder."""
    cwd = Path.cwd()
    return output.shown(str(path.relative_to(cwd) if path.is_relative_to(cwd) else path))
