"""Says where an `await` is missing: an operator returned something that is still to be awaited."""

import dis
import inspect
from collections.abc import Awaitable, Callable
from types import CodeType

from symphony.commons.errors import SymphonyError


def not_awaited(name: str, function: Callable[..., object], returned: Awaitable[object]) -> SymphonyError:
    """Return the error of the operator `name`, whose `function` has `returned` what it should have awaited.

    The message begins with the place of the call, as far as that is known.
    """
    kind = type(returned).__name__
    kind = f"an {kind}" if kind[:1] in "AEIOUaeiou" else f"a {kind}"
    called = str(getattr(returned, "__name__", ""))
    whole = inspect.unwrap(function)
    code = getattr(whole, "__code__", None)
    place = "" if not isinstance(code, CodeType) else f"{_place(code, called)}: "
    fix = f"write await before {called or 'it'}{'(…)' if called else ''}"
    if not inspect.iscoroutinefunction(whole):
        fix = f"define it with async def, and {fix}"
    return SymphonyError(
        f"{place}TypeError: {name} returned {kind}, which nobody awaited", code="operator-failed", hint=fix
    )


def _place(code: CodeType, called: str) -> str:
    """Return `FILE:LINE in FUNCTION` of the last use of what was `called`, or else of the last line."""
    calls, last = 0, code.co_firstlineno
    for instruction in dis.get_instructions(code):
        positions = instruction.positions
        if positions is not None and positions.lineno:
            last = positions.lineno
        if called and instruction.argval == called:
            calls = last
    return f"{code.co_filename}:{calls or last} in {code.co_name}"
