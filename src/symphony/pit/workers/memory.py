"""A bound on the memory that a call may take, in a process whose other threads take next to none."""

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from symphony.commons.errors import SymphonyError


@contextmanager
def memory_limited(megabytes: int | None, operator: str) -> Iterator[None]:
    """A block in which Python refuses more than `megabytes` MiB beyond what it has. None: no bound.

    Raises SymphonyError `limit-exceeded` in place of MemoryError. Elsewhere than on Linux, where the
    address space of a process cannot be told or bounded, nothing is refused.
    """
    if megabytes is None or (now := _address_space()) is None:
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = now + megabytes * 2**20
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_AS, (wanted, hard))
    try:
        yield
    except (MemoryError, SystemError) as error:
        if not _out_of_memory(error):
            raise
        raise SymphonyError(
            f"{operator} needs more than {megabytes:,} MiB of memory",
            code="limit-exceeded",
            hint="give it less, or make it produce less",
        ) from None
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _out_of_memory(error: BaseException | None) -> bool:
    """Return whether it is a MemoryError, or the SystemError that a native library makes of one."""
    while isinstance(error, SystemError):
        error = error.__cause__ or error.__context__
    return isinstance(error, MemoryError)


def _address_space() -> int | None:
    if sys.platform != "linux":
        return None
    with suppress(OSError, ValueError, IndexError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        return pages * resource.getpagesize()
    return None
