"""Digests of the code of operators: that of one file, and that of everything it runs."""

import functools
import hashlib
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CellType, CodeType, FunctionType, ModuleType

from symphony.sdk.definitions import needed_by
from symphony.sdk.plain import to_value
from symphony.sdk.sources import Walk, own_digest, ships

_sources: dict[str, bytes] = {}  # by module, or by file
_walked: dict[str, Walk] = {}  # likewise


class _CodeUnknown(Exception):
    """A function uses something that has no digest."""


def remember(module: str, source: bytes) -> None:
    """Note the source that `module` was made of, in case its file changes later."""
    _sources[module] = source


def fingerprint(function: Callable[..., object]) -> str:
    """SHA-256 of the file that defines `function`, read once for each file.

    If no source can be read (an interactive session, an archive), it is that of the byte code.
    """
    plain = inspect.unwrap(function)
    code = getattr(plain, "__code__", None)
    if not isinstance(code, CodeType):
        return hashlib.sha256(repr(type(function)).encode()).hexdigest()
    source = _source(plain, code)
    return _code_digest(code) if source is None else _source_digest(source)


@functools.lru_cache(256)
def _source_digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()


def code_digest(function: Callable[..., object]) -> str | None:
    """Return a digest of all code that `function` runs: its file, and what that imports, however far.

    A function that was made by another one counts with what it took from there, one without a file with
    all that it names. None if something of it cannot be known.
    """
    if not isinstance(function, FunctionType):
        return None
    try:
        told = [_mark(function, set())]
    except (_CodeUnknown, RecursionError):
        return None
    return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass")).hexdigest()


def part_digest(function: Callable[..., object]) -> str | None:
    """Return a digest of what `function` uses of its file, and of what that imports.

    Unlike `code_digest` it stays the same when another function of the file changes. None if it cannot be
    told apart from the rest of its file.
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType) or not plain.__qualname__.isidentifier():
        return None
    source = _source(plain, plain.__code__)
    part = None if source is None else needed_by(source, plain.__qualname__)
    if part is None:
        return None
    home = _home(plain)
    walk = Walk(loaded=True)
    package = getattr(sys.modules.get(home), "__package__", None) or ""
    walk.add(plain.__code__.co_filename, part, package, remembered=home in _sources)
    return walk.digest()


def is_own(function: Callable[..., object]) -> bool:
    """True if `function` ships with Symphony."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return isinstance(code, CodeType) and ships(code.co_filename)


def may_read_environment(function: Callable[..., object]) -> bool:
    """True if code that `function` runs might ask a Context for its environment."""
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        return True
    source = _source(plain, plain.__code__)
    return source is None or _walk(plain, source).environment


def imports_unchanged(function: Callable[..., object]) -> bool:
    """True if the files that the file of `function` imports have not changed since it was first examined.

    Only then does another process, which imports them now, have the same code.
    """
    plain = inspect.unwrap(function)
    if not isinstance(plain, FunctionType):
        return False
    if ships(plain.__code__.co_filename):
        return True
    source = _source(plain, plain.__code__)
    return source is not None and _walk(plain, source).unchanged()


def source_digest(file: str, source: bytes) -> str | None:
    """Return what `code_digest` gives of a file that is not loaded, with what it imports as that is now."""
    walk = Walk(loaded=False)
    walk.add(file, source, "")
    return walk.digest()


def modules_used(file: str, source: bytes) -> dict[str, str]:
    """Return the modules of the user's own that a file imports, with the digests of their files now."""
    walk = Walk(loaded=False)
    walk.add(file, source, "")
    return walk.modules


def _source(function: Callable[..., object], code: CodeType) -> bytes | None:
    for key in (_home(function), code.co_filename):
        if key in _sources:
            return _sources[key]
    try:
        _sources[code.co_filename] = Path(code.co_filename).read_bytes()
    except (OSError, ValueError):
        return None
    return _sources[code.co_filename]


def _home(function: Callable[..., object]) -> str:
    """Return the module that a function was defined in. A wrapper carries the name of the function it
    wraps.
    """
    name = function.__globals__.get("__name__") if isinstance(function, FunctionType) else None
    return name if isinstance(name, str) else function.__module__


def _mark(value: object, seen: set[int]) -> object:
    """Return what stands for something that code uses. Raises _CodeUnknown."""
    if id(value) in seen:
        return "met before"
    original = getattr(value, "original", None)
    if isinstance(original, FunctionType):  # an operator
        value = original
    if isinstance(value, FunctionType):
        seen.add(id(value))
        inner = inspect.unwrap(value)
        seen.add(id(inner))
        return _function_mark(inner, seen), _wrappers_mark(value, inner, seen)
    if isinstance(value, ModuleType):
        return _imported(value.__name__)
    if isinstance(value, type):
        if value.__module__ == "__main__" or value.__module__ not in sys.modules:
            raise _CodeUnknown
        return value.__qualname__, _imported(value.__module__)
    try:
        return repr(to_value(value))
    except (TypeError, ValueError):
        raise _CodeUnknown from None


def _function_mark(function: object, seen: set[int]) -> object:
    if not isinstance(function, FunctionType):
        raise _CodeUnknown
    code = function.__code__
    if ships(code.co_filename):
        return own_digest()
    source = _source(function, code)
    taken: list[object] = []
    if source is None or "<locals>" in function.__qualname__:
        cells = [_content(cell) for cell in function.__closure__ or ()]
        defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
        taken = [_mark(one, seen) for one in (*cells, *defaults)]
    if source is not None:
        if (digest := _walk(function, source).digest()) is None:
            raise _CodeUnknown
        return digest, taken
    named = {name: function.__globals__[name] for name in _names(code) if name in function.__globals__}
    return _code_digest(code), taken, [(name, _mark(named[name], seen)) for name in sorted(named)]


def _content(cell: CellType) -> object:
    """Return what a function took from the one around it. Raises _CodeUnknown for a name that has no
    value yet.
    """
    try:
        return cell.cell_contents
    except ValueError:
        raise _CodeUnknown from None


def _wrappers_mark(function: object, inner: object, seen: set[int]) -> list[object]:
    """Return what stands for the decorators around `inner`, with what they were given.

    If `inner` stands in a file at the top, that says what they were given, and what has no digest is
    let through: a logger, a lock.
    """
    assert isinstance(inner, FunctionType)
    told = _source(inner, inner.__code__) is not None and "<locals>" not in inner.__qualname__
    marks: list[object] = []
    while function is not inner:
        if isinstance(function, FunctionType) and not ships(function.__code__.co_filename):
            code = function.__code__
            source = _source(function, code)
            marks.append(_code_digest(code) if source is None else _walk(function, source).digest())
            for cell in function.__closure__ or ():
                try:
                    marks.append(_mark(_content(cell), seen))
                except _CodeUnknown:
                    if not told:
                        raise
        function = getattr(function, "__wrapped__", inner)
    return marks


def _walk(function: FunctionType, source: bytes) -> Walk:
    """Return a function's file and all that it imports, looked at once for each."""
    file = function.__code__.co_filename
    home = _home(function)
    key = home if home in _sources else file
    if key not in _walked:
        package = getattr(sys.modules.get(home), "__package__", None) or ""
        walk = Walk(loaded=True)
        walk.add(file, source, package, remembered=home in _sources)
        _walked[key] = walk
    return _walked[key]


def _imported(module: str) -> str:
    walk = Walk(loaded=True)
    walk.add("<names>", f"import {module}".encode(), "", remembered=True)
    found = walk.digest()
    if found is None or module in walk.absent:
        raise _CodeUnknown
    return found


def _names(code: CodeType) -> Iterator[str]:
    """Yield the global names that a function uses, those of functions inside it too."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _code_digest(code: CodeType) -> str:
    digest = hashlib.sha256(code.co_code)
    digest.update(repr((code.co_names, code.co_varnames, code.co_freevars)).encode())
    for constant in code.co_consts:
        text = _code_digest(constant) if isinstance(constant, CodeType) else _constant(constant)
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def _constant(value: object) -> str:
    if isinstance(value, frozenset):  # the order of a set differs between processes
        return repr(sorted(map(repr, value)))
    return repr(value)
