"""In how little space, and how fast, are the releases of a real program stored?

Question: bytes on the disk and seconds to take in six successive source releases of Django from the package
registry, file by file, beside borg (zstd,3, no encryption) and restic (which compresses with zstd and always
encrypts); what storing each content once, chunks and compression each save; the time to get bodies of 1 KB,
100 KB and 10 MB beside `git cat-file --batch`, one process that stays; what encryption costs; what the warm
and the cold tier save of the bytes of the hot one, how long the moves take, and gets from the warm tier.
Size: six releases, 6,700 files and 45 MB each, which are downloaded once into build/artifact_packs.
Budget: no more bytes than borg; warm and cold at most 0.6 of hot.

Each tool takes in one release after the other, in turn with the others, each release one durable step. Bytes
are those of the repositories: in ours the packs, and the log of names and types, once it was collected. What
is made of these at will, our indexes and the caches of the others, is told apart.

Without borg or restic their figures are left out, and said so: apt-get install borgbackup restic.

Run: python benchmarks/artifact_packs.py; prints one JSON line.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median

from measuring import Figure, line, seconds

from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.encryption.sources import KeySource
from symphony.pit.artifacts.packs.away import OutsidePlaces
from symphony.pit.artifacts.packs.frames import PACK_HEAD_BYTES, heads
from symphony.pit.artifacts.packs.packs import Packs
from symphony.pit.artifacts.places.directory import DirectoryStorage
from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.retention import Tier
from symphony.ports.values import Digest

PACKAGE, VERSIONS = "Django", ("4.2.1", "4.2.2", "4.2.3", "4.2.4", "4.2.5", "4.2.6")
DOWNLOADS = Path(__file__).resolve().parents[1] / "build" / "artifact_packs"
SIZES = {"1 KB": 1_000, "100 KB": 100_000, "10 MB": 10_000_000}
GETS = {"1 KB": 300, "100 KB": 100, "10 MB": 7}


def releases(folder: Path) -> list[Path]:
    """The unpacked releases, downloaded if they are not there."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    found = []
    for version in VERSIONS:
        archive = next(DOWNLOADS.glob(f"[Dd]jango-{version}.tar.gz"), None)
        if archive is None:
            words = ["download", "--quiet", "--no-deps", "--no-binary", ":all:", f"{PACKAGE}=={version}"]
            subprocess.run(
                [sys.executable, "-m", "pip", *words], cwd=DOWNLOADS, check=True, stdout=sys.stderr
            )
            archive = next(DOWNLOADS.glob(f"[Dd]jango-{version}.tar.gz"))
        target = folder / version
        with tarfile.open(archive) as packed:
            packed.extractall(target, filter="data")
        found.append(target)
    return found


def files_of(release: Path) -> Iterator[tuple[str, Path]]:
    """The files of a release, each with its path without the version."""
    for path in sorted(release.rglob("*")):
        if path.is_file() and not path.is_symlink():
            yield "/".join(path.relative_to(release).parts[1:]), path


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


class Ours:
    """A store of ours, which takes in a release as named artifacts with one sync in the end."""

    def __init__(self, root: Path, *, encrypted: bool = False) -> None:
        self.root, self.took_s, self.digests = root, 0.0, dict[Digest, int]()
        source = KeySource(environment={"SYMPHONY_PASSPHRASE": "benchmark"})
        self.keys = StoreKeys(root, source, encrypts=encrypted)
        cold = root.parent / f"{root.name}-cold"
        cold.mkdir()
        places = OutsidePlaces(lambda address: DirectoryStorage(Path(address)), cold=str(cold))
        self.store = FileArtifacts(root, places, keys=self.keys)
        self.store.put(b"warm", content_type="text/plain")  # the key is made once for a store

    def take(self, release: Path) -> None:
        self.took_s += seconds(lambda: self._take(release))

    def _take(self, release: Path) -> None:
        for name, path in files_of(release):
            body = path.read_bytes()
            ref = self.store.put(body, content_type="text/plain", name=name[-200:], durable=False)
            self.digests[ref.digest] = ref.size
        self.store.settle()

    def read_all(self) -> float:
        """Seconds to get every body once."""
        return seconds(lambda: [self.store.get(digest) for digest in self.digests])

    def bytes(self) -> tuple[int, int]:
        """The bytes of all files, and of those that cannot be made of the others: packs and the log."""
        self.store.collect()  # as upkeep does: the log is rewritten without what is out of date
        self.store.close()
        return size_of(self.root), size_of(self.root / "packs") + (self.root / "records.log").stat().st_size

    def move(self, tier: Tier) -> float:
        """Seconds to move everything to a tier."""
        found = [(one, tier, "measured") for one in self.store.standings().all]
        took_s = seconds(lambda: self.store.move(found))
        self.store.collect()
        return took_s

    def in_packs(self) -> tuple[int, int]:
        """The bytes of all frames before compression, and those of all packs."""
        packs, raw = Packs(self.root, look=True, keys=self.keys), 0
        for name in packs.files.sizes():
            reader = packs.reader(name)
            raw += sum(one.raw for one in heads(name, reader.read, PACK_HEAD_BYTES, reader.size()))
        return raw, sum(packs.files.sizes().values())


class Command:
    """Another program's repository."""

    def __init__(
        self, folder: Path, cache: str, begin: Sequence[str], take: Sequence[str], **variables: str
    ) -> None:
        self.folder, self.cache, self._take, self.took_s = folder, cache, take, 0.0
        self._environment = os.environ | variables
        self._run(begin, folder.parent)

    def take(self, release: Path) -> None:
        words = [word.format(release=release.name) for word in self._take]
        self.took_s += seconds(lambda: self._run(words, release))

    def _run(self, words: Sequence[str], cwd: Path) -> None:
        subprocess.run(words, cwd=cwd, check=True, env=self._environment, stdout=subprocess.DEVNULL)


def peers(folder: Path) -> dict[str, Command]:
    """Those that are installed."""
    found = dict[str, Command]()
    if shutil.which("borg"):
        repo = folder / "borg"
        found["borg"] = Command(
            repo, "borg-base", ["borg", "init", "-e", "none", str(repo)],
            ["borg", "create", "--compression", "zstd,3", f"{repo}::{{release}}", "."],
            BORG_BASE_DIR=str(folder / "borg-base"), BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
        )  # fmt: skip
    if shutil.which("restic"):
        repo = folder / "restic"
        found["restic"] = Command(
            repo, "restic-cache", ["restic", "init", "--repository-version", "2", "-r", str(repo)],
            ["restic", "backup", "-r", str(repo), "--tag", "{release}", "."],
            RESTIC_PASSWORD="benchmark", RESTIC_CACHE_DIR=str(folder / "restic-cache"),
        )  # fmt: skip
    for name in ("borg", "restic"):
        if name not in found:
            print(f"{name} is not there: apt-get install borgbackup restic", file=sys.stderr)
    return found


def taken(folder: Path, sources: Sequence[Path]) -> list[Figure]:
    """What is stored of all releases, and how long it took."""
    ours, secret = Ours(folder / "ours"), Ours(folder / "encrypted", encrypted=True)
    others = peers(folder)
    for release in sources:
        for tool in (ours, *others.values(), secret):
            tool.take(release)
    whole = sum(path.stat().st_size for release in sources for _, path in files_of(release))
    once = sum(ours.digests.values())
    read_s, secret_s = ours.read_all(), secret.read_all()
    (total, needed), (total_secret, _) = ours.bytes(), secret.bytes()
    raw, packed = ours.in_packs()
    borg = others.get("borg")
    figures = [
        Figure("bytes of all files", whole, "bytes"),
        Figure("bytes of different contents", once, "bytes"),
        Figure("bytes of different chunks", raw, "bytes"),
        Figure("bytes of the packs, compressed", packed, "bytes"),
        Figure("saved by storing contents once, share", 1 - once / whole, ""),
        Figure("saved by chunks, share of that", 1 - raw / once, ""),
        Figure("saved by compression, share of that", 1 - packed / raw, ""),
        Figure("bytes of the log of names and types", needed - packed, "bytes"),
        Figure("bytes of indexes, made of these", total - needed, "bytes"),
    ]
    for name, other in others.items():
        stored, cached = size_of(other.folder), size_of(folder / other.cache)
        budget = stored if other is borg else None
        figures += [
            Figure(f"bytes of the packs, beside {name}", packed, "bytes", peer=stored),
            Figure(f"bytes of packs and log, beside {name}", needed, "bytes", budget, peer=stored),
            Figure(f"bytes with indexes, beside {name} with its cache", total, "bytes", peer=stored + cached),
        ]
        figures.append(Figure(f"taken in, beside {name}", ours.took_s, "s", peer=other.took_s))
    figures += [
        Figure("taken in encrypted, beside plain", secret.took_s, "s", peer=ours.took_s),
        Figure("got encrypted, beside plain", secret_s, "s", peer=read_s),
        Figure("bytes on the disk encrypted, beside plain", total_secret, "bytes", peer=total),
    ]
    return [*figures, *tiered(ours)]


def tiered(ours: Ours) -> list[Figure]:
    """What the tiers save, and how long the moves take."""
    hot = ours.store.tier_sizes()[Tier.HOT]
    warm_s, warm = ours.move(Tier.WARM), ours.store.tier_sizes()
    cold_s, cold = ours.move(Tier.COLD), ours.store.tier_sizes()
    assert hot
    assert not (warm[Tier.HOT] + warm[Tier.COLD] + cold[Tier.HOT] + cold[Tier.WARM])
    back_s = ours.move(Tier.HOT)
    return [
        Figure("bytes of warm packs, beside hot", warm[Tier.WARM], "bytes", 0.6 * hot, peer=hot),
        Figure("bytes of cold packs, beside hot", cold[Tier.COLD], "bytes", 0.6 * hot, peer=hot),
        Figure("all moved from hot to warm, beside taken in", warm_s, "s", peer=ours.took_s),
        Figure("all moved from warm to cold, beside taken in", cold_s, "s", peer=ours.took_s),
        Figure("all moved from cold to hot, beside taken in", back_s, "s", peer=ours.took_s),
    ]


def warm_gets(store: FileArtifacts, bodies: Mapping[str, Sequence[bytes]]) -> list[Figure]:
    """The time to get bodies when they are warm, beside hot. Something large is read before each."""
    timed = dict[tuple[Tier, str], float]()
    other = Digest(hashlib.sha256(bodies["10 MB"][-1]).hexdigest())
    for tier in (Tier.HOT, Tier.WARM):
        store.move([(one, tier, "measured") for one in store.standings().all])
        for what, several in bodies.items():
            took = list[float]()
            for body in several[:30]:
                store.get(other)  # so that what is read next was not just decompressed
                digest = Digest(hashlib.sha256(body).hexdigest())
                took.append(seconds(partial(store.get, digest)))
            timed[tier, what] = median(took)
    return [
        Figure(
            f"get of {what} from warm, p50, beside hot",
            timed[Tier.WARM, what] * 1000,
            "ms",
            peer=timed[Tier.HOT, what] * 1000,
        )
        for what in bodies
    ]


def got(folder: Path, sources: Sequence[Path]) -> list[Figure]:
    """The time to get bodies of several sizes, beside git."""
    text = b"".join(path.read_bytes() for _, path in files_of(sources[0]))
    store, repo = FileArtifacts(folder / "gets"), folder / "git"
    subprocess.run(["git", "init", "--quiet", "--bare", str(repo)], check=True)
    bodies = dict[str, list[bytes]]()
    for what, size in SIZES.items():
        starts = [number * (len(text) - size) // GETS[what] for number in range(GETS[what])]
        bodies[what] = [text[start : start + size] for start in starts]
    blobs = dict[bytes, str]()
    for body in (one for several in bodies.values() for one in several):
        store.put(body, content_type="text/plain", durable=False)
        words = ["git", "-C", str(repo), "hash-object", "-w", "--stdin"]
        done = subprocess.run(words, input=body, check=True, stdout=subprocess.PIPE)
        blobs[hashlib.sha256(body).digest()] = done.stdout.decode().strip()
    store.settle()
    figures = list[Figure]()
    batch = ["git", "-C", str(repo), "cat-file", "--batch"]
    with subprocess.Popen(batch, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as git:
        assert git.stdin is not None
        assert git.stdout is not None

        def ask(blob: str) -> bytes:
            assert git.stdin is not None
            assert git.stdout is not None
            git.stdin.write(f"{blob}\n".encode())
            git.stdin.flush()
            size = int(git.stdout.readline().split()[2])
            return git.stdout.read(size + 1)[:-1]

        for what, several in bodies.items():
            mine, theirs = list[float](), list[float]()
            for body in several:  # in turn: what slows the machine down slows both
                key = hashlib.sha256(body)
                digest, blob = Digest(key.hexdigest()), blobs[key.digest()]
                assert store.get(digest) == ask(blob) == body
                mine.append(seconds(lambda digest=digest: store.get(digest)))  # type: ignore[misc]
                theirs.append(seconds(lambda blob=blob: ask(blob)))  # type: ignore[misc]
            figures.append(
                Figure(f"get of {what}, p50", median(mine) * 1000, "ms", peer=median(theirs) * 1000)
            )
        git.stdin.close()
    figures += warm_gets(store, bodies)
    store.close()
    return figures


def main() -> None:
    """Measure, and print the line."""
    with tempfile.TemporaryDirectory() as folder:
        sources = releases(Path(folder) / "sources")
        figures = [*taken(Path(folder), sources), *got(Path(folder), sources)]
    size = f"{PACKAGE} {VERSIONS[0]} to {VERSIONS[-1]}, the files of its {len(VERSIONS)} source releases"
    print(line("artifact_packs", size, figures))


if __name__ == "__main__":
    main()
