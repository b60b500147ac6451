"""The key of one store: in a file beside the packs, wrapped; opened when it is first needed."""

import logging
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory, write_atomic
from symphony.pit.artifacts.base.failures import file_lock, io_errors
from symphony.pit.artifacts.encryption.core.payloads import NONCE_BYTES, Cipher, key_id_of
from symphony.pit.artifacts.encryption.core.wrapping import (
    DataKey,
    KeyNotOpened,
    KeyRecordDamaged,
    OpeningSecret,
    Opens,
    Scrypt,
    WrappedKey,
    decoded,
    encoded,
    new_key,
    unwrap,
    wrap,
)
from symphony.pit.artifacts.encryption.errors import EncryptionKeyLost, EncryptionKeyWrong
from symphony.pit.artifacts.encryption.sources import KeySource

KEY_FILE: Final = "key.json"
_RECORD_BYTES_MAX: Final = 1 << 16

logger = logging.getLogger(__name__)


class KeyState(NamedTuple):
    """Whether a store has a key, what opens it, and whether the source that is configured does."""

    opens: Opens | None
    scrypt: Scrypt | None
    opened: Literal["opened", "unknown", "failed"]
    why: str = ""


class StoreKeys:
    """The key of the store in `root`. Thread-safe, several processes at once.

    `encrypts`: what is stored from now on is to be encrypted; what was stored is read either way. The key is
    made at the first use of a store that encrypts. It stays the same for ever: `rotate` changes only what
    opens it. Errors: EncryptionKeyMissing, EncryptionKeyWrong, EncryptionKeyLost, IoFailed.
    """

    def __init__(
        self,
        root: Path,
        source: KeySource | None = None,
        *,
        encrypts: bool = False,
        scrypt: Scrypt | None = None,
    ) -> None:
        """`scrypt`: the cost of passphrases that are set from now on, if not the usual one."""
        self.root, self.path, self.encrypts = root, root / KEY_FILE, encrypts
        self._source = KeySource() if source is None else source
        self._scrypt = scrypt
        self._mutex = threading.Lock()
        self._cipher: Cipher | None = None

    def encrypt(self, payload: bytes, bound: bytes, unless_lost: Callable[[], None]) -> bytes:
        """Return a payload encrypted, for `bound` alone. Makes the key if there is none.

        `unless_lost` raises EncryptionKeyLost if there was one before.
        """
        cipher = self._cipher or self._opened(unless_lost)
        return cipher.encrypt(payload, bound, os.urandom(NONCE_BYTES))

    def decrypt(self, encrypted: bytes, bound: bytes) -> bytes:
        """Return a payload. Raises PayloadTampered."""
        key_id, cipher = key_id_of(encrypted), self._cipher or self._opened(None)
        if key_id != cipher.key_id:
            raise EncryptionKeyLost(
                f"an artifact is encrypted with the key {key_id.hex()}, and {self.path} has another one",
                hint=f"restore the {KEY_FILE} of this store from a copy",
            )
        return cipher.decrypt(encrypted, bound)

    def make_ready(self, unless_lost: Callable[[], None]) -> None:
        """Open the key now, or make it; see `encrypt`."""
        if self._cipher is None:
            self._opened(unless_lost)

    @property
    def asks(self) -> bool:
        """True if a person will be asked for the passphrase."""
        return self._cipher is None and self._source.asks

    def rotate(self, new: KeySource) -> WrappedKey:
        """Let `new` open the key, and what opened it before no more. Nothing that is stored is rewritten."""
        before = self._required()
        key = self._unwrapped(before, self._source.secret())
        secret = new.secret(new=True)
        with file_lock(self.root / "key.lock", exclusive=True):
            if self._required() != before:
                raise EncryptionKeyWrong(
                    f"another process has just changed what opens the key {self.path}",
                    hint="nothing was changed: name what opens it now, and rotate again",
                )
            record = wrap(key, secret, os.urandom, self._scrypt)
            assert unwrap(record, secret) == key
            self._write(record)
        return record

    def state(self) -> KeyState:
        """Return what is known of the key. Asks nobody for a passphrase."""
        record = self._record()
        if record is None:
            return KeyState(None, None, "unknown")
        if self.asks:
            return KeyState(record.opens, record.scrypt, "unknown", f"{self._source} is not set")
        try:
            self._unwrapped(record, self._source.secret())
        except SymphonyError as error:
            return KeyState(record.opens, record.scrypt, "failed", error.message)
        return KeyState(record.opens, record.scrypt, "opened")

    def _opened(self, unless_lost: Callable[[], None] | None) -> Cipher:
        with self._mutex:
            if self._cipher is None:
                if unless_lost is not None and self._record() is None:
                    self._cipher = self._made(unless_lost).cipher()
                else:
                    self._cipher = self._unwrapped(self._required(), self._source.secret()).cipher()
            return self._cipher

    def _made(self, unless_lost: Callable[[], None]) -> DataKey:
        """Return a new key, durable, unless another process is quicker."""
        secret = self._source.secret(new=True)
        private_directory(self.root)
        with file_lock(self.root / "key.lock", exclusive=True):
            record = self._record()
            if record is None:
                unless_lost()
                key = new_key(os.urandom)
                record = wrap(key, secret, os.urandom, self._scrypt)
                self._write(record)
                logger.info("made the key %s: keep a copy of it", self.path)
                return key
        return self._unwrapped(record, secret)

    def _unwrapped(self, record: WrappedKey, secret: OpeningSecret) -> DataKey:
        for form in dict.fromkeys((secret.normal, secret)):
            with suppress(KeyNotOpened):
                return unwrap(record, form)
        why = f"{self._source} does not open the key {self.path}"
        if secret.opens != record.opens:
            needed = "a passphrase" if record.opens == "passphrase" else "a key file or a key command"
            why = f"{self._source} cannot open the key {self.path}, which {needed} opens"
        raise EncryptionKeyWrong(
            why, hint="check the section [encryption] of the settings; nothing else opens the key"
        )

    def _required(self) -> WrappedKey:
        record = self._record()
        if record is None:
            raise self.lost("it is not there")
        return record

    def _record(self) -> WrappedKey | None:
        try:
            with io_errors(f"read {self.path}"), self.path.open("rb") as file:
                return decoded(file.read(_RECORD_BYTES_MAX))
        except KeyRecordDamaged as why:
            raise self.lost(str(why)) from None
        except SymphonyError as error:
            if isinstance(error.__cause__, FileNotFoundError | NotADirectoryError):
                return None
            raise

    def _write(self, record: WrappedKey) -> None:
        write_atomic(self.path, encoded(record), mode=0o600)

    def lost(self, why: str) -> EncryptionKeyLost:
        """Return the error for a store whose key is lost."""
        return EncryptionKeyLost(
            f"the artifacts are encrypted, and their key {self.path} is lost: {why}",
            hint=f"restore {KEY_FILE} from a copy; without it nobody can read them",
        )
