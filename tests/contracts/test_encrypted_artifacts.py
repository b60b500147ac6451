"""What an encrypted store keeps to, besides what every store does: secrecy, its key, and what is changed."""

import base64
import os
import random
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.encryption import CHEAP, PASSPHRASE, keys, source
from tests.support.packs import flip, frames_of, old_object, pack_files

from symphony.pit.artifacts.encryption.core.wrapping import OpeningSecret, decoded, encoded, unwrap, wrap
from symphony.pit.artifacts.encryption.errors import (
    EncryptionKeyLost,
    EncryptionKeyMissing,
    EncryptionKeyWrong,
)
from symphony.pit.artifacts.encryption.sources import VARIABLE, KeySource
from symphony.pit.artifacts.packs.frames import ENCRYPTED, ItemKind, PackFrame, frame_head
from symphony.pit.artifacts.packs.manifests import Manifest
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.store.checking import StoreCheck
from symphony.pit.artifacts.store.converting import convert_store, plain_and_encrypted
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import ArtifactCorrupt, ArtifactTampered
from symphony.ports.values import ArtifactRef

SECRET = b"nobody should read this"


def opened(root: Path, *, encrypts: bool = True, passphrase: str | None = PASSPHRASE) -> FileArtifacts:
    return FileArtifacts(root, keys=keys(root, encrypts=encrypts, passphrase=passphrase))


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(VARIABLE, PASSPHRASE)  # for those who look into the packs
    return tmp_path / "artifacts"


@pytest.fixture
def store(root: Path) -> Iterator[FileArtifacts]:
    made = opened(root)
    yield made
    made.close()


def put(store: FileArtifacts, body: bytes, name: str | None = "name") -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def large(seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(50_000) + SECRET + random.Random(seed + 1).randbytes(300_000)


def files(root: Path) -> dict[str, bytes]:
    return {str(p): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def test_no_content_lies_open_on_the_disk(store: FileArtifacts) -> None:
    put(store, SECRET)
    ref = put(store, large())
    with store.writer(content_type="text/plain") as writer:
        writer.write(large(3))
        writer.commit()
    with_chunks = frames_of(store.root, ref.digest)
    store.close()
    assert all(frame.encrypted for _, frame in with_chunks)
    assert SECRET not in b"".join(files(store.root).values())
    assert PASSPHRASE.encode() not in b"".join(files(store.root).values())
    assert (store.root / "key.json").stat().st_mode & 0o777 == 0o600


def test_the_same_body_is_stored_once_and_never_looks_the_same(root: Path, tmp_path: Path) -> None:
    one, two = opened(root), opened(tmp_path / "other")
    for _ in range(3):
        put(one, large())
    put(two, large())
    assert sum(map(len, map(Path.read_bytes, pack_files(root)))) < 1.1 * len(large())
    payloads = []
    for store in (one, two):
        ((path, frame), *_) = frames_of(store.root, put(store, large()).digest)
        payloads.append(path.read_bytes()[frame.offset + frame.head : frame.end])
    assert payloads[0] != payloads[1]


def test_what_was_plain_stays_readable_and_is_converted_when_told(root: Path) -> None:
    plain = opened(root, encrypts=False)
    first, second = put(plain, SECRET), put(plain, large())
    (old,) = [old_object(root, b"of an earlier version")]
    plain.close()
    store = opened(root)
    assert store.get(first.digest) == SECRET
    third = put(store, b"encrypted", "other")
    store.close()
    assert SECRET in b"".join(files(root).values())
    plain_bytes, encrypted_bytes = plain_and_encrypted(root, store.keys)
    assert plain_bytes > 300_000
    assert 0 < encrypted_bytes < 1_000
    done = convert_store(root, store.keys)
    assert (done.packs > 0, done.left, old.exists()) == (True, 0, False)
    assert plain_and_encrypted(root, store.keys)[0] == 0
    assert convert_store(root, store.keys) == (0, 0)
    store.close()
    assert SECRET not in b"".join(files(root).values())
    again = opened(root)
    assert [again.get(one.digest) for one in (first, second, third)] == [SECRET, large(), b"encrypted"]
    again.close()
    assert {fault.kind for fault in StoreCheck(root, keys=keys(root)).faults()} == {"unrecorded"}


def test_what_was_encrypted_is_readable_after_encryption_is_turned_off(store: FileArtifacts) -> None:
    first, second = put(store, SECRET), put(store, large())
    store.close()
    off = opened(store.root, encrypts=False)
    third = put(off, b"plain", "third")
    off.close()
    assert convert_store(store.root, off.keys).left == 0
    assert plain_and_encrypted(store.root, off.keys)[1] == 0
    off.close()
    (store.root / "key.json").unlink()  # nothing needs it any more
    bare = FileArtifacts(store.root)
    assert [bare.get(one.digest) for one in (first, second, third)] == [SECRET, large(), b"plain"]


def test_a_collection_encrypts_what_it_rewrites(root: Path) -> None:
    plain = opened(root, encrypts=False)
    kept = put(plain, b"x" * 100, "kept")
    put(plain, large(), None)
    plain.close()
    store = opened(root)
    store.collect(min_age_s=-1)
    assert plain_and_encrypted(root, store.keys)[0] == 0
    assert store.get(kept.digest) == b"x" * 100


@pytest.mark.parametrize(
    ("passphrase", "error"), [(None, EncryptionKeyMissing), ("wrong", EncryptionKeyWrong)]
)
def test_without_the_right_key_nothing_is_read_judged_or_changed(
    store: FileArtifacts, passphrase: str | None, error: type[Exception]
) -> None:
    ref = put(store, large())
    store.close()
    before = files(store.root)
    other = opened(store.root, passphrase=passphrase)
    wrong = keys(store.root, passphrase=passphrase)
    check = StoreCheck(store.root, keys=wrong)
    for attempt in (
        lambda: other.get(ref.digest),
        lambda: other.open(ref.digest).read(),
        lambda: other.ranges(ref.digest),
        lambda: put(other, b"new"),
        lambda: list(check.faults()),
    ):
        with pytest.raises(error) as raised:
            attempt()
        assert raised.value.hint  # type: ignore[attr-defined]
    other.close()
    after = files(store.root)
    packed = [name for name in before if name.endswith((".pack", ".json"))]
    assert {name: after[name] for name in packed} == {name: before[name] for name in packed}
    (store.root / "packs.db").unlink()  # an index cannot be made without the key: chunks would look unneeded
    with pytest.raises(error):
        opened(store.root, passphrase=passphrase).get(ref.digest)
    assert opened(store.root).get(ref.digest) == large()


@pytest.mark.parametrize("damage", ["gone", "empty", "of another store"])
def test_a_lost_key_is_an_error_and_no_new_one_is_made(
    store: FileArtifacts, tmp_path: Path, damage: str
) -> None:
    ref, path = put(store, SECRET), store.root / "key.json"
    store.close()
    kept = path.read_bytes()
    path.unlink()
    if damage == "empty":
        path.touch()
    elif damage == "of another store":
        put(opened(tmp_path / "other"), b"x")
        path.write_bytes((tmp_path / "other" / "key.json").read_bytes())
    left = path.read_bytes() if path.exists() else None
    with pytest.raises(EncryptionKeyLost):
        opened(store.root).get(ref.digest)
    if damage != "of another store":
        with pytest.raises(EncryptionKeyLost):
            put(opened(store.root), b"something new")
    assert (path.read_bytes() if path.exists() else None) == left
    path.write_bytes(kept)
    assert opened(store.root).get(ref.digest) == SECRET


def rewritten(path: Path, frame: PackFrame, payload: bytes, codec: int | None = None) -> None:
    """Replace a payload by one of the same length, with checksums that are right."""
    assert len(payload) == frame.stored
    head = frame_head(path.stem, frame.codec if codec is None else codec, frame.raw, payload, frame.items)
    body = bytearray(path.read_bytes())
    body[frame.offset : frame.end] = head + payload
    path.write_bytes(body)


def payload_of(path: Path, frame: PackFrame) -> bytes:
    return path.read_bytes()[frame.offset + frame.head : frame.end]


@pytest.mark.parametrize("how", ["a bit", "another item", "codec", "cut short"])
def test_a_change_with_right_checksums_is_tampering_and_is_left_as_it_is(
    store: FileArtifacts, how: str
) -> None:
    one, two = put(store, b"transfer 10", "one"), put(store, b"transfer 99", "two")
    good = put(store, b"good", "good")
    store.close()
    ((path, frame),), ((_, other),) = (frames_of(store.root, ref.digest) for ref in (one, two))
    payload = bytearray(payload_of(path, frame))
    if how == "a bit":
        payload[-1] ^= 1
    elif how == "another item":
        payload = bytearray(payload_of(path, other))
    elif how == "cut short":
        payload = bytearray(frame.stored)
        payload[:8] = payload_of(path, frame)[:8]
    rewritten(path, frame, bytes(payload), frame.codec ^ 1 if how == "codec" else None)
    for attempt in (lambda: store.get(one.digest), lambda: store.open(one.digest).read()):
        with pytest.raises(ArtifactTampered) as raised:
            attempt()
        assert raised.value.code == "artifact-tampered"
    store.close()
    before = files(store.root)
    check = StoreCheck(store.root, keys=keys(store.root))
    (fault,) = check.faults()
    assert (fault.kind, fault.name, fault.known_as) == ("tampered", one.digest, "one")
    assert check.repair(fault) == ""
    store.close()
    assert {n: b for n, b in files(store.root).items() if n.endswith(".pack")} == {
        n: b for n, b in before.items() if n.endswith(".pack")
    }
    assert store.get(good.digest) == b"good"


def test_a_flipped_bit_is_damage_that_a_repair_puts_aside_encrypted(store: FileArtifacts) -> None:
    ref = put(store, SECRET)
    store.close()
    ((path, frame),) = frames_of(store.root, ref.digest)
    flip(path, frame.end - 1)
    with pytest.raises(ArtifactCorrupt) as raised:
        store.get(ref.digest)
    assert not isinstance(raised.value, ArtifactTampered)
    store.close()
    check = StoreCheck(store.root, keys=keys(store.root))
    done = [check.repair(fault) for fault in list(check.faults())]
    assert all(done)
    aside = (store.root / "quarantine" / ref.digest).read_bytes()
    assert aside
    assert SECRET not in b"".join(files(store.root).values())


def test_a_forged_list_of_chunks_is_not_believed_for_parts_of_a_body(store: FileArtifacts) -> None:
    """Anybody who can write there can write what is not encrypted, with checksums that are right."""
    ref = put(store, large())
    forged = opened(store.root, encrypts=False)
    chunks = put(forged, large(7), "forged")
    packs = Packs(store.root, keys=keys(store.root, encrypts=False))
    row = packs.find(bytes.fromhex(chunks.digest))
    assert row is not None
    listed = packs.manifest(row)
    assert listed.size == ref.size
    manifest = Manifest()
    for digest, length in listed:
        manifest.add(digest, length)
    packs.add([packs.framing.framed_manifest(bytes.fromhex(ref.digest), manifest)])
    packs.close()
    forged.close()
    with pytest.raises(ArtifactCorrupt), opened(store.root).ranges(ref.digest) as ranges:
        ranges.read(0, 10)
    with pytest.raises(ArtifactCorrupt):
        opened(store.root).get(ref.digest)


def test_rotation_changes_what_opens_the_key_and_nothing_else(store: FileArtifacts, tmp_path: Path) -> None:
    ref = put(store, SECRET)
    store.close()
    packed = [path.read_bytes() for path in pack_files(store.root)]
    file = tmp_path / "new.key"
    file.write_text("0f" * 32 + "\n")
    keys(store.root).rotate(KeySource(file=file))
    assert [path.read_bytes() for path in pack_files(store.root)] == packed
    with pytest.raises(EncryptionKeyWrong, match="which a key file or a key command opens"):
        opened(store.root).get(ref.digest)
    by_file = FileArtifacts(store.root, keys=type(store.keys)(store.root, KeySource(file=file)))
    assert by_file.get(ref.digest) == SECRET
    assert store.get(ref.digest) == SECRET  # its key was opened before
    by_file.keys.rotate(source("another"))
    assert opened(store.root, passphrase="another").get(ref.digest) == SECRET
    with pytest.raises(EncryptionKeyWrong):
        keys(store.root).rotate(source("mine"))
    assert opened(store.root, passphrase="another").get(ref.digest) == SECRET


def test_of_two_rotations_at_once_one_is_refused(store: FileArtifacts) -> None:
    ref, asked = put(store, SECRET), list[bool]()

    def meanwhile(new: bool) -> str:
        asked.append(new)
        keys(store.root).rotate(source("first"))
        return "second"

    with pytest.raises(EncryptionKeyWrong, match="has just changed what opens the key"):
        keys(store.root).rotate(KeySource(environment={}, ask=meanwhile))
    assert asked == [True]
    assert opened(store.root, passphrase="first").get(ref.digest) == SECRET


@pytest.mark.parametrize("typed", ["caf\u00e9", "cafe\u0301", "cafe\u0301\n", "caf\u00e9\r\n"])
@pytest.mark.parametrize("told", ["caf\u00e9", "cafe\u0301\n"])
def test_a_passphrase_is_the_same_from_every_keyboard_and_from_a_file(
    root: Path, told: str, typed: str
) -> None:
    ref = put(opened(root, passphrase=told), SECRET)
    assert opened(root, passphrase=typed).get(ref.digest) == SECRET
    with pytest.raises(EncryptionKeyWrong):
        opened(root, passphrase="cafe").get(ref.digest)


def test_a_key_that_an_earlier_version_wrapped_with_a_passphrase_as_it_came_is_opened(root: Path) -> None:
    store, raw = opened(root), OpeningSecret("passphrase", b"cafe\xcc\x81\n")
    ref = put(store, SECRET)
    record = decoded((root / "key.json").read_bytes())
    key = unwrap(record, OpeningSecret("passphrase", PASSPHRASE.encode()))
    (root / "key.json").write_bytes(encoded(wrap(key, raw, os.urandom, CHEAP)))
    assert opened(root, passphrase="cafe\u0301\n").get(ref.digest) == SECRET
    with pytest.raises(EncryptionKeyWrong):
        opened(root, passphrase="caf\u00e9").get(ref.digest)


def test_stores_that_begin_at_once_make_one_key(root: Path) -> None:
    stores = [opened(root) for _ in range(8)]
    refs, together = dict[int, ArtifactRef](), threading.Barrier(len(stores))

    def begin(number: int) -> None:
        together.wait()
        refs[number] = put(stores[number], b"body %d" % number, f"n{number}")

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for store in stores:
        store.close()
    fresh = opened(root)
    assert [fresh.get(refs[number].digest) for number in range(8)] == [b"body %d" % n for n in range(8)]


def test_a_key_comes_from_a_file_a_command_or_a_person(tmp_path: Path) -> None:
    asked = list[bool]()

    def ask(new: bool) -> str | None:
        asked.append(new)
        return PASSPHRASE

    for name, given in (
        ("file", KeySource(file=tmp_path / "key")),
        ("command", KeySource(command=["cat", str(tmp_path / "key")])),
        ("person", KeySource(environment={}, ask=ask)),
    ):
        (tmp_path / "key").write_bytes(bytes(range(0, 256, 8)))
        made = FileArtifacts(tmp_path / name, keys=keys(tmp_path / name).__class__(
            tmp_path / name, given, encrypts=True, scrypt=keys(tmp_path)._scrypt
        ))  # fmt: skip
        ref = put(made, SECRET)
        made.close()
        again = FileArtifacts(tmp_path / name, keys=type(made.keys)(tmp_path / name, given))
        assert again.get(ref.digest) == SECRET
    assert asked == [True, False]


@pytest.mark.parametrize(
    "given",
    [
        KeySource(file=Path("absent")),
        KeySource(command=["false"]),
        KeySource(command=["./no such program"]),
        KeySource(command=["echo", "a passphrase"]),
        KeySource(environment={VARIABLE: ""}),
        KeySource(environment={VARIABLE: "\n"}),
    ],
    ids=["no file", "fails", "no program", "no key", "empty", "empty line"],
)
def test_a_source_that_gives_no_key_says_so(root: Path, given: KeySource) -> None:
    store = FileArtifacts(root, keys=type(keys(root))(root, given, encrypts=True))
    with pytest.raises(EncryptionKeyMissing) as raised:
        put(store, SECRET)
    assert raised.value.hint
    assert not (root / "key.json").exists()
    assert SECRET not in b"".join(files(root).values())


def test_a_pack_and_its_key_are_read_for_ever(root: Path) -> None:
    """What a version wrote: a body, a manifest with its chunks, a passphrase of real cost."""
    (root / "packs").mkdir(parents=True)
    (root / "packs" / "00112233aabbccdd.pack").write_bytes(zlib.decompress(base64.b85decode(PACK)))
    (root / "key.json").write_bytes(KEY)
    store = FileArtifacts(root)
    body = b"kept for ever\n" * 6_000
    digests = sorted(store.get(one.digest) for one in store.records())
    assert digests == sorted([b"a small body", body])
    with store.ranges(next(one.digest for one in store.records() if one.size == len(body))) as ranges:
        assert ranges.read(14 * 5_999, 99) == b"kept for ever\n"
    found = {
        ItemKind(item.kind)
        for one in store.records()
        for _, frame in frames_of(root, one.digest)
        for item in frame.items
    }
    assert found == set(ItemKind)
    assert all(frame.codec & ENCRYPTED for one in store.records() for _, frame in frames_of(root, one.digest))


KEY = b"""{
  "format": 1,
  "key_id": "lse0TSXAhr8=",
  "opens": "passphrase",
  "salt": "8Nls9QwUA7a1uo60kQb6vQ==",
  "wrapped": "lse0TSXAhr+sO9X/N4QYlMduYbmQig3yiRxhLPQDNeHdBGzE+b/0MCQ6e+RVRZgNUi07/wfJbs66KpcnSJ+gDNhtYvI=",
  "scrypt": {
    "n": 131072,
    "r": 8,
    "p": 1
  }
}
"""
PACK = (
    "c$_P)%q_^s&#P1@NKDRFFyvwoR5D(*`^;Ud4-4Y223NW@FfcM0FfcIi0CD`yyn4kg7Uviky8m7j<hgCw)ibMT1^c|#C2j_iT"
    "Q~lbb7T9rGdZcM^#u=92MA0%zQtGdK->QN2cH?5J!f`t?|Zhe{C~7fu<DJiGx=|*pSZ8rb5PLXe{jv`?*~>}Zvffa$iT$l2G"
    "pzI!N`zuO><w=YV&^#OuCOWQ`Y`_Sa<W^`RoTmscILW|59E5u}rLgQpdDE3^Sq_fNq6gAYf|Eo%Q|H?#ms%7r7!FJ`_IMlQ;"
    "9goH(IfKW5H5vthfNxPk}Bd{j5ie)|0Cp;ggaT-?u`|0y)fykXm}x?=x35_{9;yqnnb>k30wefzDmft*`;d-hMve|fglo|jG"
    "fLFt@ioh`?<`@zDi2WVmj5PLWH$QXtGP-9@cCA;^*=?`^RvX9LFyq9_Efg4+|A75tuPkzmo_Lglfb2el^{fg|Cr*Bmn>u>CJ"
    "e6jA&<AS4VyQg?NUAl8rUU&V}<$5jBt}i<~B(vAX9MTFY|CXU2_+ugW1KD%up6rsoX=2Uj<}%wy=<p`BXKvpO%^MphSo?_I5"
    ">mSSPcxnI-os@JwbW<%SG+pOZ}2wTDEw|t>+w?`bf(K~|EqR$<)4pxuli};wJq{r6RUCr05t~k%m"
)
