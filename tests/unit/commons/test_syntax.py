"""Python's parser from several threads."""

import ast
import gc
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.commons.syntax import syntax_tree

SOURCE = Path(ast.__file__).read_bytes()
THREADS, TIMES = 4, 3


def together(parse: Callable[[bytes], ast.Module]) -> list[BaseException]:
    """What several threads that parse at once, and switch all the time, meet."""
    failed: list[BaseException] = []

    def work() -> None:
        for _ in range(TIMES):
            try:
                parse(SOURCE)
            except BaseException as error:  # noqa: BLE001  (each is looked at)
                failed.append(error)

    def switch(_phase: str, _about: object) -> None:
        time.sleep(0)  # another thread's turn, in the middle of a tree

    thresholds = gc.get_threshold()
    gc.callbacks.append(switch)
    gc.set_threshold(50)
    try:
        threads = [threading.Thread(target=work) for _ in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(switch)
    return failed


@pytest.mark.slow
def test_threads_that_parse_at_once_get_their_trees() -> None:
    assert together(syntax_tree) == []


@pytest.mark.slow
def test_others_may_parse_at_the_same_time() -> None:
    ending = threading.Event()

    def other() -> None:
        while not ending.is_set():
            try:
                ast.parse(SOURCE)
            except SystemError:
                continue

    beside = threading.Thread(target=other)
    beside.start()
    try:
        assert together(syntax_tree) == []
    finally:
        ending.set()
        beside.join()


@pytest.mark.parametrize("source", ["def", "\0", b"\xff"])
def test_what_is_no_python_is_told_as_before(source: str | bytes) -> None:
    with pytest.raises((SyntaxError, ValueError)):
        syntax_tree(source)
