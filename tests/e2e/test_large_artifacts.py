"""Artifacts larger than the memory that there is: put, read, read in parts, exported."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SIZE = 300 << 20
MEMORY = 80 << 20
CHILD = """
import hashlib, resource, sys
from pathlib import Path
from symphony.app import exporting
from symphony.pit.artifacts import FileArtifacts
from symphony.ports.insight import MadeArtifact

root, size, memory = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
piece = bytes(range(256)) * 4096
store = FileArtifacts(root / "artifacts")
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
store.close()
try:
    bytearray(size)
except MemoryError:
    print("done")
"""


def test_an_artifact_larger_than_memory_is_stored_read_and_exported(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    words = [sys.executable, "-P", "-c", CHILD, str(tmp_path), str(SIZE), str(MEMORY)]
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ended.stdout, ended.returncode) == ("done\n", 0), ended.stderr
