"""Errors of the key that a store is encrypted with."""

from symphony.commons.errors import SymphonyError


class EncryptionKeyMissing(SymphonyError):
    """Nothing gives the passphrase or the key that opens the store's key."""

    code = "encryption-key-missing"


class EncryptionKeyWrong(SymphonyError):
    """The passphrase or the key does not open the store's key."""

    code = "encryption-key-wrong"


class EncryptionKeyLost(SymphonyError):
    """The file with the wrapped key is gone, damaged, or that of another store."""

    code = "encryption-key-lost"
