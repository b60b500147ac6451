"""Makes an artifact store whose names had several bodies, as the code of today writes it.

`python make_names.py NAME` writes `NAME.tar.gz` beside this file.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

from symphony.pit.artifacts.store.files import FileArtifacts
from symphony.ports.artifacts import Provenance
from symphony.ports.values import ArtifactRef

HERE = Path(__file__).parent
PUTS = (
    ("report", b"a", "r1"), ("report", b"b", None), ("ann@example.com", b"mail", None), ("report", b"a", "r2"),
    ("report@2", b"an old name", None), ("report", b"gone", "r3"), ("report", b"c", "r1"), ("report", b"c", "r2"),
)  # fmt: skip


def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "artifacts"
        store = FileArtifacts(root)
        for called, body, run in PUTS:
            store.link(put(store, body, called), by(run)) if run else put(store, body, called)
        store.unlink_run("r3")
        store.collect(-1)
        store.close()
        with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as packed:
            packed.add(root, "artifacts")


def put(store: FileArtifacts, body: bytes, name: str) -> ArtifactRef:
    return store.put(body, content_type="text/plain", name=name)


def by(run: str) -> Provenance:
    return Provenance(run_id=run, node="n", port="p", operator="o", version="1.0.0", inputs={"x": "d"})


if __name__ == "__main__":
    main(sys.argv[1])
