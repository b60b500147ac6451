"""Payloads, encrypted with AES-256-GCM. Pure: the caller brings the nonce.

    key id 8 | nonce 12 | ciphertext, as long as the payload | tag 16

What a payload is bound to is authenticated with it: it can be decrypted for that alone.
Source: NIST SP 800-38D, "Recommendation for Block Cipher Modes of Operation: Galois/Counter Mode".
"""

from functools import cached_property
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 8
NONCE_BYTES: Final = 12
"""Drawn at random for each payload. NIST allows 2**32 of them under one key: then the chance that two are
the same is still below 2**-32."""
OVERHEAD_BYTES: Final = KEY_ID_BYTES + NONCE_BYTES + 16
_PURPOSE: Final = b"symphony artifact payload 1\n"


class PayloadTampered(Exception):
    """The payload, or what it is bound to, is not what was encrypted with this key."""


def key_id_of(encrypted: bytes) -> bytes:
    """Return the id of the key that an encrypted payload needs. Raises PayloadTampered if it is too short."""
    if len(encrypted) < OVERHEAD_BYTES:
        raise PayloadTampered("it is too short to be encrypted")
    return encrypted[:KEY_ID_BYTES]


class Cipher:
    """Encrypts and decrypts with one key, which has an id. Thread-safe."""

    def __init__(self, key_id: bytes, key: bytes) -> None:
        assert len(key_id) == KEY_ID_BYTES
        assert len(key) == KEY_BYTES
        self.key_id, self._key = key_id, key

    @cached_property
    def _aead(self) -> "AESGCM":
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        return AESGCM(self._key)

    def encrypt(self, payload: bytes, bound: bytes, nonce: bytes) -> bytes:
        """Return a payload encrypted, for `bound` alone. No nonce may ever be used twice with one key."""
        assert len(nonce) == NONCE_BYTES
        return self.key_id + nonce + self._aead.encrypt(nonce, payload, self._about(bound))

    def decrypt(self, encrypted: bytes, bound: bytes) -> bytes:
        """Return the payload. Raises PayloadTampered."""
        from cryptography.exceptions import InvalidTag

        if key_id_of(encrypted) != self.key_id:
            raise PayloadTampered("it is encrypted with another key")
        nonce = encrypted[KEY_ID_BYTES : KEY_ID_BYTES + NONCE_BYTES]
        try:
            return self._aead.decrypt(nonce, encrypted[KEY_ID_BYTES + NONCE_BYTES :], self._about(bound))
        except InvalidTag:
            raise PayloadTampered("it is not what was encrypted") from None

    def _about(self, bound: bytes) -> bytes:
        return _PURPOSE + self.key_id + bound
