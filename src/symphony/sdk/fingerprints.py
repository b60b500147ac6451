"""What code an operator is made of, as one digest: part of the key of a cached result."""

import hashlib
import inspect
from collections.abc import Callable
from pathlib import Path
from types import CodeType

_files: dict[str, str] = {}


def remember(filename: str, source: bytes) -> None:
    """Note the source that `filename` was loaded from, should the file change later."""
    _files[filename] = hashlib.sha256(source).hexdigest()


def fingerprint(function: Callable[..., object]) -> str:
    """SHA-256 of the file that defines `function`, read once for each file.

    Where no source can be read (an interactive session, an archive), that of its byte code.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    if not isinstance(code, CodeType):
        return hashlib.sha256(repr(type(function)).encode()).hexdigest()
    filename = code.co_filename
    if filename not in _files:
        try:
            remember(filename, Path(filename).read_bytes())
        except OSError:
            return _code_digest(code)
    return _files[filename]


def _code_digest(code: CodeType) -> str:
    digest = hashlib.sha256(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        text = _code_digest(constant) if isinstance(constant, CodeType) else _constant(constant)
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # its order changes from process to process
        return repr(sorted(map(repr, value)))
    return repr(value)
