"""A call that runs out of the memory it may take says so, whoever noticed it."""

import pytest

from symphony.commons.errors import SymphonyError
from symphony.pit.workers.memory import memory_limited


def of_a_native_library() -> None:
    """As CPython does for C code that returns a result though an exception is set."""
    raise SystemError("returned a result with an exception set") from MemoryError()


def of_python() -> None:
    raise MemoryError


@pytest.mark.parametrize("act", [of_a_native_library, of_python])
def test_too_little_memory_is_one_error_whoever_noticed_it(act: object) -> None:
    assert callable(act)
    with pytest.raises(SymphonyError) as caught, memory_limited(64, "an operator"):
        act()
    assert caught.value.code == "limit-exceeded"
    assert caught.value.message == "an operator needs more than 64 MiB of memory"


def test_another_error_of_a_native_library_stays_what_it_is() -> None:
    with pytest.raises(SystemError, match="bad argument"), memory_limited(64, "an operator"):
        raise SystemError("bad argument to internal function")
