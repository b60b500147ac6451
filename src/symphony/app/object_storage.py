"""Opens object storage by its address: the only place that chooses an implementation.

Most homes have none, so what reads addresses and opens places is imported when there is one.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from symphony.commons.errors import ConfigInvalid, ValidationFailed
from symphony.commons.quantities import size_bytes
from symphony.commons.settings import Config
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.ports.object_storage import ObjectStorage, StorageRefused


def outside_places(config: Config, environment: Mapping[str, str], home: Path | None) -> OutsidePlaces:
    """Return where packs of artifacts lie outside of the home by the settings. Asks nothing of the place.

    Raises ConfigInvalid for an address, also for a directory in the home, whose own files lie there.
    """
    return OutsidePlaces(
        lambda place: storage_at(place, config, environment),
        _place("artifacts.store", config.artifacts.store, home),
        size_bytes(config.artifacts.cache),
        _place("tiers.cold", config.tiers.cold, home),
    )


def _place(key: str, address: str | None, home: Path | None) -> str | None:
    """Return the address that a setting holds. Raises ConfigInvalid."""
    if address is None:
        return None
    from symphony.pit.artifacts.places.addresses import parse_address

    if address.startswith("~"):
        address = str(Path(address).expanduser())
    try:
        found = parse_address(address)
    except ValidationFailed as error:
        raise ConfigInvalid(f"{key}: {error.message}", details={"key": key}, hint=error.hint) from None
    if found.path and home is not None and Path(found.path).resolve().is_relative_to(home.resolve()):
        raise ConfigInvalid(
            f"{key}: {found.path} is in the home, {home}",
            details={"key": key},
            hint="give a directory outside of the home, or s3://BUCKET/PREFIX",
        )
    if found.path and (Path(found.path) / "records.log").exists():
        raise ConfigInvalid(
            f"{key}: {found.path} is where another home keeps its artifacts",
            details={"key": key},
            hint="give a directory of its own, or s3://BUCKET/PREFIX",
        )
    return str(found)


def storage_at(address: str, config: Config, environment: Mapping[str, str]) -> ObjectStorage:
    """Return the place with this address. Asks nothing of it.

    Raises ValidationFailed for the address, StorageRefused if the library for buckets is not installed.
    """
    from symphony.pit.artifacts.places.addresses import parse_address

    found = parse_address(address)
    if found.path:
        from symphony.pit.artifacts.places.directory import DirectoryStorage

        return DirectoryStorage(Path(found.path))
    if find_spec("obstore") is None:
        from symphony.commons import installation

        raise StorageRefused(
            f"{found} is a bucket, and the library for buckets is not installed",
            details={"address": str(found)},
            hint=installation.adding("objects"),
        )
    from symphony.pit.artifacts.adapters.buckets import BucketStorage

    return BucketStorage(found.bucket, found.prefix, config.object_storage, environment)
