"""Quick looks while working on something. Under `python -O` nothing is printed."""

import sys


def duck(*told: object, **named: object) -> None:
    """Tell the rubber duck on stderr: `duck("retrying", attempt=3)`.

    Values are shown as `str`, named ones as `name=repr`. Not for records: that is `logging`.
    """
    if __debug__:
        words = [str(part) for part in told] + [f"{name}={value!r}" for name, value in named.items()]
        print("[DUCK DEBUGGING]", *words, file=sys.stderr, flush=True)  # noqa: T201
