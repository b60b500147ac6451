"""The numbers of versions: given under the log's lock, written with each put, never given again. Pure.

A put gets the number after the newest one of its name. One that puts again what the newest version already is
gets that version's number and makes no new one. Where damage may have hidden puts of a name since its newest
version, their numbers are left out: a number that somebody was told always means the same body, or nothing.
"""

from collections.abc import Callable, MutableMapping
from typing import NamedTuple, TypeAlias

import msgspec

from symphony.pit.artifacts.metadata.records import Linked, Put, Record, Tagged
from symphony.ports.values import Digest


class Newest(NamedTuple):
    """The newest version of a name. `damaged`: the damaged lines in the log before its last put."""

    number: int
    digest: Digest
    content_type: str
    present: bool
    damaged: int


Made: TypeAlias = MutableMapping[tuple[str, Digest], list[int]]
"""By name and body, the versions that puts of this process have made and no run has claimed yet."""


def number_for(put: Put, newest: Newest | None, damaged: int | None = None) -> int:
    """Return the number of the version that `put` makes or puts again.

    `damaged` counts the damaged lines that are in the log now. None: the log was written without numbers, and
    its order is all that is known.
    """
    if newest is None:
        return 1
    same = newest.present and (newest.digest, newest.content_type) == (put.digest, put.content_type)
    if same and not put.note and not put.parents:
        return newest.number
    return newest.number + 1 + (0 if damaged is None else damaged - newest.damaged)


class Numbering:
    """Numbers the records of one write to the log, in order. `made` is changed by `settle` alone."""

    def __init__(self, newest: Callable[[str], Newest | None], damaged: int, made: Made) -> None:
        self._find, self._damaged, self._made = newest, damaged, made
        self._newest: dict[str, Newest | None] = {}
        self._changed: dict[tuple[str, Digest], list[int]] = {}

    def numbered(self, records: tuple[Record, ...], *, by_hand: bool = False) -> tuple[Record, ...]:
        """Return the records with their numbers. What is put `by_hand` is no run's, whatever a run puts."""
        found = list[Record]()
        for record in records:
            match record:
                case Put(name=str(name)):
                    found.append(self._put(record, name, by_hand))
                case Linked(name=str(name)) if record.claims:
                    versions = tuple(dict.fromkeys(self._take(name, record.digest)))
                    found.append(msgspec.structs.replace(record, versions=versions))
                case Tagged(version=0):
                    newest = self._of(record.name)
                    found.append(msgspec.structs.replace(record, version=newest.number if newest else 1))
                case _:
                    found.append(record)
        return tuple(found)

    def settle(self) -> None:
        """The records were written."""
        for key, numbers in self._changed.items():
            if numbers:
                self._made[key] = numbers
            else:
                self._made.pop(key, None)

    def _put(self, put: Put, name: str, by_hand: bool) -> Put:
        newest = self._of(name)
        number = number_for(put, newest, self._damaged)
        if not by_hand and (newest is None or number > newest.number):
            self._changed[name, put.digest] = [*self._of_body(name, put.digest), number]
        self._newest[name] = Newest(number, put.digest, put.content_type, True, self._damaged)
        return msgspec.structs.replace(put, version=number)

    def _take(self, name: str, digest: Digest) -> list[int]:
        numbers = self._of_body(name, digest)
        self._changed[name, digest] = []
        return numbers

    def _of_body(self, name: str, digest: Digest) -> list[int]:
        key = (name, digest)
        return self._changed[key] if key in self._changed else self._made.get(key, [])

    def _of(self, name: str) -> Newest | None:
        if name not in self._newest:
            self._newest[name] = self._find(name)
        return self._newest[name]
