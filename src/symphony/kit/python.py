"""Functions from Python files beside the workflow: `python.*`. They run unconfined, as operators do."""

import ast
import asyncio
import hashlib
import inspect
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from symphony.commons.cutting import beginning
from symphony.commons.errors import SymphonyError
from symphony.commons.raised import is_interrupt
from symphony.commons.syntax import syntax_tree
from symphony.commons.unicode import described, sound
from symphony.kit.errors import InputRefused
from symphony.ports.values import Value
from symphony.sdk import Context, OperatorsNotLoaded, operator
from symphony.sdk.annotations import converter, port_type
from symphony.sdk.fingerprints import modules_used, source_digest
from symphony.sdk.loading import load_module, read_source
from symphony.workflow.types import mismatch


class PythonNotLoaded(SymphonyError):
    """A Python file is missing, broken, or has no such function; the message names file and line."""

    code = "python-not-loaded"


class PythonFailed(SymphonyError):
    """A function from a file raised; the message names the file, the line and the error."""

    code = "python-failed"


def _reads(inputs: Mapping[str, Value], context: Context) -> str | None:
    """Return a digest of the file, of what it imports, and of the files that the arguments and defaults
    name.
    """
    file = inputs.get("file")
    if not isinstance(file, str):
        return None
    try:
        source = read_source(context.base / file)
    except OperatorsNotLoaded:
        return None
    code = source_digest(str(context.base / file), source)
    given = [inputs.get("arguments"), *_default_texts(source, str(inputs.get("function")))]
    named = _files_named(given, dict.fromkeys((context.cwd, context.base, Path().absolute())))
    if code is None or named is None or (context.environment and b"environment" in source):
        return None
    places = [str(context.cwd), str(context.base)]
    return hashlib.sha256(repr((code, named, places)).encode("utf-8", "surrogatepass")).hexdigest()


def _default_texts(source: bytes, name: str) -> list[Value]:
    """Return the texts in the defaults of a function."""
    try:
        body = syntax_tree(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    found: list[Value] = []
    for one in body:
        if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and one.name == name:
            defaults = [*one.args.defaults, *(d for d in one.args.kw_defaults if d is not None)]
            parts = [part for default in defaults for part in ast.walk(default)]
            found += [p.value for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str)]
    return found


def _files_named(value: Value, folders: Iterable[Path]) -> list[str] | None:
    """Digests of the files that texts in `value` name, a digest for each folder they are found in.

    None if a text names something that exists and is not a regular file: what is read of it is not known.
    """
    texts = dict.fromkeys(text for text in _texts(value) if 0 < len(text) <= _NAME_LENGTH_MAX)
    found = []
    for place in dict.fromkeys(folder / text for text in texts for folder in folders):
        try:
            if not place.exists():
                continue
            if not place.is_file():
                return None
            with place.open("rb") as body:
                found.append(hashlib.file_digest(body, "sha256").hexdigest())
        except (OSError, ValueError):  # ValueError: a null character
            continue
    return found


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from _texts(item)


@operator("python.call", version="1.0.0", reads=_reads, cpu=True)
def call(file: str, function: str, context: Context, arguments: dict[str, Value] = {}) -> object:  # noqa: B006
    """Call a function that computes something from its arguments.

    The file is trusted: it is run once, when its first function is called. Its folder is not on the
    import path; what it imports must be installed, or on PYTHONPATH. Arguments are checked against
    the annotations that the function has, and one annotated `Path` becomes a `Path`; a coroutine
    function is run to its end. What it prints is logged.

    The result is kept and taken again while the file, what it imports, the arguments and the files
    that they name stay the same; if they name a folder it is not. Say `cache: off` on the node if the
    function also looks at other files, the clock or the network, and use python.run if it changes
    something.

    file: a Python file, relative to the folder of the workflow
    function: the name of a function in it
    arguments: by name

    Returns:
        result: what the function returned, as a plain value
    """
    return _called(context.base / file, function, arguments, context)


@operator("python.run", version="1.0.0", cpu=True)
def run(file: str, function: str, context: Context, arguments: dict[str, Value] = {}) -> object:  # noqa: B006
    """Call a function that changes the world.

    Unlike the result of python.call, its result is never taken from an earlier run. A call
    that was cut off by a crash waits for somebody's decision, unless the node says
    `idempotent: true`.

    file: a Python file, relative to the folder of the workflow
    function: the name of a function in it
    arguments: by name

    Returns:
        result: what the function returned, as a plain value
    """
    return _called(context.base / file, function, arguments, context)


def _called(file: Path, name: str, arguments: Mapping[str, Value], context: Context) -> object:
    function = _function(_module(file), file, name)
    place = f"{file}:{function.__code__.co_firstlineno}"
    given = _bound(function, place, arguments, context)
    try:
        returned = function(**given)
        return asyncio.run(returned) if inspect.iscoroutine(returned) else returned
    except SymphonyError:
        raise
    except BaseException as error:
        if is_interrupt(error):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(file)), None)
        context.log("".join(traceback.format_exception(error)[-20:]), "stderr")
        raise PythonFailed(
            f"{file}:{line} in {name}: {sound(described(error))}",
            hint="symphony runs logs shows the whole traceback",
        ) from error


_NAME_LENGTH_MAX: Final = 4_096
_seen: Final[dict[str, str]] = {}
"""The digests of imported files, by the name of their module."""
_loading: Final = threading.Lock()
_modules: Final[dict[tuple[str, bytes], tuple[ModuleType, Mapping[str, str]]]] = {}


def _module(file: Path) -> ModuleType:
    """Return the module of a file as it is now. It runs once for each content.

    Files of the user's own that it imports, and that have changed since, are imported again with it.
    """
    try:
        source = read_source(file)
        key = str(file), hashlib.sha256(source).digest()
        with _loading:
            used = modules_used(str(file), source)
            if any(_seen.get(name, digest) != digest for name, digest in used.items()):
                for name in used:  # all of them: one may hold what it took from another
                    sys.modules.pop(name, None)
            _seen.update(used)
            if key not in _modules or _modules[key][1] != used:
                _modules[key] = load_module(file, source), used
            return _modules[key][0]
    except OperatorsNotLoaded as error:
        raise PythonNotLoaded(error.message, hint=error.hint) from error


def _function(module: ModuleType, file: Path, name: str) -> Callable[..., object]:
    found = vars(module).get(name)
    if inspect.isfunction(found):
        return found
    if inspect.isfunction(original := getattr(found, "original", None)):  # an operator is a function, too
        return original
    if found is not None:
        raise PythonNotLoaded(
            f"{file}: {name} is not a function but a {type(found).__name__}", hint="name a plain function"
        )
    from difflib import get_close_matches

    own = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
    close = get_close_matches(name, own, n=1)
    known = f"it has {', '.join(own[:10])}" if own else "it has none"
    raise PythonNotLoaded(
        f"{file} has no function {beginning(name, 60)!r}",
        hint=f"did you mean {close[0]}?" if close else known,
    )


def _bound(
    function: Callable[..., object], place: str, arguments: Mapping[str, Value], context: Context
) -> dict[str, object]:
    """Return the arguments as the function takes them. Raises InputRefused, naming each one that does
    not fit.
    """
    name = function.__name__
    signature = inspect.signature(function)
    notes = _annotations(function)
    given: dict[str, object] = dict(arguments)
    for parameter, note in notes.items():
        if note is Context and parameter not in given:
            given[parameter] = context
    try:
        signature.bind(**given)
    except TypeError as error:
        raise InputRefused(
            f"input arguments: {place}: {name} {error}", hint=f"it is {name}{signature}"
        ) from error
    for parameter, note in notes.items():
        if parameter in arguments and parameter in signature.parameters:
            given[parameter] = _fitting(parameter, note, arguments[parameter], place)
    return given


def _annotations(function: Callable[..., object]) -> Mapping[str, object]:
    try:
        return inspect.get_annotations(function, eval_str=True)
    except Exception:  # noqa: BLE001  (whatever the text of an annotation raises)
        return {}


def _fitting(parameter: str, note: object, value: Value, place: str) -> object:
    try:
        kind = port_type(note)
    except TypeError:
        return value  # the annotation is not one of ours: the function must check
    if why := mismatch(value, kind):
        raise InputRefused(f"input arguments: {place}: {parameter}: {why}", hint=f"it takes {kind}")
    convert = converter(note)
    return value if convert is None else convert(value)
