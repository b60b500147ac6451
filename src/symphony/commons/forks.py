"""Notices when code of others has forked this process: a copy must not go on as if it were us."""

import os

_generation = 0


def generation() -> int:
    """How often the present process was forked off on its way here."""
    return _generation


def end_copy(before: int) -> None:
    """End this process at once if it is a copy, forked off since `generation` gave `before`.

    The copy shares sockets, journals and the event loop's state with us: what its operator returns
    is for nobody.
    """
    if _generation != before:
        os._exit(0)


def _forked() -> None:
    global _generation
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
