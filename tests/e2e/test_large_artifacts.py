"""Artifacts larger than the memory that there is: put, read, read in parts, exported; also encrypted."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

BEGIN = """
import hashlib, random, resource, sys
from pathlib import Path
from symphony.app import exporting
from symphony.pit.artifacts import FileArtifacts
from symphony.pit.artifacts.encryption.keys import StoreKeys
from symphony.pit.artifacts.encryption.sources import KeySource
from symphony.ports.insight import MadeArtifact

root, size, memory, kind = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
key = root / "key"
key.write_bytes(bytes(range(0, 256, 8)))
keys = StoreKeys(root / "artifacts", KeySource(file=key), encrypts=kind == "encrypted")
store = FileArtifacts(root / "artifacts", keys=keys)
"""
EXPORTED = """
resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
piece = bytes(range(256)) * 4096
with store.writer(content_type="application/json", name="large") as writer:
    for _ in range(size // len(piece)):
        writer.write(piece)
    ref = writer.commit()
assert ref.size == size
hasher = hashlib.sha256()
with store.open(ref.digest) as stream:
    while chunk := stream.read(1 << 20):
        hasher.update(chunk)
assert hasher.hexdigest() == ref.digest
with store.ranges(ref.digest) as ranges:
    assert ranges.read(size - 2, 9) == bytes([254, 255])
with store.open(ref.digest) as stream:
    assert store.put_stream(stream, content_type="text/plain") .digest == ref.digest
made = MadeArtifact(node="n", port="p", ref=ref)
(one,) = exporting.export(store, [made], {}, root / "out")
assert one.path.stat().st_size == size
"""
TWO_GIGABYTES = """
resource.setrlimit(resource.RLIMIT_AS, (memory, memory))

def piece(number):
    # Different everywhere, so that each chunk is stored; most of it compresses, to spare the disk.
    return random.Random(number).randbytes(1 << 16) + number.to_bytes(8, "little") * (123 << 10)

length = len(piece(0))
hasher, count = hashlib.sha256(), size // length + 1
with store.writer(content_type="application/octet-stream", name="large") as writer:
    for number in range(count):
        writer.write(body := piece(number))
        hasher.update(body)
    ref = writer.commit()
assert ref.size == count * length >= size and ref.digest == hasher.hexdigest()
store.close()
with store.open(ref.digest) as stream:
    got = 0
    while chunk := stream.read(1 << 20):
        got += len(chunk)  # its last bytes come only if its digest is right
assert got == ref.size
with store.ranges(ref.digest) as ranges:
    for number in (0, count // 2, count - 1):
        assert ranges.read(number * length, length) == piece(number)
    assert ranges.read(length - 3, 6) == piece(0)[-3:] + piece(1)[:3]
    assert ranges.read(ref.size - 1, 9) == piece(count - 1)[-1:]
"""
END = """
store.close()
try:
    bytearray(size)
except MemoryError:
    # Not ru_maxrss: a process begins with that of the one that started it.
    (peak,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line[:5] == "VmHWM")
    print("done", int(peak.split()[1]) < memory // 1024)
"""


@pytest.fixture(params=["plain", "encrypted"])
def kind(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


def passes(folder: Path, script: str, size: int, memory: int, kind: str) -> None:
    words = [sys.executable, "-P", "-c", BEGIN + script + END, str(folder), str(size), str(memory), kind]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("done True\n", 0), ended.stderr


def test_an_artifact_larger_than_memory_is_stored_read_and_exported(tmp_path: Path, kind: str) -> None:
    (tmp_path / "out").mkdir()
    passes(tmp_path, EXPORTED, 300 << 20, 80 << 20, kind)


def test_two_gigabytes_pass_through_a_process_that_may_have_300_mb(tmp_path: Path, kind: str) -> None:
    passes(tmp_path, TWO_GIGABYTES, 2_000_000_000, 300_000_000, kind)
