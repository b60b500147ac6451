"""Loads trusted Python files that define operators. They run in this process, unconfined."""

import contextlib
import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

import msgspec

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.filesystem import FileTooLarge, read_bounded
from symphony.commons.raised import is_interrupt
from symphony.commons.unicode import described
from symphony.sdk.errors import OperatorsNotLoaded
from symphony.sdk.fingerprints import remember
from symphony.sdk.operators import Operator
from symphony.sdk.sources import Walk

_SOURCE_BYTES_MAX = 16 * 1024 * 1024
UNPARSED: Final = (SyntaxError, ValueError, RecursionError, MemoryError)
"""The errors that Python raises for source that it cannot parse."""


class LoadedFile(msgspec.Struct, frozen=True):
    """A file that was loaded: its path, its source as it was then, and the SHA-256 of both."""

    file: str
    source: bytes
    digest: str


_loaded: dict[str, LoadedFile] = {}  # by digest, and by the name of its module


def load_operators(path: Path | str) -> list[Operator]:
    """Run the file and return the operators it defines, in the order of its text.

    It is imported under a name of its own, so that two files of the same name do not clash; its folder
    is not put on the import path. What it prints meanwhile goes to stderr: stdout is for results.
    Raises OperatorsNotLoaded, naming file and line, if it is missing, does not compile, fails while it
    runs, or defines no operator or one name twice; OperatorInvalid if a function in it cannot be an
    operator.
    """
    file = Path(path).absolute()
    return load_source(str(file), read_source(file))


def load_source(path: str, source: bytes) -> list[Operator]:
    """Load operators as `load_operators` does, but from source that was read already; the file itself
    is not read.
    """
    file = Path(path)
    with contextlib.redirect_stdout(sys.stderr):
        module = _execute(file, source)
    values = dict.fromkeys(v for v in vars(module).values() if isinstance(v, Operator))
    found = [value for value in values if value.function.__module__ == module.__name__]
    check_names(file, [value.info.name for value in found])
    return found


def check_names(file: Path, names: Sequence[str]) -> None:
    """Raise OperatorsNotLoaded for a file that defines no operator, or one name twice."""
    if not names:
        raise OperatorsNotLoaded(
            f"{file} defines no operator",
            hint='decorate a function: @operator("my.name", version="1.0.0"), imported from symphony',
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise OperatorsNotLoaded(
                f"{file} defines the operator {name} twice", hint="give one of them another name"
            )
        seen.add(name)


def loaded_file(key: str) -> LoadedFile | None:
    """Return the file that became the module of the name `key`, or has the digest `key`."""
    return _loaded.get(key)


def load_module(file: Path, source: bytes | None = None) -> ModuleType:
    """Run the file and return its module, which knows nothing of the file's folder.

    `source` is what `read_source` returned, if it was called already: the file may have changed since.
    Raises OperatorsNotLoaded, naming file and line, if it is missing, does not compile, or fails while
    it runs; a SymphonyError that the file raises is passed on.
    """
    return _execute(file, read_source(file) if source is None else source)


def read_source(file: Path) -> bytes:
    """Return what `load_module` would run. Raises OperatorsNotLoaded."""
    try:
        return read_bounded(file, _SOURCE_BYTES_MAX)
    except FileTooLarge as error:
        raise OperatorsNotLoaded(f"{file} is larger than 16 MiB", hint="give a Python source file") from error
    except (IoFailed, ValueError) as error:
        hint = "name one file" if file.is_dir() else "check the path"
        reason = str(error).rpartition(": ")[2]
        raise OperatorsNotLoaded(f"{file} cannot be read: {reason}", hint=hint) from error


def module_name(file: Path, source: bytes) -> str:
    """Return the name of the module that the file becomes."""
    return f"symphony_operators_{_digest(file, source)[:16]}"


def _digest(file: Path, source: bytes) -> str:
    return hashlib.sha256(str(file).encode("utf-8", "surrogateescape") + b"\0" + source).hexdigest()


def _execute(file: Path, source: bytes) -> ModuleType:
    digest, name = _digest(file, source), module_name(file, source)
    try:
        code = compile(source, str(file), "exec", dont_inherit=True)
    except UNPARSED as error:
        raise unparsed(file, error) from error
    module = ModuleType(name)
    module.__file__ = str(file)
    module.__spec__ = importlib.util.spec_from_loader(name, loader=None, origin=str(file))
    sys.modules[name] = module
    remember(name, source)
    Walk(loaded=False).add(str(file), source, "")  # so that no compiled code older than its source is run
    try:
        exec(code, vars(module))  # noqa: S102  (trusted: the user named the file)
    except SymphonyError:
        sys.modules.pop(name, None)
        raise
    except BaseException as error:
        sys.modules.pop(name, None)
        if is_interrupt(error):
            raise
        raise _failed(file, error) from error
    _loaded[digest] = _loaded[name] = LoadedFile(str(file), source, digest)
    return module


def unparsed(file: Path, error: Exception) -> OperatorsNotLoaded:
    """Return the error for a file that the parser refused with one of `UNPARSED`."""
    if not isinstance(error, SyntaxError):  # null bytes, nesting
        deep = isinstance(error, RecursionError | MemoryError)
        why = "it is nested too deeply" if deep else str(error)
        return OperatorsNotLoaded(f"{file}: {why}", hint="give a Python file")
    place = f"{file}:{error.lineno}" if error.lineno else str(file)
    return OperatorsNotLoaded(f"{place}: {error.msg}", hint="correct the syntax of this line")


def _failed(file: Path, error: BaseException) -> OperatorsNotLoaded:
    """Return the error, at the innermost line of `file` itself that led to it."""
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)
    ]
    place = f"{file}:{lines[-1]}" if lines else str(file)
    return OperatorsNotLoaded(f"{place}: {described(error)}", hint=_remedy(error))


def _remedy(error: BaseException) -> str:
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return "correct this line"
    if error.name.partition(".")[0] == "symphony":  # its name on the package index belongs to another project
        return f"this version of Symphony has no module {error.name}: correct this line"
    where = f"Symphony's environment, {sys.prefix}"
    return f"install the package that has {error.name} into {where}, or put the code into this file"
