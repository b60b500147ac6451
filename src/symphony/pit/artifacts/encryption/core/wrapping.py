"""How the key of a store is kept: encrypted with a key that a passphrase or a random secret gives. Pure.

A passphrase gives a key by scrypt, whose cost makes guessing slow. A secret that is random already gives one
by HKDF, at no cost.
Sources: RFC 7914, "The scrypt Password-Based Key Derivation Function"; RFC 5869, "HMAC-based
Extract-and-Expand Key Derivation Function"; parameters: OWASP Password Storage Cheat Sheet.
"""

import base64
import hashlib
import hmac
import unicodedata
from collections.abc import Callable
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec

from symphony.pit.artifacts.encryption.core.payloads import (
    KEY_BYTES,
    KEY_ID_BYTES,
    NONCE_BYTES,
    Cipher,
    PayloadTampered,
)

FORMAT: Final = 1
SALT_BYTES: Final = 16
SCRYPT_N: Final = 1 << 17
SCRYPT_R: Final = 8
SCRYPT_P: Final = 1
"""128 MiB and about a third of a second for each guess."""
SECRET_BYTES_MIN: Final = 32
_MEMORY_MAX: Final = 1 << 30
_WORK_MAX: Final = 1 << 27
"""A file that somebody else has written can ask for no more than that: about a minute."""
_INFO: Final = b"symphony artifact key 1"

Opens: TypeAlias = Literal["passphrase", "key"]
Random: TypeAlias = Callable[[int], bytes]
"""So many random bytes."""


class KeyNotOpened(Exception):
    """The secret is not the one that the key was wrapped with, or the record has been changed."""


class KeyRecordDamaged(Exception):
    """The record of a wrapped key cannot be read."""


class OpeningSecret(NamedTuple):
    """What opens a key: a passphrase, or a `key` of at least 32 random bytes."""

    opens: Opens
    value: bytes

    def __repr__(self) -> str:
        """Return nothing of the value."""
        return f"OpeningSecret({self.opens})"

    @property
    def normal(self) -> "OpeningSecret":
        """Return it as keys are wrapped with it: a passphrase is NFC, and ends before its line does.

        So it is the same from every keyboard, and from a file. Earlier versions took it as it came.
        """
        if self.opens == "key":
            return self
        text = self.value.decode("utf-8", "surrogateescape").rstrip("\r\n")
        normal = unicodedata.normalize("NFC", text)
        return OpeningSecret(self.opens, normal.encode("utf-8", "surrogateescape"))


class Scrypt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parameters of scrypt: cost `n`, a power of two; block size `r`; parallelism `p`."""

    n: int = SCRYPT_N
    r: int = SCRYPT_R
    p: int = SCRYPT_P

    @property
    def memory(self) -> int:
        """Return the bytes that a derivation takes."""
        return 128 * self.r * (self.n + self.p + 2)


class WrappedKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The record of a store's key, as it is in its file: JSON, bytes in base64.

    `scrypt` is set if a passphrase opens it.
    """

    format: int
    key_id: bytes
    opens: Opens
    salt: bytes
    wrapped: bytes
    scrypt: Scrypt | None = None


class DataKey(NamedTuple):
    """The key that payloads are encrypted with. Its id is random, too, and no secret."""

    key_id: bytes
    value: bytes

    def __repr__(self) -> str:
        """Return nothing of the value."""
        return f"DataKey({self.key_id.hex()})"

    def cipher(self) -> Cipher:
        """Return what encrypts with it."""
        return Cipher(self.key_id, self.value)


def new_key(random: Random) -> DataKey:
    """Return a new key."""
    return DataKey(random(KEY_ID_BYTES), random(KEY_BYTES))


def wrap(key: DataKey, secret: OpeningSecret, random: Random, scrypt: Scrypt | None = None) -> WrappedKey:
    """Return a key wrapped, so that `secret` alone opens it. `scrypt` other than usual is for tests."""
    cost = (scrypt or Scrypt()) if secret.opens == "passphrase" else None
    made = WrappedKey(
        format=FORMAT,
        key_id=key.key_id,
        opens=secret.opens,
        salt=random(SALT_BYTES),
        wrapped=b"",
        scrypt=cost,
    )
    cipher = Cipher(key.key_id, derived(made, secret))
    wrapped = cipher.encrypt(key.value, _bound(made), random(NONCE_BYTES))
    return msgspec.structs.replace(made, wrapped=wrapped)


def unwrap(record: WrappedKey, secret: OpeningSecret) -> DataKey:
    """Return the key. Raises KeyNotOpened."""
    if secret.opens != record.opens:
        raise KeyNotOpened
    cipher = Cipher(record.key_id, derived(record, secret))
    try:
        value = cipher.decrypt(record.wrapped, _bound(record))
    except PayloadTampered:
        raise KeyNotOpened from None
    return DataKey(record.key_id, value)


def derived(record: WrappedKey, secret: OpeningSecret) -> bytes:
    """Return the key that a record is wrapped with: 32 bytes of scrypt or HKDF-SHA256."""
    cost = record.scrypt
    if cost is None:
        return _hkdf(secret.value, record.salt)
    return hashlib.scrypt(
        secret.value, salt=record.salt, n=cost.n, r=cost.r, p=cost.p, maxmem=2 * cost.memory, dklen=KEY_BYTES
    )


def encoded(record: WrappedKey) -> bytes:
    """Return the record as text for its file."""
    return msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n"


def decoded(text: bytes) -> WrappedKey:
    """Return the record. Raises KeyRecordDamaged; parameters that would cost too much are refused, too."""
    try:
        record = _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise KeyRecordDamaged("it cannot be read, or a later version wrote it") from None
    if record.format != FORMAT:
        raise KeyRecordDamaged(f"it has the format {record.format}, which this version does not know")
    if len(record.key_id) != KEY_ID_BYTES or len(record.salt) != SALT_BYTES:
        raise KeyRecordDamaged("it has the wrong length")
    cost = record.scrypt
    if (cost is None) != (record.opens == "key"):
        raise KeyRecordDamaged("it does not say how the passphrase becomes a key")
    if cost is not None and not _bearable(cost):
        raise KeyRecordDamaged("opening it would take too much time or memory")
    return record


def secret_of_text(text: bytes) -> OpeningSecret | None:
    """Return the secret in the contents of a key file, or None if that is no random key.

    A key is 32 bytes or more: as they are, as hexadecimal digits or in base64.
    """
    stripped = text.strip()
    for decode in (_of_hex, _of_base64):
        found = decode(stripped)
        if found is not None:
            return OpeningSecret("key", found) if len(found) >= SECRET_BYTES_MIN else None
    binary = any(byte < 0x09 or byte > 0x7E for byte in text)
    return OpeningSecret("key", text) if binary and len(text) >= SECRET_BYTES_MIN else None


def _of_hex(text: bytes) -> bytes | None:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError:
        return None


def _of_base64(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def _bearable(cost: Scrypt) -> bool:
    sound = cost.n > 1 and not cost.n & (cost.n - 1) and cost.r > 0 and cost.p > 0
    return sound and cost.memory <= _MEMORY_MAX and cost.n * cost.r * cost.p <= _WORK_MAX


def _bound(record: WrappedKey) -> bytes:
    """All of a record but the wrapped key."""
    return msgspec.msgpack.encode(msgspec.structs.replace(record, wrapped=b""))


def _hkdf(secret: bytes, salt: bytes) -> bytes:
    """One block of HKDF-SHA256, which is as long as a key."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, _INFO + b"\x01", "sha256")


_decoder = msgspec.json.Decoder(WrappedKey)
