"""Finds and damages bodies in the packs of an artifact store, and stores bodies as earlier versions did."""

import hashlib
from contextlib import closing
from pathlib import Path

from symphony.pit.artifacts.bodies.bodies import Bodies
from symphony.pit.artifacts.packs.frames import ItemKind, PackFrame
from symphony.pit.artifacts.packs.packs import Packs
from symphony.ports.values import Digest


def frames_of(root: Path, digest: str) -> list[tuple[Path, PackFrame]]:
    """The frames that a body needs, its own first, and the packs that they are in."""
    with closing(Packs(root, look=True)) as packs:
        row = packs.find(bytes.fromhex(digest))
        assert row is not None
        rows = [row]
        if row.kind == ItemKind.MANIFEST:
            rows += [packs.find_item(chunk, ItemKind.CHUNK) for chunk, _ in packs.manifest(row)]
        places = {(packs.name_of(one.pack), one.offset) for one in rows[1:]}
        first = (packs.name_of(row.pack), row.offset)
        found = []
        for name, offset in (first, *sorted(places - {first})):
            frame = packs.files.frame(name, offset)
            assert frame is not None
            found.append((packs.files.path(name), frame))
        return found


def flip(path: Path, at: int, bits: int = 1) -> None:
    """Change one byte of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (was,) = file.read(1)
        file.seek(at)
        file.write(bytes([was ^ bits]))


def damage(root: Path, digest: str) -> None:
    """Change a byte of what is stored of a body."""
    path, frame = frames_of(root, digest)[-1]
    flip(path, frame.end - 1)


def lose(root: Path, digest: str) -> None:
    """Take a body away without a record of it."""
    with closing(Bodies(root)) as bodies:
        bodies.remove([Digest(digest)])


def age(root: Path, digest: str) -> None:
    """Make a body one that was put long ago."""
    with closing(Packs(root)) as packs:
        assert packs.ask(lambda index: index.touch(bytes.fromhex(digest), 1.0))


def pack_files(root: Path) -> list[Path]:
    return sorted((root / "packs").glob("*.pack"))


def old_object(root: Path, body: bytes) -> Path:
    """Store a body as a file of its own, as versions before packs did."""
    digest = hashlib.sha256(body).hexdigest()
    path = root / "objects" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    path.chmod(0o400)
    return path
