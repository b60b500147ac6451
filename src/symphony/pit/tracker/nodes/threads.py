"""Daemon threads for short work: a stuck one cannot keep the program from ending."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from symphony.commons.forks import end_copy, generation
from symphony.commons.raised import contained
from symphony.commons.switching import switching

P = ParamSpec("P")
T = TypeVar("T")


class DaemonThreads(Executor):
    """An executor like the standard library's, but nothing waits for its threads at the end.

    A future raises what `contained` makes of its call's exception, so that it reaches the waiting task.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._begun = 0
        self._closed = False
        self._lock = threading.Lock()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Call `fn` in a thread. Raises RuntimeError after `shutdown`."""
        future: Future[T] = Future()

        def call() -> None:
            if self._closed:
                future.cancel()
            if not future.set_running_or_notify_cancel():
                return
            before = generation()
            switching.operator_begins()
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001  (it is for the waiting task)
                end_copy(before)
                switching.operator_ends()
                future.set_exception(contained(error))
            else:
                end_copy(before)
                switching.operator_ends()
                future.set_result(result)

        with self._lock:
            if self._closed:
                raise RuntimeError("no calls after shutdown")
            self._calls.put(call)
            if not self._idle.acquire(blocking=False) and self._begun < self._most:
                self._begun += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._begun}", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Let idle threads end, and cancel calls that wait. Never waits for calls under way."""
        with self._lock:
            self._closed = True
            for _ in range(self._begun):
                self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()
            del call  # keep no reference to it while the thread waits
            self._idle.release()
