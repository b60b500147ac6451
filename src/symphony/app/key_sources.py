"""What opens the key of a home's artifacts, by the settings."""

from collections.abc import Mapping
from pathlib import Path

from symphony.commons.prompting import asked_passphrase
from symphony.commons.settings import EncryptionConfig
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.encryption.sources import KeySource


def store_keys(config: EncryptionConfig, home: Path, environment: Mapping[str, str]) -> StoreKeys:
    """Return what opens the key of a home's artifacts."""
    return StoreKeys(home / "artifacts", source_of(config, home, environment), encrypts=config.enabled)


def source_of(config: EncryptionConfig, home: Path, environment: Mapping[str, str]) -> KeySource:
    """Return the source that settings name. A relative `key_file` is looked up in the home."""
    file = None if config.key_file is None else home / Path(config.key_file).expanduser()
    return KeySource(
        variable=config.passphrase, file=file, command=config.key_command, environment=environment,
        ask=asked_passphrase,
    )  # fmt: skip
