"""Sends packs outside while the store is used: those that are full at once, in a thread of its own."""

import logging
import os
import threading

from symphony.commons.errors import IoFailed
from symphony.pit.artifacts.packs.away import Sent
from symphony.pit.artifacts.packs.files import PACK_BYTES
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.packs.sending import send, unsent

logger = logging.getLogger(__name__)


class Sender:
    """Owns the thread, which begins with the first full pack and ends with `close`. Thread-safe."""

    def __init__(self, packs: Packs) -> None:
        self._packs, self._pid = packs, os.getpid()
        self._mutex, self._sending = threading.Lock(), threading.Lock()
        self._thread: threading.Thread | None = None
        self._full, self._ended = threading.Event(), False
        if packs.files.away.address is not None:
            packs.on_full = self.begin

    def begin(self) -> None:
        """Send full packs soon."""
        with self._mutex:
            if self._pid != os.getpid():  # a copy, without the thread
                return
            self._full.set()
            if self._thread is None:
                self._ended = False
                self._thread = threading.Thread(target=self._work, name="packs", daemon=True)
                self._thread.start()

    def send(self) -> Sent:
        """Send all packs now, also those that are not full. Raises what `packs.sending.send` does."""
        if self._packs.files.away.address is None:
            return Sent(0, 0)
        self._packs.release()
        with self._sending:
            return send(self._packs)

    def sent(self) -> tuple[Sent, Sent]:
        """Return how much lies outside, but for what is cold, and how much has not been sent."""
        outside, left = self._packs.files.away.sizes(cold=False), unsent(self._packs)
        return Sent(len(outside), sum(outside.values())), Sent(len(left), sum(left.values()))

    def close(self) -> None:
        """End the thread, once the pack is sent that is on its way."""
        with self._mutex:
            thread, self._thread, self._ended = self._thread, None, True
            self._full.set()
        if thread is not None and self._pid == os.getpid():
            thread.join()

    def _work(self) -> None:
        while True:
            self._full.wait()
            self._full.clear()
            if self._ended:
                return
            try:
                with self._sending:
                    send(self._packs, least_bytes=PACK_BYTES)
            except IoFailed as error:
                logger.warning("full packs wait: %s", error)
