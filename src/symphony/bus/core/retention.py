"""Events kept for those who come late, on topics chosen by pattern. Pure."""

import heapq
from collections import deque
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

import msgspec

from symphony.bus.core.topics import check_pattern, matches
from symphony.ipc.envelope import EventPayload, MessageEnvelope

TOPICS_MAX: Final = 1024
"""The most topics kept for one pattern; the one silent longest is forgotten first."""


class Replay(msgspec.Struct, frozen=True):
    """The past messages that a late subscriber wants: the `last` so many, or those `after` a message.

    Without either, everything that is kept. A message that is kept no longer means everything,
    too: the `sequence` of what comes shows the gap.
    """

    last: int | None = None
    after: str | None = None


class Retention:
    """The last `last` events of each topic that matches `pattern`, numbered from 1 for each topic."""

    def __init__(self, pattern: str, last: int, topics_max: int = TOPICS_MAX) -> None:
        """Raises ValidationFailed, ValueError."""
        check_pattern(pattern)
        if last < 1 or topics_max < 1:
            raise ValueError("nothing would be kept")
        self.pattern = pattern
        self._last, self._topics_max = last, topics_max
        self._arrived = 0
        self._logs: dict[str, deque[tuple[int, MessageEnvelope]]] = {}
        self._numbers: dict[str, int] = {}

    def keep(self, envelope: MessageEnvelope, event: EventPayload) -> MessageEnvelope:
        """Keep it; gives it with its number."""
        topic = event.topic
        log = self._logs.pop(topic, None)
        if log is None:
            log = deque(maxlen=self._last)
            if len(self._logs) >= self._topics_max:
                silent = next(iter(self._logs))
                del self._logs[silent], self._numbers[silent]
        self._logs[topic] = log  # last, for it spoke last
        self._arrived += 1
        number = self._numbers[topic] = self._numbers.get(topic, 0) + 1
        numbered = msgspec.structs.replace(envelope, payload=msgspec.structs.replace(event, sequence=number))
        log.append((self._arrived, numbered))
        return numbered

    def replay(self, pattern: str, wanted: Replay) -> Iterator[MessageEnvelope]:
        """Return what is kept of the topics that match `pattern`, in the order in which it arrived."""
        logs = [log for topic, log in self._logs.items() if matches(pattern, topic)]
        found = list(heapq.merge(*logs, key=itemgetter(0)))
        if wanted.after is not None:
            for place, (_, envelope) in enumerate(found, 1):
                if envelope.header.message_id == wanted.after:
                    del found[:place]
                    break
        if wanted.last is not None:
            del found[: max(0, len(found) - wanted.last)]
        return (envelope for _, envelope in found)
