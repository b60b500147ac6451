"""Notices when other code has forked this process: the copy must not go on as if it were the original."""

import os
from typing import Final

GENERATION: Final = [0]
"""The number of forks between the first process and this one."""


def generation() -> int:
    """Return how often the present process was forked off on its way here."""
    return GENERATION[0]


def end_copy(before: int) -> None:
    """End this process at once if it is a copy, forked off since `generation` gave `before`.

    The copy shares sockets, journals and the event loop's state with us: what its operator returns
    is for nobody.
    """
    if GENERATION[0] != before:
        os._exit(0)


def _forked() -> None:
    GENERATION[0] += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
