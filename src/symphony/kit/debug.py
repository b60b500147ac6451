"""Operators for tests and for trying out workflows: `debug.*`."""

import asyncio
from typing import NoReturn

from symphony.commons.quantities import duration_s
from symphony.kit.errors import DebugFailure, InputRefused
from symphony.ports.values import Value
from symphony.sdk import Context, operator


@operator("debug.value", version="1.0.0", pure=True)
async def value(value: Value = None) -> Value:
    """Return the value as it is.

    value: anything
    """
    return value


@operator("debug.fail", version="1.0.0", pure=True)
async def fail(message: str = "told to fail") -> NoReturn:
    """Fail, always, with the code `debug-fail`.

    message: what the error says
    """
    raise DebugFailure(message)


@operator("debug.flaky", version="1.0.0", read=True)
async def flaky(key: str, failures: int, context: Context) -> int:
    """Fail the first attempts, then return the number of the attempt that succeeded.

    The count is that of the node's attempts, so it survives a crash of the process.

    key: a name for the error message
    failures: how many attempts fail
    """
    if context.attempt <= failures:
        raise DebugFailure(f"{key}: try {context.attempt} fails, as do the first {failures}")
    return context.attempt


@operator("debug.sleep", version="1.0.0", read=True)
async def sleep(duration: str, value: Value = None) -> Value:
    """Wait, then return the value. Never cached.

    duration: how long, such as 200ms or 5s
    value: anything
    """
    try:
        seconds = duration_s(duration)
    except ValueError as error:
        raise InputRefused(f"input duration: {error}", hint="write for instance 200ms or 5s") from error
    await asyncio.sleep(seconds)
    return value
