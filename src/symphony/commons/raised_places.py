"""Finds where in its author's code an exception was raised: file, line and function."""

from functools import cache
from pathlib import Path
from types import CodeType, TracebackType
from typing import Final

from symphony.commons.errors import SymphonyError

_FRAMES_MAX: Final = 10_000
_PARTS_MAX: Final = 20
_STACKS_MAX: Final = 64
_stacks: Final[dict[tuple[tuple[CodeType, int], ...], list[str]]] = {}
"""Known places of exceptions, by the code and the instruction of each frame."""


def place_of(error: BaseException) -> str | None:
    """Return `FILE:LINE in FUNCTION` of the innermost frame in the author's own code; None without one.

    Frames of Symphony and of the standard library do not count. Those of installed packages count only
    if there are no others, as operators may come in a package.
    """
    own = installed = None
    for frame in _frames(_traceback_of(error)):
        whose = _whose(frame.tb_frame.f_code.co_filename)
        if whose == "own":
            own = frame
        elif whose == "installed" and installed is None:
            installed = frame
    found = own or installed
    if found is None:
        return None
    code = found.tb_frame.f_code
    return f"{code.co_filename}:{found.tb_lineno} in {code.co_name}"


def traceback_text(error: BaseException) -> str | None:
    """Return the end of the traceback, without Symphony's frames before the author's.

    None of an error that its author made for people to read.
    """
    if isinstance(error, SymphonyError):
        return None
    import traceback

    ours = _folders()[0]
    frames = (
        one for one in _frames(_traceback_of(error)) if one.tb_frame.f_code.co_filename[: len(ours)] != ours
    )
    try:
        link = next(frames, None)
        if error.__cause__ or error.__context__ or isinstance(error, BaseExceptionGroup):
            parts = traceback.format_exception(type(error), error, link)
        else:
            parts = [*_stack(link), *traceback.format_exception_only(type(error), error)]
        return "".join(parts[-_PARTS_MAX:]).rstrip("\n")
    except Exception:  # noqa: BLE001  (the error is its author's, and may raise whatever it is asked)
        return None


def _stack(link: TracebackType | None) -> list[str]:
    """Return what `format_exception` says before the error itself.

    Ten thousand elements may fail at the same place: reading its source lines is most of the work, and
    is done once.
    """
    import traceback

    if link is None:
        return []
    places = tuple((frame.tb_frame.f_code, frame.tb_lasti) for frame in _frames(link))
    found = _stacks.get(places)
    if found is None:
        if len(_stacks) >= _STACKS_MAX:
            _stacks.clear()
        found = _stacks[places] = ["Traceback (most recent call last):\n", *traceback.format_tb(link)]
    return found


def _traceback_of(error: BaseException) -> TracebackType | None:
    try:
        found: object = error.__traceback__
    except BaseException:  # noqa: BLE001  (its class may intercept any look at it, and raise)
        return None
    return found if isinstance(found, TracebackType) else None


def _frames(link: TracebackType | None) -> list[TracebackType]:
    frames: list[TracebackType] = []
    while link is not None and len(frames) < _FRAMES_MAX:
        frames.append(link)
        link = link.tb_next
    return frames


def _whose(file: str) -> str:
    """Return whose code is in a file: `own`, `installed` for an installed package, or `nobody`."""
    ours, installed, library = _folders()
    if file.startswith(("<", ours)):
        return "nobody"
    if file.startswith(installed):
        return "installed"
    return "nobody" if file.startswith(library) else "own"


@cache
def _folders() -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """Return Symphony's folder, those of installed packages, and those of the standard library."""
    import sysconfig

    paths = sysconfig.get_paths()
    ours = str(Path(__file__).parents[1]) + "/"
    installed = tuple({paths[name] + "/" for name in ("purelib", "platlib")})
    library = tuple({paths[name] + "/" for name in ("stdlib", "platstdlib")})
    return ours, installed, library
