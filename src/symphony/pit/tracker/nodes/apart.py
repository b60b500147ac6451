"""Awaits users' coroutines, each in a task of its own, so that what one does to its task affects no other."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from types import TracebackType
from typing import Final, TypeVar

from symphony.commons.forks import end_copy, generation
from symphony.commons.raised import contained

T = TypeVar("T")

PATIENCE_S: Final = 30.0
"""Seconds that a coroutine has to end after it was cancelled. Then it is closed at its current point."""

_inside: ContextVar[bool] = ContextVar("symphony_inside_apart", default=False)


async def apart(work: Callable[[], Awaitable[T]], name: str) -> T:
    """Return the result of `work`. Raises what `work` raises, as `contained` returns it.

    CancelledError is raised only if the caller is cancelled. Then `work` is cancelled too, and has ended
    before this raises, however it reacted.
    """
    loop = asyncio.get_running_loop()
    _contain_tasks(loop)
    ended: asyncio.Future[None] = loop.create_future()
    task = loop.create_task(_outcome(work, ended), name=f"{name} (apart)")
    # A task that was cancelled before its first turn reports nothing itself.
    task.add_done_callback(lambda _: None if ended.done() else ended.set_result(None))
    try:
        await ended  # like `asyncio.wait`, at a third of the cost
    except asyncio.CancelledError:
        await _end(task)
        raise
    if task.cancelled():  # it cancelled itself and ended before the cancellation reached it
        raise contained(asyncio.CancelledError())
    given, error = task.result()
    if error is not None:
        raise error
    (value,) = given
    return value


async def _outcome(
    work: Callable[[], Awaitable[T]], ended: "asyncio.Future[None]"
) -> tuple[tuple[T, ...], Exception | None]:
    """Return what `work` returned or raised. Waiting for `ended` saves one turn of the loop."""
    _inside.set(True)
    before = generation()
    try:
        return (await work(),), None
    except BaseException as error:  # noqa: BLE001  (an operator may raise anything)
        return (), contained(error)
    finally:
        end_copy(before)
        if not ended.done():
            ended.set_result(None)


async def _end(task: "asyncio.Task[T]") -> None:
    """Cancel `task` and wait for it. If the caller is cancelled meanwhile, `task` is cancelled again."""
    task.cancel()
    waiting = asyncio.get_running_loop().create_task(_until(task))
    while not waiting.done():
        try:
            await asyncio.shield(waiting)
        except asyncio.CancelledError:
            task.cancel()
    if not task.done():
        task.add_done_callback(_passed_over)
        try:
            task.get_coro().close()
        except RuntimeError:
            pass  # it ignores even GeneratorExit: leave it alone
        task.cancel()


async def _until(task: "asyncio.Task[T]") -> None:
    await asyncio.wait([task], timeout=PATIENCE_S)


def _passed_over(task: "asyncio.Task[T]") -> None:
    if not task.cancelled():
        task.exception()


class _Contained(Coroutine[object, object, T]):
    """A coroutine that operators started as a task; errors that would end the loop fail only the task."""

    __slots__ = ("_inner",)

    def __init__(self, inner: Coroutine[object, object, T]) -> None:
        self._inner = inner

    def send(self, value: object) -> object:
        try:
            return self._inner.send(value)
        except (SystemExit, KeyboardInterrupt) as error:
            raise contained(error) from error

    def throw(
        self,
        kind: type[BaseException] | BaseException,
        value: object = None,
        traceback: TracebackType | None = None,
    ) -> object:
        try:
            return self._inner.throw(kind if isinstance(kind, BaseException) else kind())
        except (SystemExit, KeyboardInterrupt) as error:
            raise contained(error) from error

    def close(self) -> None:
        self._inner.close()

    def __await__(self) -> Generator[object, object, T]:
        return self._inner.__await__()

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class _Factory:
    """Makes a loop's tasks as its previous factory did, but contains those started inside `apart`."""

    def __init__(self, before: Callable[..., "asyncio.Future[object]"] | None) -> None:
        self._before = before

    def __call__(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[object, object, object], **options: object
    ) -> "asyncio.Future[object]":
        if _inside.get():
            work = _Contained(work)
        if self._before is not None:
            return self._before(loop, work, **options)
        return asyncio.Task(work, loop=loop, **options)  # type: ignore[arg-type]  # as create_task takes them


def _contain_tasks(loop: asyncio.AbstractEventLoop) -> None:
    before = loop.get_task_factory()
    if not isinstance(before, _Factory):
        loop.set_task_factory(_Factory(before))  # type: ignore[arg-type]  # as wide as what it stands for
