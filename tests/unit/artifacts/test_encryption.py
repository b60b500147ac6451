"""Payloads and keys: the vectors of the standards, and what is refused."""

import base64
import hashlib
import hmac
from itertools import count

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.artifacts.encryption.core.payloads import (
    KEY_ID_BYTES,
    NONCE_BYTES,
    OVERHEAD_BYTES,
    Cipher,
    PayloadTampered,
    key_id_of,
)
from symphony.pit.artifacts.encryption.core.wrapping import (
    DataKey,
    KeyNotOpened,
    KeyRecordDamaged,
    OpeningSecret,
    Scrypt,
    WrappedKey,
    decoded,
    derived,
    encoded,
    new_key,
    secret_of_text,
    unwrap,
    wrap,
)

KEY = DataKey(b"key-id-1", bytes(range(32)))
CHEAP = Scrypt(n=2, r=1, p=1)
PASSPHRASE = OpeningSecret("passphrase", b"correct horse")
RANDOM = OpeningSecret("key", bytes(range(100, 132)))


def numbered() -> "type[bytes] | object":
    numbers = count()
    return lambda size: hashlib.shake_128(next(numbers).to_bytes(4, "big")).digest(size)


def test_a_payload_is_what_a_bare_aes_256_gcm_makes_of_it() -> None:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = bytes(NONCE_BYTES)
    made = KEY.cipher().encrypt(b"the payload", b"bound", nonce)
    about = b"symphony artifact payload 1\nkey-id-1bound"
    assert made == b"key-id-1" + nonce + AESGCM(KEY.value).encrypt(nonce, b"the payload", about)
    assert len(made) == len(b"the payload") + OVERHEAD_BYTES


def test_the_cipher_gives_the_vectors_of_the_standard() -> None:
    """Test cases 13, 14 and 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", 2005."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    zero = Cipher(bytes(KEY_ID_BYTES), bytes(32))._aead
    assert isinstance(zero, AESGCM)
    assert zero.encrypt(bytes(12), b"", None).hex() == "530f8afbc74536b9a963b4f1c4cb738b"
    assert zero.encrypt(bytes(12), bytes(16), None).hex() == (
        "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    )
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
    plain = bytes.fromhex(
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525"
        "b16aedf5aa0de657ba637b39"
    )
    about = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
    found = Cipher(bytes(KEY_ID_BYTES), key)._aead.encrypt(
        bytes.fromhex("cafebabefacedbaddecaf888"), plain, about
    )
    assert found.hex() == (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838"
        "c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"
    )


@pytest.mark.parametrize(
    ("passphrase", "salt", "cost", "expected"),
    [
        (b"", b"", Scrypt(n=16, r=1), "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"),
        (
            b"password", b"NaCl", Scrypt(n=1024, r=8, p=16),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162",
        ),
    ],
)  # fmt: skip
def test_a_passphrase_gives_the_key_that_rfc_7914_says(
    passphrase: bytes, salt: bytes, cost: Scrypt, expected: str
) -> None:
    record = WrappedKey(format=1, key_id=bytes(8), opens="passphrase", salt=salt, wrapped=b"", scrypt=cost)
    assert derived(record, OpeningSecret("passphrase", passphrase)).hex() == expected


def test_a_random_secret_gives_a_key_by_hkdf() -> None:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    record = WrappedKey(format=1, key_id=bytes(8), opens="key", salt=b"s" * 16, wrapped=b"")
    library = HKDF(SHA256(), 32, salt=b"s" * 16, info=b"symphony artifact key 1")
    assert derived(record, RANDOM) == library.derive(RANDOM.value)
    # Test case 1 of RFC 5869, whose first half is the same for everybody.
    extracted = hmac.digest(bytes(range(13)), b"\x0b" * 22, "sha256")
    assert extracted.hex() == "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5"


@given(payload=st.binary(max_size=200), bound=st.binary(max_size=50), data=st.data())
def test_no_changed_byte_goes_unnoticed(payload: bytes, bound: bytes, data: st.DataObject) -> None:
    cipher = KEY.cipher()
    made = cipher.encrypt(payload, bound, bytes(NONCE_BYTES))
    assert cipher.decrypt(made, bound) == payload
    at = data.draw(st.integers(0, len(made) - 1))
    changed = made[:at] + bytes([made[at] ^ data.draw(st.integers(1, 255))]) + made[at + 1 :]
    for encrypted, about in ((changed, bound), (made, bound + b"x"), (made[:-1], bound), (made[:20], bound)):
        with pytest.raises(PayloadTampered):
            cipher.decrypt(encrypted, about)


def test_another_key_does_not_decrypt_even_under_the_same_id() -> None:
    made = KEY.cipher().encrypt(b"x", b"", bytes(NONCE_BYTES))
    assert key_id_of(made) == b"key-id-1"
    with pytest.raises(PayloadTampered):
        Cipher(b"key-id-1", bytes(32)).decrypt(made, b"")


@pytest.mark.parametrize("secret", [PASSPHRASE, RANDOM])
def test_only_the_secret_opens_a_key(secret: OpeningSecret) -> None:
    key = new_key(numbered())
    record = decoded(encoded(wrap(key, secret, numbered(), CHEAP)))
    assert unwrap(record, secret) == key
    assert (record.scrypt is None) == (secret.opens == "key")
    for wrong in (secret._replace(value=secret.value + b"x"), RANDOM if secret is PASSPHRASE else PASSPHRASE):
        with pytest.raises(KeyNotOpened):
            unwrap(record, wrong)
    for change in ({"key_id": b"12345678"}, {"salt": bytes(16)}, {"wrapped": record.wrapped[:-1] + b"x"}):
        with pytest.raises(KeyNotOpened):
            unwrap(msgspec.structs.replace(record, **change), secret)
    assert secret.value.decode("latin-1") not in repr((key, secret))


def test_a_record_is_kept_readable() -> None:
    """What a version wrote is opened for ever."""
    text = b"""{
  "format": 1,
  "key_id": "a2V5LWlkLTE=",
  "opens": "passphrase",
  "salt": "MDEyMzQ1Njc4OWFiY2RlZg==",
  "wrapped": "a2V5LWlkLTEwMTIzNDU2Nzg5YWLXLdjocY9GrP1pBQAywQI2HMIf9NglmemVtbXYQrWqGgs72s3L0MlV9spehIxMsic=",
  "scrypt": {"n": 2, "r": 1, "p": 1}
}"""
    assert unwrap(decoded(text), PASSPHRASE) == KEY


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2}, {"key_id": b"short"}, {"salt": b"short"}, {"scrypt": None}, {"opens": "key"},
        {"scrypt": Scrypt(n=3)}, {"scrypt": Scrypt(n=1)}, {"scrypt": Scrypt(n=1 << 30)},
        {"scrypt": Scrypt(r=1 << 20)}, {"scrypt": Scrypt(n=2, r=1, p=1 << 28)}, {"scrypt": Scrypt(r=0)},
    ],
)  # fmt: skip
def test_a_record_that_cannot_be_or_costs_too_much_is_refused(change: dict[str, object]) -> None:
    record = msgspec.structs.replace(wrap(KEY, PASSPHRASE, numbered(), CHEAP), **change)
    with pytest.raises(KeyRecordDamaged):
        decoded(encoded(record))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"format": 1}'])
def test_what_is_no_record_is_refused(text: bytes) -> None:
    with pytest.raises(KeyRecordDamaged):
        decoded(text)


KEY_BODY = bytes(range(0, 256, 8))


@pytest.mark.parametrize(
    "text",
    [
        KEY_BODY.hex().encode(), KEY_BODY.hex().upper().encode() + b"\n",
        base64.b64encode(KEY_BODY) + b"\r\n", KEY_BODY,
    ],
)  # fmt: skip
def test_a_key_file_may_be_binary_hexadecimal_or_base64(text: bytes) -> None:
    assert secret_of_text(text) == OpeningSecret("key", KEY_BODY)


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"a passphrase is no random key, however long it is", b"ab" * 31]
)
def test_what_is_no_random_key_is_refused_as_one(text: bytes) -> None:
    assert secret_of_text(text) is None
