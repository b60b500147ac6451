"""Records of bodies that have none, and of those that have just been put."""

from collections.abc import Iterator, Mapping

import msgspec

from symphony.pit.artifacts.base.rules import RECOVERED, UNKNOWN_TYPE
from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.bodies.objects import Stored
from symphony.pit.artifacts.metadata.records import Put, Record
from symphony.ports.values import Digest


def recovered(bodies: Bodies) -> Iterator[Put]:
    """Records for bodies of which none is left. They get a name, which keeps them."""
    found: list[Stored] = sorted(bodies.all(), key=lambda stored: stored.changed_at)
    for stored in found:
        yield Put(stored.digest, stored.size, UNKNOWN_TYPE, RECOVERED, stored.changed_at)


def timed(record: Record, times: Mapping[Digest, float]) -> Record:
    """The record; that of a body which has just been put in its place tells when."""
    if not isinstance(record, Put) or record.digest not in times:
        return record
    return msgspec.structs.replace(record, at=times[record.digest])
