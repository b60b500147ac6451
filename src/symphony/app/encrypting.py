"""How the artifacts of a home are encrypted, and what opens their key. Blocking."""

from pathlib import Path
from typing import NamedTuple

from symphony.app.key_sources import source_of
from symphony.app.parts import Parts
from symphony.commons.errors import SymphonyError
from symphony.commons.settings import EncryptionConfig
from symphony.pit.artifacts.encryption.keys import KeyState
from symphony.pit.artifacts.packs.converting import ConvertedPacks
from symphony.pit.artifacts.store.converting import convert_store, plain_and_encrypted


class EncryptionState(NamedTuple):
    """Whether new contents are encrypted, what is known of the key, and the bytes on the disk."""

    enabled: bool
    source: str
    path: Path
    key: KeyState
    plain_bytes: int
    encrypted_bytes: int


def state(parts: Parts) -> EncryptionState:
    """Return how the artifacts of a home are encrypted. Asks nobody for a passphrase."""
    home, config = _home_of(parts), parts.config.encryption
    keys = parts.store_keys
    plain, encrypted = plain_and_encrypted(home / "artifacts", keys, parts.outside)
    source = str(source_of(config, home, parts.environment))
    return EncryptionState(config.enabled, source, keys.path, keys.state(), plain, encrypted)


def rotate(parts: Parts, new: EncryptionConfig) -> None:
    """Let what `new` names open the key, and what the settings name no more. Rewrites nothing else.

    Raises EncryptionKeyMissing, EncryptionKeyWrong, EncryptionKeyLost, IoFailed.
    """
    parts.store_keys.rotate(source_of(new, Path.cwd(), parts.environment))


def convert(parts: Parts) -> ConvertedPacks:
    """Rewrite artifacts so that all are encrypted, or none, as the settings say.

    The index of the search is made again if it holds words that it should not. Raises what is wrong with the
    key, StorageFull, IoFailed.
    """
    root = _home_of(parts) / "artifacts"
    done = convert_store(root, parts.store_keys, parts.outside)
    if (root / "search").is_dir():
        parts.searching.index()
    return done


def _home_of(parts: Parts) -> Path:
    if parts.home is None:
        raise SymphonyError("a Symphony in memory encrypts nothing", code="no-home", hint="give it a home")
    return parts.home
