"""The knowledge of each process on a NATS server about the others: their endpoints and subscriptions.

Each tells its whole state when it changes and when somebody asks; its life signs carry the number of
the state, so that a process that missed one notices and asks. No I/O.
"""

from typing import Final

import msgspec

from symphony.bus.core.registry import Pulse
from symphony.bus.core.topics import check_pattern, check_topic
from symphony.commons.errors import ValidationFailed

SUSPECT_AFTER_S: Final = 0.6
"""Silence after which the server is asked whether a process is still connected."""
LOST_AFTER_S: Final = 3.0
"""Silence after which a process that is connected counts as lost: it is stopped, or hangs."""
_ENTRIES_MAX: Final = 100_000


class State(msgspec.Struct, frozen=True, array_like=True):
    """One process: `names` with their capabilities, and the patterns that it `wants` events of.

    `gone`: names that ended since it last told, among them some that nobody has heard of.
    """

    process: str
    version: int
    names: dict[str, list[str]]
    wants: list[str]
    gone: list[str] = []


class Changes(msgspec.Struct):
    """Endpoints that came, with their capabilities, and the names of those that went."""

    joined: dict[str, list[str]] = {}
    gone: list[str] = []


class Peers:
    """The others. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._states: dict[str, State] = {}
        self._suspects = Pulse(lost_after_s=SUSPECT_AFTER_S)
        self._lost = Pulse(lost_after_s=LOST_AFTER_S)

    def __len__(self) -> int:
        return len(self._states)

    def processes(self) -> tuple[str, ...]:
        """Return all whose state is known."""
        return tuple(self._states)

    def names(self) -> dict[str, list[str]]:
        """Return every endpoint of the others, with its capabilities."""
        return {name: can for state in self._states.values() for name, can in state.names.items()}

    def wants(self) -> set[str]:
        """Return every pattern that one of them wants."""
        return {pattern for state in self._states.values() for pattern in state.wants}

    def heard(self, process: str, version: int, now_s: float) -> bool:
        """A life sign. True: its state is not known, ask for it."""
        self._suspects.heard(process, now_s)
        self._lost.heard(process, now_s)
        state = self._states.get(process)
        return state is None or state.version != version

    def told(self, state: State, now_s: float) -> Changes:
        """Return the state of one, which replaces what was known of it. Raises ValidationFailed."""
        if len(state.names) + len(state.wants) > _ENTRIES_MAX:
            raise ValidationFailed(f"a process tells of more than {_ENTRIES_MAX:,} endpoints")
        for name in state.names:
            check_topic(name)
        for pattern in state.wants:
            check_pattern(pattern)
        self.heard(state.process, state.version, now_s)
        known = self._states.get(state.process)
        if known is not None and known.version > state.version:
            return Changes()  # two answers to one question may come in any order
        return self._replaced(state.process, state)

    def forget(self, process: str) -> Changes:
        """It is gone, and so are its endpoints."""
        self._suspects.forget(process)
        self._lost.forget(process)
        return self._replaced(process, None)

    def silent(self, now_s: float) -> tuple[list[str], list[str]]:
        """Return processes that have just become suspect, and those that are lost. Call every
        `Pulse.beat_s`.
        """
        return self._suspects.lost(now_s), self._lost.lost(now_s)

    def _replaced(self, process: str, state: State | None) -> Changes:
        before = self._states.pop(process, None)
        # A name may have moved: who takes a dead process's place has told so before it was missed.
        elsewhere = self.names()
        had = {} if before is None else before.names
        has = {} if state is None else state.names
        ended = dict.fromkeys((*had, *(() if state is None else state.gone)))
        if state is not None:
            self._states[process] = state
        return Changes(
            joined={name: can for name, can in has.items() if name not in had and name not in elsewhere},
            gone=[name for name in ended if name not in has and name not in elsewhere],
        )
