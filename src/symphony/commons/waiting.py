"""Waits for work that must finish, even if its caller is cancelled."""

import asyncio
from typing import TypeVar

T = TypeVar("T")


async def uninterrupted(future: "asyncio.Future[T]") -> T:
    """Wait for `future` to its end however often the caller is cancelled, and then raise that."""
    cancelled: asyncio.CancelledError | None = None
    while not future.done():
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # noqa: BLE001  (its own, which is raised below)
            break
    if cancelled is not None:
        raise cancelled
    return future.result()
