"""Finds and loads the files of operators that a workflow names in its own folder."""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import PathEscapes, within
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.loading import load_source, read_source
from symphony.sdk.operators import Operator
from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.problems import did_you_mean

_LISTED_MAX: Final = 1_000


def beside(folder: Path, name: str) -> Path:
    """Return the file that a workflow in `folder` names, inside it. Raises OperatorsNotLoaded if there
    is none.
    """
    if not name.strip():
        raise OperatorsNotLoaded("the name of the file is empty", hint="write operators: [FILE.py]")
    try:
        file = within(folder, name)
        is_file = file.is_file()
    except PathEscapes as error:
        raise OperatorsNotLoaded(error.message, hint="keep operators in the workflow's folder") from error
    except (IoFailed, OSError) as error:
        raise OperatorsNotLoaded(f"{name} cannot be read: {_reason(error)}", hint="check the path") from error
    if is_file:
        return file
    if file.exists():
        raise OperatorsNotLoaded(f"{name} is not a file", hint="name a Python file")
    hint = did_you_mean(name, _files(folder), f"it is looked up beside the workflow, in {folder}")
    raise OperatorsNotLoaded(f"there is no file {name}", hint=hint)


def _reason(error: IoFailed | OSError) -> str:
    if isinstance(error, IoFailed):
        return error.message.rpartition(": ")[2]
    return error.strerror or str(error)


def _files(folder: Path) -> Iterator[str]:
    """Return the Python files that may have been meant."""
    try:
        found = [file.name for file in folder.glob("*.py")]
    except OSError:
        return
    yield from sorted(found)[:_LISTED_MAX]


def taken(one: str, name: str, origins: Mapping[str, str]) -> str | None:
    """Return why an operator `one` of the file `name` cannot have its name; `origins` has those of
    other files.
    """
    if one in builtin_catalog().operators:
        return f"{name} defines {one}, which ships with Symphony"
    if one in origins:
        return f"{name} defines {one}, and so does {origins[one]}"
    return None


def load_beside(folder: Path, names: Collection[str]) -> dict[str, Operator]:
    """Run the files that a workflow in `folder` names, and return the operators that they define.

    A file that has not changed since this process ran it is not run again. Raises OperatorsNotLoaded,
    OperatorInvalid.
    """
    found: dict[str, Operator] = {}
    origins: dict[str, str] = {}
    for name in names:
        file = beside(folder, name)
        for operator in load_once(file):
            one = operator.info.name
            if (twice := taken(one, name, origins)) is not None:
                raise OperatorsNotLoaded(twice, hint="give it another name")
            found[one], origins[one] = operator, name
    return found


_loaded: dict[tuple[Path, str], tuple[Operator, ...]] = {}


def load_once(file: Path) -> tuple[Operator, ...]:
    """Return the operators of a file, which is run unless this process has run it as it is."""
    source = read_source(file)
    key = (file, hashlib.sha256(source).hexdigest())
    if key not in _loaded:
        _loaded[key] = tuple(load_source(str(file), source))
    return _loaded[key]
