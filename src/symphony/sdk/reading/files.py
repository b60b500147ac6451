"""Files of operators in a folder, which workflows there name: found, read, loaded."""

import functools
import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import PathEscapes, within
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.loading import load_source, read_source
from symphony.sdk.operators import Operator
from symphony.sdk.reading.module import OperatorsRead, read_operators
from symphony.sdk.reading.stand_ins import stand_in
from symphony.workflow.builtin import builtin_catalog
from symphony.workflow.catalog import OperatorInfo, OwnOperators
from symphony.workflow.problems import Code, Problem, did_you_mean

BYTES_MAX: Final = 1 << 20
"""How large a file may be whose text is read."""
_LISTED_MAX: Final = 1_000
_READ_KEPT: Final = 64


def beside(folder: Path, name: str) -> Path:
    """The file that a workflow in `folder` names, inside it. Raises OperatorsNotLoaded if there is none."""
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
        raise OperatorsNotLoaded(f"{name} is no file", hint="name a Python file")
    hint = did_you_mean(name, _files(folder), f"it is looked up beside the workflow, in {folder}")
    raise OperatorsNotLoaded(f"there is no file {name}", hint=hint)


def _reason(error: IoFailed | OSError) -> str:
    if isinstance(error, IoFailed):
        return error.message.rpartition(": ")[2]
    return error.strerror or str(error)


def _files(folder: Path) -> Iterator[str]:
    """Python files that may be meant."""
    try:
        found = [file.name for file in folder.glob("*.py")]
    except OSError:
        return
    yield from sorted(found)[:_LISTED_MAX]


def read_file(file: Path) -> OperatorsRead:
    """The operators that a file defines, which is not run. Raises OperatorsNotLoaded, OperatorInvalid."""
    source = read_source(file)
    if len(source) > BYTES_MAX:
        raise OperatorsNotLoaded(
            f"{file} has more than {BYTES_MAX // 2**20} MiB", hint="give a Python source file"
        )
    return _read(file, source)


@functools.lru_cache(_READ_KEPT)
def _read(file: Path, source: bytes) -> OperatorsRead:
    return read_operators(file, source)


def stand_ins(file: Path) -> tuple[dict[str, Operator], bool]:
    """What stands in for the operators of a file that is not run, and whether there may be others."""
    source = read_source(file)
    read = _read(file, source)
    return {name: stand_in(one, file, source) for name, one in read.operators.items()}, read.partial


def read_beside(folder: Path, names: Sequence[str]) -> OwnOperators:
    """What the files define that a workflow in `folder` names; every problem stands at its place."""
    found: dict[str, OperatorInfo] = {}
    problems: list[Problem] = []
    partial: list[str] = []
    origins: dict[str, str] = {}
    files: dict[Path, str] = {}
    for number, name in enumerate(names):
        place = f"operators[{number}]"
        try:
            file = beside(folder, name)
            if file in files:
                message, hint = f"{name} is named twice", "remove one"
                problems.append(_problem("duplicate-name", place, message, hint))
                continue
            files[file] = name
            read = read_file(file)
        except SymphonyError as error:
            problems.append(
                _problem("unknown-operator", place, error.message, error.hint or "check the file")
            )
            continue
        if read.partial:
            partial.append(name)
        for one, info in read.infos.items():
            if (twice := _taken(one, name, origins)) is not None:
                problems.append(_problem("duplicate-name", place, twice, "give it another name"))
            else:
                found[one], origins[one] = info, name
    return OwnOperators(operators=found, problems=tuple(problems), partial=tuple(partial))


def _problem(code: Code, place: str, message: str, hint: str) -> Problem:
    return Problem(code=code, place=place, message=message, hint=hint)


def _taken(one: str, name: str, origins: Mapping[str, str]) -> str | None:
    """Why an operator cannot have its name."""
    if one in builtin_catalog().operators:
        return f"{name} defines {one}, which ships with Symphony"
    if one in origins:
        return f"{name} defines {one}, and so does {origins[one]}"
    return None


def load_beside(folder: Path, names: Collection[str]) -> dict[str, Operator]:
    """Run the files that a workflow in `folder` names, and give the operators that they define.

    A file that is as it was when this process ran it is not run again. Raises OperatorsNotLoaded,
    OperatorInvalid.
    """
    found: dict[str, Operator] = {}
    origins: dict[str, str] = {}
    for name in names:
        file = beside(folder, name)
        for operator in load_once(file):
            one = operator.info.name
            if (twice := _taken(one, name, origins)) is not None:
                raise OperatorsNotLoaded(twice, hint="give it another name")
            found[one], origins[one] = operator, name
    return found


_loaded: dict[tuple[Path, str], tuple[Operator, ...]] = {}


def load_once(file: Path) -> tuple[Operator, ...]:
    """The operators of a file, which is run unless this process has run it as it is."""
    source = read_source(file)
    key = (file, hashlib.sha256(source).hexdigest())
    if key not in _loaded:
        _loaded[key] = tuple(load_source(str(file), source))
    return _loaded[key]


def infos_of(operators: Mapping[str, Operator]) -> dict[str, OperatorInfo]:
    """What validation sees of operators."""
    return {name: one.info for name, one in operators.items()}
