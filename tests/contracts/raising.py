"""Operators that raise whatever they are told to, by every way in which Symphony calls one."""

import asyncio
import concurrent.futures
import sys
from collections.abc import Callable, Mapping

from symphony import operator
from symphony.commons.errors import SymphonyError


class Odd(BaseException):
    """No Exception, as pytest's Skipped and Exit."""


class Unspeakable(Exception):
    """Cannot be told."""

    def __str__(self) -> str:
        raise Odd("not even its text can be had")

    __repr__ = __str__


class Unpicklable(Exception):
    """Cannot be sent to another process."""

    def __init__(self, one: object, two: object) -> None:
        super().__init__(lambda: (one, two))


class Halfmade(SymphonyError):
    """Never called the constructor of what it derives from."""

    def __init__(self) -> None:
        pass


class Strange(SymphonyError):
    """Has anything but text for its texts."""

    def __init__(self) -> None:
        super().__init__("strange")
        self.code = ["a", "list"]  # type: ignore[assignment]
        self.hint = {"a": object()}  # type: ignore[assignment]
        self.details = 3  # type: ignore[assignment]


def first_of_nothing() -> None:
    """`next` finds nothing."""
    next(item for item in [1, 3] if item % 2 == 0)


def _raising(error: Callable[[], BaseException]) -> Callable[[], None]:
    def act() -> None:
        raise error()

    return act


ACTS: Mapping[str, Callable[[], None]] = {
    "next": first_of_nothing,
    "StopIteration": _raising(lambda: StopIteration(3)),
    "StopAsyncIteration": _raising(StopAsyncIteration),
    "GeneratorExit": _raising(GeneratorExit),
    "KeyboardInterrupt": _raising(KeyboardInterrupt),
    "SystemExit": _raising(lambda: SystemExit(0)),
    "sys.exit": lambda: sys.exit(0),
    "CancelledError": _raising(asyncio.CancelledError),
    "futures.CancelledError": _raising(concurrent.futures.CancelledError),
    "TimeoutError": _raising(TimeoutError),
    "InvalidStateError": _raising(asyncio.InvalidStateError),
    "BaseException": _raising(lambda: BaseException("base")),
    "Odd": _raising(lambda: Odd("odd")),
    "group": _raising(lambda: BaseExceptionGroup("g", [KeyboardInterrupt(), asyncio.CancelledError()])),
    "Unspeakable": _raising(lambda: Unspeakable("x")),
    "Unpicklable": _raising(lambda: Unpicklable(1, 2)),
    "Halfmade": _raising(Halfmade),
    "Strange": _raising(Strange),
    "surrogate": _raising(lambda: ValueError("\ud800")),
    "RecursionError": _raising(RecursionError),
    "MemoryError": _raising(MemoryError),
}
"""What an operator may do to end otherwise than by returning."""


@operator("raising.inline", version="1.0.0")
async def inline(what: str) -> int:
    """On the loop, without a task."""
    ACTS[what]()
    return 1


@operator("raising.task", version="1.0.0")
async def task(what: str) -> int:
    """In a task of the loop."""
    await asyncio.sleep(0)
    ACTS[what]()
    return 1


@operator("raising.thread", version="1.0.0")
def thread(what: str) -> int:
    """In a thread."""
    ACTS[what]()
    return 1


@operator("raising.worker", version="1.0.0", cpu=True)
def worker(what: str) -> int:
    """In a process."""
    ACTS[what]()
    return 1


@operator("raising.inner", version="1.0.0")
async def inner(what: str) -> int:
    """In a task that the operator itself starts."""

    async def inside() -> None:
        await asyncio.sleep(0)
        ACTS[what]()

    await asyncio.gather(inside())
    return 1


@operator("raising.value", version="1.0.0")
async def value(what: str) -> object:
    """While what it returned is made a plain value."""
    await asyncio.sleep(0)
    return Array(what)


@operator("raising.reads", version="1.0.0", reads=lambda inputs, _: ACTS[str(inputs["what"])]() or "x")  # type: ignore[func-returns-value]
def reads(what: str) -> int:
    """While it is worked out whether a cached result holds."""
    return 1


class Array:
    """Whatever has `tolist` is an array."""

    def __init__(self, what: str) -> None:
        self.what = what

    def tolist(self) -> list[int]:
        """Raises."""
        ACTS[self.what]()
        return []


def call(what: str) -> int:
    """For python.call."""
    ACTS[what]()
    return 1


async def call_async(what: str) -> int:
    """For python.call."""
    await asyncio.sleep(0)
    ACTS[what]()
    return 1
