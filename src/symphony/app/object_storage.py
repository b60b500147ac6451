"""Opens object storage by its address: the only place that chooses an implementation."""

from pathlib import Path

from symphony.commons.settings import Config
from symphony.pit.artifacts.places.addresses import parse_address
from symphony.pit.artifacts.places.directory import DirectoryStorage
from symphony.ports.object_storage import ObjectStorage, StorageRefused


def storage_at(address: str, config: Config) -> ObjectStorage:
    """Return the place with this address. Asks nothing of it. Raises ValidationFailed, StorageRefused."""
    found = parse_address(address)
    if found.path:
        return DirectoryStorage(Path(found.path))
    raise StorageRefused(
        f"{found} cannot be opened with the settings of {type(config).__name__}", hint="give a path"
    )
