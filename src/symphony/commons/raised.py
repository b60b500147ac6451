"""Puts exceptions of other code into words that can be shown and recorded. Pure."""

import re
import signal
import threading
from collections.abc import Callable
from dis import opmap
from types import TracebackType
from typing import Final

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.commons.unicode import described, grouped, printable, sound

OPERATOR_FAILED: Final = "operator-failed"
MESSAGE_CHARS_MAX: Final = 8_000
HINT_CHARS_MAX: Final = 1_000
_HINT_LINES_MAX: Final = 10
_CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,79}")
_RAISE: Final = opmap["RAISE_VARARGS"]


class ErrorText(msgspec.Struct, frozen=True):
    """An error in words: the code is one short word, the rest is text that UTF-8 can carry."""

    code: str
    message: str
    hint: str | None = None


def error_text(error: BaseException) -> ErrorText:
    """Return `error` in words, whatever its author put into it: code, message and hint of a SymphonyError.

    A code that is not a word becomes `operator-failed`. Any other error is told with the place in its
    author's code where it was raised, if there is one.
    """
    if not isinstance(error, SymphonyError):
        return ErrorText(OPERATOR_FAILED, sound(_placed(described(error), error)))
    code, message, hint = _text(error, "code") or "", _text(error, "message"), _text(error, "hint")
    if message is None:  # a subclass that never called our constructor
        message = described(error)
    return ErrorText(
        code if _CODE.fullmatch(code) else OPERATOR_FAILED,
        sound(message),
        None if hint is None else sound(hint),
    )


def brief(error: ErrorText, masked: Callable[[str], str]) -> ErrorText:
    """Return `error` as people read it: secrets taken out by `masked`, then cut, the hint to ten lines."""
    code = error.code if masked(error.code) == error.code else OPERATOR_FAILED
    hint = None if error.hint is None else _advice(masked(error.hint))
    return ErrorText(code, masked(error.message)[:MESSAGE_CHARS_MAX], hint)


def contained(error: BaseException) -> Exception:
    """Return what an operator raised, as an error that ends its attempt and nothing else.

    A future cannot carry StopIteration, a CancelledError would look like the engine's own, and what is
    not an Exception ends tasks and loops. Raises `error` if it is a real Ctrl-C.
    """
    import asyncio  # slow to import, and seldom needed
    import concurrent.futures

    if not _answers(error):
        return SymphonyError(sound(described(error)), code=OPERATOR_FAILED)
    if isinstance(error, SystemExit):
        return _failed(error, f"it called sys.exit({_status(error)})", "return, or raise an error")
    if isinstance(error, asyncio.CancelledError | concurrent.futures.CancelledError):
        what = f"{described(error)}: something that it waited for was cancelled"
        return _failed(error, what, "nobody cancelled the node itself: catch the CancelledError there")
    if isinstance(error, StopIteration):
        return _failed(error, described(error), "next() found nothing: give it a default, next(items, None)")
    if isinstance(error, Exception):
        return error
    if is_interrupt(error):
        raise error
    return _failed(error, described(error), None)


def _placed(message: str, error: BaseException) -> str:
    from symphony.commons.raised_places import place_of  # imported only after a failure

    place = place_of(error)
    return message if place is None else f"{place}: {message}"


def _answers(error: BaseException) -> bool:
    """True if the error can be inspected. Its class may intercept any attribute access, and raise."""
    try:
        return issubclass(error.__class__, BaseException)
    except BaseException:  # noqa: BLE001  (it is the author's)
        return False


def _failed(cause: BaseException, message: str, hint: str | None) -> SymphonyError:
    error = SymphonyError(sound(_placed(message, cause)), code=OPERATOR_FAILED, hint=hint)
    error.__cause__ = cause
    return error


def _status(error: SystemExit) -> str:
    try:
        return repr(error.code)
    except BaseException:  # noqa: BLE001  (it is the author's)
        return "…"


def is_interrupt(error: BaseException) -> bool:
    """True if a signal (Ctrl-C) raised the KeyboardInterrupt, not a `raise` in the code that ran.

    Only the main thread gets one, raised in the handler or, by Python's own handler, anywhere between
    two instructions: there the innermost instruction is not a `raise`.
    """
    left, seen = [error], set[int]()
    while left:
        one = left.pop()
        if id(one) not in seen:
            if _is_ctrl_c(one):
                return True
            seen.add(id(one))
            left.extend(grouped(one))
    return False


def _is_ctrl_c(error: BaseException) -> bool:
    if (
        not issubclass(type(error), KeyboardInterrupt)
        or threading.current_thread() is not threading.main_thread()
    ):
        return False
    innermost = _innermost(error.__traceback__)
    if innermost is None:  # it was created but never raised
        return False
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:
        return innermost.tb_frame.f_code.co_code[innermost.tb_lasti] != _RAISE
    function = getattr(handler, "func", handler)  # asyncio's is a partial of a method
    return innermost.tb_frame.f_code is getattr(function, "__code__", None)


def _innermost(traceback: TracebackType | None) -> TracebackType | None:
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback


def _text(error: SymphonyError, name: str) -> str | None:
    """Return the attribute as text; None if it is not there, is None, or cannot be told."""
    try:
        value: object = getattr(error, name)
        return None if value is None else str.__str__(str(value))
    except BaseException as failure:
        if is_interrupt(failure):
            raise
        return None


def _advice(hint: str) -> str | None:
    lines = printable(hint[:HINT_CHARS_MAX]).strip().split("\n")
    more = " …" if len(lines) > _HINT_LINES_MAX or len(hint) > HINT_CHARS_MAX else ""
    return "\n".join(lines[:_HINT_LINES_MAX]) + more or None
