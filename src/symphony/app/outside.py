"""What of the artifacts lies outside of the home, in a bucket or another directory. Blocking."""

from contextlib import closing
from typing import NamedTuple

import msgspec

from symphony.app.object_storage import outside_places
from symphony.app.parts import Parts
from symphony.commons.errors import ConfigInvalid
from symphony.pit.artifacts.packs.away import Sent
from symphony.pit.artifacts.store.fetching import Fetched, fetch_store
from symphony.ports.object_storage import StorageRefused, StorageUnreachable

CHECK_PATIENCE_S = 3.0
"""For how long a look at the place is tried again: somebody waits for it."""


class OutsideState(NamedTuple):
    """Where packs go, None if they stay; what lies outside, wherever that is; and what could be sent."""

    address: str | None
    outside: Sent
    unsent: Sent


def outside_state(parts: Parts) -> OutsideState:
    """Return what lies outside. Asks nothing of the place. Raises ConfigInvalid, IoFailed."""
    with closing(parts.unopened_artifacts()) as store:  # so nobody is asked for a passphrase
        return OutsideState(parts.outside.address, *store.sent())


def send(parts: Parts) -> Sent:
    """Send all artifacts to where the settings say, also packs that are not full.

    Raises ConfigInvalid if they say nothing; StorageUnreachable, StorageRefused, StorageFull, IoFailed.
    """
    if parts.outside.address is None:
        raise ConfigInvalid(
            "artifacts.store is not set, so artifacts stay in the home",
            details={"key": "artifacts.store"},
            hint='set it in the settings: [artifacts] store = "s3://BUCKET/PREFIX", or a directory',
        )
    with closing(parts.unopened_artifacts()) as store:
        return store.send()


def fetch(parts: Parts) -> Fetched:
    """Bring all artifacts back that lie outside. Raises StorageUnreachable, StorageRefused, StorageFull."""
    assert parts.home is not None
    return fetch_store(parts.home / "artifacts", parts.store_keys, parts.outside)


def place_fault(parts: Parts, *, cold: bool = False) -> StorageUnreachable | StorageRefused | None:
    """Return what is wrong with the place that artifacts go to, or `cold` ones; None if nothing is.

    Writes nothing.
    """
    address = parts.outside.cold if cold else parts.outside.address
    if address is None:
        return None
    patience_s = min(parts.config.object_storage.patience, CHECK_PATIENCE_S)
    hurried = msgspec.structs.replace(
        parts.config,
        object_storage=msgspec.structs.replace(parts.config.object_storage, patience=patience_s),
    )
    places = outside_places(hurried, parts.environment, parts.home)
    try:
        with closing(parts.unopened_artifacts(places)) as store:
            store.check_place(address)
    except (StorageUnreachable, StorageRefused) as error:
        return error
    return None
