"""The endpoints on the bus, by name and by the types of message they serve, and their heartbeats. Pure."""

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from symphony.bus.core.topics import check_topic
from symphony.bus.errors import EndpointTaken, EndpointUnknown
from symphony.ipc.envelope import MessageEnvelope


class EndpointEntry(msgspec.Struct, eq=False):
    """One endpoint. `serves`: the types of message that may be sent without naming a recipient.

    `link` tells the connection that it is reached through; "" for one in this process.
    """

    name: str
    deliver: Callable[[MessageEnvelope], None]
    serves: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    link: str = ""
    received: int = 0


class Registry:
    """Endpoints, each name once."""

    def __init__(self) -> None:
        self._entries: dict[str, EndpointEntry] = {}
        self._serving: dict[str, list[EndpointEntry]] = {}
        self.find = self._entries.get
        """The endpoint with a name, or None."""

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, entry: EndpointEntry) -> None:
        """Raises EndpointTaken, ValidationFailed for a name that is not a topic without wildcards."""
        check_topic(entry.name)
        if entry.name in self._entries:
            raise EndpointTaken(
                f"another endpoint is called {entry.name!r}", hint="choose another name, or end that one"
            )
        self._entries[entry.name] = entry
        for kind in entry.serves:
            self._serving.setdefault(kind, []).append(entry)

    def remove(self, name: str) -> EndpointEntry | None:
        """Remove the endpoint and give it back; None if it is not there."""
        entry = self._entries.pop(name, None)
        if entry is not None:
            for kind in entry.serves:
                serving = self._serving[kind]
                serving.remove(entry)
                if not serving:
                    del self._serving[kind]
        return entry

    def serving(self, message_type: str) -> EndpointEntry:
        """Return an endpoint that serves this type, each in turn. Raises EndpointUnknown."""
        serving = self._serving.get(message_type)
        if not serving:
            raise EndpointUnknown(f"no endpoint serves messages of type {message_type!r}")
        if len(serving) > 1:
            serving.append(serving.pop(0))
        return serving[-1]

    def serves(self, message_type: str) -> bool:
        """True if an endpoint serves this type."""
        return message_type in self._serving

    def entries(self) -> Iterable[EndpointEntry]:
        """All, in the order in which they came."""
        return tuple(self._entries.values())


BEAT_S: Final = 0.2
LOST_AFTER_S: Final = 0.75
"""A link that falls silent is found lost at the next look: within a second, with `BEAT_S`."""


class Pulse(msgspec.Struct):
    """The links that send heartbeats. Times are monotonic seconds, given by the caller.

    One that was silent for `lost_after_s` is lost, unless this side was not looking: after a
    stall of our own everybody gets that time again.
    """

    beat_s: float = BEAT_S
    lost_after_s: float = LOST_AFTER_S
    _heard: dict[str, float] = msgspec.field(default_factory=dict)
    _looked_s: float | None = None

    def heard(self, link: str, now_s: float) -> None:
        """`link` gave a sign."""
        self._heard[link] = now_s

    def forget(self, link: str) -> None:
        """It is gone."""
        self._heard.pop(link, None)

    def lost(self, now_s: float) -> list[str]:
        """Return the links that are lost now; they are forgotten. Look every `beat_s`."""
        before, self._looked_s = self._looked_s, now_s
        if before is not None and now_s - before > 2 * self.beat_s:
            self._heard = dict.fromkeys(self._heard, now_s)
            return []
        lost = [link for link, at in self._heard.items() if now_s - at >= self.lost_after_s]
        for link in lost:
            del self._heard[link]
        return lost
