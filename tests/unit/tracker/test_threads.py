"""Threads for short work: bounded, reused, and never waited for."""

import subprocess
import sys
import threading
from concurrent.futures import wait

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.commons.errors import SymphonyError
from symphony.pit.tracker.nodes.threads import DaemonThreads


def test_results_and_errors_come_back() -> None:
    threads = DaemonThreads(2, "t")
    assert threads.submit(lambda a, b: a + b, 1, b=2).result(5) == 3
    with pytest.raises(SymphonyError, match=r"it called sys\.exit\(3\)"):
        threads.submit(sys.exit, 3).result(5)
    with pytest.raises(SymphonyError, match="StopIteration"):
        threads.submit(next, iter([])).result(5)
    assert threads.submit(int).result(5) == 0, "the thread lives on"
    threads.shutdown()


def test_no_more_threads_than_allowed_and_idle_ones_are_used_again() -> None:
    threads, seen, together = DaemonThreads(3, "t"), set[str](), threading.Barrier(3)

    def note() -> None:
        together.wait(PATIENCE_S)
        seen.add(threading.current_thread().name)

    for _ in range(3):
        wait([threads.submit(note) for _ in range(3)], 5)
    assert seen == {"t-1", "t-2", "t-3"}
    threads.shutdown()


def test_after_shutdown_waiting_calls_are_cancelled_and_new_ones_refused() -> None:
    threads, begun, go = DaemonThreads(1, "t"), threading.Event(), threading.Event()

    def hold() -> bool:
        begun.set()
        return go.wait(PATIENCE_S)

    held, waiting = threads.submit(hold), threads.submit(int)
    assert begun.wait(PATIENCE_S)
    threads.shutdown()
    go.set()
    assert held.result(5)
    wait([waiting], 5)
    assert waiting.cancelled()
    with pytest.raises(RuntimeError):
        threads.submit(int)


@pytest.mark.slow
def test_a_stuck_thread_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import threading; from symphony.pit.tracker.nodes.threads import DaemonThreads\n"
        "DaemonThreads(1, 't').submit(threading.Event().wait); print('end')"
    )
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, timeout=30, check=True)
    assert ended.stdout == b"end\n"
