"""The operators of files that workflows name, read from the text of the files."""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.sdk.beside import beside, taken
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.loading import read_source
from symphony.sdk.operators import Operator
from symphony.sdk.reading.module import OperatorsRead, read_operators
from symphony.sdk.reading.stand_ins import stand_in
from symphony.workflow.catalog import OperatorInfo, OwnOperators
from symphony.workflow.problems import Code, Problem

BYTES_MAX: Final = 1 << 20
"""The largest file, in bytes, whose text is read."""
_READ_KEPT: Final = 64


def read_file(file: Path) -> OperatorsRead:
    """Return the operators that a file defines, which is not run. Raises OperatorsNotLoaded,
    OperatorInvalid.
    """
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
    """Return what stands in for the operators of a file that is not run, and whether there may be others."""
    source = read_source(file)
    read = _read(file, source)
    return {name: stand_in(one, file, source) for name, one in read.operators.items()}, read.partial


def read_beside(folder: Path, names: Sequence[str]) -> OwnOperators:
    """Return what the files define that a workflow in `folder` names; every problem stands at its place."""
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
            if (twice := taken(one, name, origins)) is not None:
                problems.append(_problem("duplicate-name", place, twice, "give it another name"))
            else:
                found[one], origins[one] = info, name
    return OwnOperators(operators=found, problems=tuple(problems), partial=tuple(partial))


def _problem(code: Code, place: str, message: str, hint: str) -> Problem:
    return Problem(code=code, place=place, message=message, hint=hint)
