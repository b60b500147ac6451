"""Keys of encrypted artifact stores, whose passphrase costs nothing to try."""

from pathlib import Path

from symphony.pit.artifacts.encryption.core.wrapping import Scrypt
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.encryption.sources import VARIABLE, KeySource

PASSPHRASE = "correct horse battery staple"
CHEAP = Scrypt(n=2, r=1, p=1)


def source(passphrase: str | None = PASSPHRASE) -> KeySource:
    return KeySource(environment={} if passphrase is None else {VARIABLE: passphrase})


def keys(root: Path, *, encrypts: bool = True, passphrase: str | None = PASSPHRASE) -> StoreKeys:
    """The key of the store in `root`, as a process that starts now has it."""
    return StoreKeys(root, source(passphrase), encrypts=encrypts, scrypt=CHEAP)
