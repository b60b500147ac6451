"""Functions from Python files beside the workflow: `python.*`. They run unconfined, as operators do."""

import asyncio
import hashlib
import inspect
import threading
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.commons.unicode import described
from symphony.kit.errors import InputRefused
from symphony.ports.values import Value
from symphony.sdk import Context, OperatorsNotLoaded, operator
from symphony.sdk.annotations import converter, port_type
from symphony.sdk.loading import load_module, read_source
from symphony.workflow.types import mismatch


class PythonNotLoaded(SymphonyError):
    """A Python file is missing, broken, or has no such function; the message names file and line."""

    code = "python-not-loaded"


class PythonFailed(SymphonyError):
    """A function from a file raised; the message names the file, the line and the error."""

    code = "python-failed"


def _reads(inputs: Mapping[str, Value], context: Context) -> str | None:
    """A digest of the file, which the cached result depends on."""
    file = inputs.get("file")
    if not isinstance(file, str):
        return None
    try:
        return hashlib.sha256(read_source(context.base / file)).hexdigest()
    except OperatorsNotLoaded:
        return None


@operator("python.call", version="1.0.0", reads=_reads, cpu=True)
def call(file: str, function: str, context: Context, arguments: dict[str, Value] = {}) -> object:  # noqa: B006
    """Call a function that computes something from its arguments.

    The file is trusted: it is run once, when its first function is called. Its folder is not on the
    import path; what it imports must be installed. Arguments are checked against the annotations
    that the function has, and one annotated `Path` becomes a `Path`; a coroutine function is run
    to its end. What it prints is logged.

    The result is kept and taken again while the file and the arguments stay the same. Say
    `cache: off` on the node if the function also looks at other files, the clock or the network,
    and use python.run if it changes something.

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

    The same as python.call, but what it returned is never taken from an earlier run, and a call
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
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((frame.lineno for frame in reversed(frames) if frame.filename == str(file)), None)
        context.log("".join(traceback.format_exception(error)[-20:]), "stderr")
        raise PythonFailed(
            f"{file}:{line} in {name}: {described(error)}",
            hint="symphony runs logs shows the whole traceback",
        ) from error


_loading: Final = threading.Lock()
_modules: Final[dict[tuple[str, bytes], ModuleType]] = {}


def _module(file: Path) -> ModuleType:
    """The module of a file as it is now: run once for each content, whoever asks."""
    try:
        source = read_source(file)
        key = str(file), hashlib.sha256(source).digest()
        with _loading:
            if key not in _modules:
                _modules[key] = load_module(file, source)
            return _modules[key]
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
            f"{file}: {name} is no function but a {type(found).__name__}", hint="name a plain function"
        )
    from difflib import get_close_matches

    own = [key for key, value in vars(module).items() if inspect.isfunction(value) and key[0] != "_"]
    close = get_close_matches(name, own, n=1)
    known = f"it has {', '.join(own[:10])}" if own else "it has none"
    raise PythonNotLoaded(
        f"{file} has no function {name[:60]!r}", hint=f"did you mean {close[0]}?" if close else known
    )


def _bound(
    function: Callable[..., object], place: str, arguments: Mapping[str, Value], context: Context
) -> dict[str, object]:
    """The arguments as the function takes them. Raises InputRefused, naming each one that does not fit."""
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
        return value  # annotated with something that is none of ours: the function knows
    if why := mismatch(value, kind):
        raise InputRefused(f"input arguments: {place}: {parameter}: {why}", hint=f"it takes {kind}")
    convert = converter(note)
    return value if convert is None else convert(value)
