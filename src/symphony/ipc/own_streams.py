"""This process's stdin and stdout, taken for messages."""

import os


def taken() -> tuple[int, int]:
    """Descriptors to read from and write to. From now on stdin is empty, and prints go to stderr."""
    reading, writing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return reading, writing
