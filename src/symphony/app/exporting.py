"""Artifacts and large outputs of a run as files that people and their programs open. Blocking."""

import os
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Literal

from symphony.app.contents import content, shown_type
from symphony.app.written_files import WrittenFiles, digest_of, listed
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import private_directory, replacing, within
from symphony.pit.artifacts.bodies.filenames import file_name, key, told_apart
from symphony.pit.artifacts.bodies.filenames import type_of as type_of
from symphony.pit.artifacts.values.media import BYTES_TYPE, JSON_TYPE, TEXT_TYPE
from symphony.ports.artifacts import ArtifactMissing, ArtifactRecord, ArtifactStore
from symphony.ports.insight import MadeArtifact
from symphony.ports.values import ArtifactRef, StoredValue
from symphony.workflow.catalog import Catalog
from symphony.workflow.model import ArtifactSpec, CommandNode, Node, OperatorNode, Workflow

_CHUNK_BYTES: Final = 1 << 20
_COPIES_MAX: Final = 200
_COPIES_BYTES_MAX: Final = 2 << 30
"""The most bytes of copies of artifacts in the home."""
_NUMBERS: Final = re.compile(r"[\[#](\d+)")
_TYPE_OF_PORT: Final = {
    "string": TEXT_TYPE, "path": TEXT_TYPE, "bytes": BYTES_TYPE,
    **dict.fromkeys(("integer", "number", "boolean", "list", "map"), JSON_TYPE),
}  # fmt: skip
_MOVE: Final = "move it away, or write to another folder"


class ExportFailed(SymphonyError):
    """A file or a folder is in the way."""

    code = "export-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One file: which artifact is in it, and what was there before."""

    path: Path
    ref: ArtifactRef
    content_type: str
    """The content type of the file, which is JSON for a value without a type."""
    size: int
    """The size of the file, in bytes."""
    node: str
    """Empty for an output that no node declared."""
    done: Literal["written", "replaced", "unchanged"]


def ready_folder(folder: Path) -> Path:
    """Make `folder` if need be; absolute. Raises ExportFailed, OSError."""
    if folder.exists() and not folder.is_dir():
        raise ExportFailed(f"{folder} is not a folder", hint="name a folder: --output-dir FOLDER")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def export(
    store: ArtifactStore,
    made: Sequence[MadeArtifact],
    outputs: Mapping[str, StoredValue],
    folder: Path,
    *,
    overwrite: bool = False,
) -> list[Export]:
    """Write the declared artifacts of a run, and its outputs that are too large to be shown, into `folder`.

    Each file is there whole or not at all; no two artifacts share one. A file that Symphony wrote is
    replaced; for one that it did not, and without `overwrite`, nothing is written.
    Raises ExportFailed, PathEscapes, IoFailed, ArtifactMissing, ArtifactCorrupt.
    """
    planned, written = list(_planned(made, outputs)), WrittenFiles(folder)
    if not overwrite:
        others = [
            path
            for path, one in planned
            if not _may_replace(store, folder, path, written) and not _is_same(store, folder / path, one.ref)
        ]
        _refuse(folder, others)
    found = [_exported(store, one, folder, path, written) for path, one in planned]
    written.settle()
    return found


def require_free(store: ArtifactStore, folder: Path, paths: Iterable[PurePosixPath]) -> None:
    """Raises ExportFailed if there are files at `paths` in `folder` that Symphony did not write, IoFailed."""
    written = WrittenFiles(folder)
    _refuse(folder, [path for path in paths if not _may_replace(store, folder, path, written)])


def foreseen(workflow: Workflow, catalog: Catalog) -> Iterator[PurePosixPath]:
    """Yield the files that every run writes, as far as the workflow tells their names and types."""
    for node in workflow.nodes.values():
        declared = node.artifact
        if declared is None or node.for_each is not None or not node.enabled or "${{" in declared.name:
            continue
        kind = declared.content_type or _usual_type(node, declared, catalog)
        if kind is not None:
            yield file_name(declared.name, kind)


def _usual_type(node: Node, declared: ArtifactSpec, catalog: Catalog) -> str | None:
    """Return the content type of an artifact that declares none, where the type of its port tells."""
    if isinstance(node, CommandNode):
        return JSON_TYPE if declared.port == "exit_code" else TEXT_TYPE
    if not isinstance(node, OperatorNode):
        return None
    info = catalog.operators.get(node.operator.partition("@")[0])
    ports = {} if info is None else info.outputs
    port = ports.get(declared.port or next(iter(ports), ""))
    return _TYPE_OF_PORT.get("" if port is None else port.type.kind)


def _refuse(folder: Path, others: Sequence[PurePosixPath]) -> None:
    """Raises ExportFailed for files that are not ours, if there are any."""
    if not others:
        return
    names = listed(str(folder / path) for path in others)
    be = "is a file" if len(others) == 1 else "are files"
    raise ExportFailed(
        f"{names} {be} that Symphony did not write, or that has changed since",
        hint="add --overwrite to replace what is there, or write to another folder",
    )


def _may_replace(store: ArtifactStore, folder: Path, path: PurePosixPath, written: WrittenFiles) -> bool:
    """True if nothing is at `path`, or a file with content that Symphony has written or still has.

    A folder that is in the way is reported where the file is written.
    """
    target = folder / path
    if not os.path.lexists(target) or (target.is_dir() and not target.is_symlink()):
        return True
    digest = digest_of(target)
    if digest is None or written.holds(str(path), digest):
        return digest is not None
    try:
        return store.find(digest).digest == digest
    except ArtifactMissing:
        return False


def _is_same(store: ArtifactStore, target: Path, ref: ArtifactRef) -> bool:
    """True if the file has the content that would be written."""
    with content(store, ref) as wanted:
        return digest_of(target) == wanted.digest


def opened(store: ArtifactStore, record: ArtifactRecord, home: Path, name: str | None = None) -> Path:
    """Return a copy of an artifact in `home` with a name and an extension, for programs to open.

    `name`: which of its names was meant; by default the newest. A copy, so that a program that writes
    into what it has opened changes no artifact. Raises as `export`.
    """
    if name is None or name not in record.names:
        name = record.names[0] if record.names else record.digest[:16]
    ref = ArtifactRef(digest=record.digest, size=record.size, content_type=record.content_type, encoding="")
    return copied(store, ref, home, name)


def copied(store: ArtifactStore, ref: ArtifactRef, home: Path, name: str) -> Path:
    """Return a copy in `home` of an artifact's content, called by the artifact's own name or else `name`.

    A copy is made again when it is missing: old ones are deleted when there are many. Raises as `export`.
    """
    copies = private_directory(home / "artifacts" / "opened")
    folder = private_directory(copies / ref.digest[:32])
    target = folder / file_name(ref.name or name, shown_type(ref)).name
    with content(store, ref) as wanted:
        if not _holds(target, wanted.size, wanted.digest):
            _put_in_place(target, wanted.stream)
    os.utime(folder)
    _keep_newest(copies)
    return target


def _put_in_place(target: Path, stream: BinaryIO) -> None:
    """Write a file as a whole. It need not survive a power cut."""
    temporary = target.with_name(f".{os.urandom(8).hex()}")
    try:
        with temporary.open("xb") as file:
            shutil.copyfileobj(stream, file, _CHUNK_BYTES)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _keep_newest(copies: Path) -> None:
    """Delete the copies that have been unused longest, if there are many or they take much room."""
    with suppress(OSError):  # another process deletes them too
        newest = sorted(copies.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        taken = 0
        for number, folder in enumerate(newest):
            taken += sum(file.stat().st_size for file in folder.iterdir())
            if number >= _COPIES_MAX or (taken > _COPIES_BYTES_MAX and number > 0):
                shutil.rmtree(folder, ignore_errors=True)


def _planned(
    made: Sequence[MadeArtifact], outputs: Mapping[str, StoredValue]
) -> Iterator[tuple[PurePosixPath, MadeArtifact]]:
    """Yield every artifact with a path of its own; elements of a fan-out that share a name get their
    numbers.
    """
    declared = {(one.ref.name, one.ref.digest) for one in made}
    large = [
        MadeArtifact(node="", port=name, ref=value)
        for name, value in outputs.items()
        if isinstance(value, ArtifactRef) and (value.name, value.digest) not in declared
    ]
    wanted = [(_path_of(one), one) for one in (*made, *large)]
    sharing = Counter(key(path) for path, _ in wanted)
    taken, folders = set[str](), set[str]()
    for named, one in wanted:
        path = named
        if any(key(parent) in taken for parent in path.parents):
            path = PurePosixPath("-".join(path.parts))  # what is a file cannot be a folder
        numbers = "".join(f"-{number}" for number in _NUMBERS.findall(one.node))
        if key(path) in taken | folders or (numbers and sharing[key(named)] > 1):
            path = told_apart(path, numbers, taken | folders)
        taken.add(key(path))
        folders.update(key(parent) for parent in path.parents)
        yield path, one


def _path_of(one: MadeArtifact) -> PurePosixPath:
    return file_name(one.ref.name or one.port, shown_type(one.ref))


def _exported(
    store: ArtifactStore,
    one: MadeArtifact,
    folder: Path,
    path: PurePosixPath,
    written: WrittenFiles,
) -> Export:
    target = folder / path
    within(folder, str(path.parent))  # no link leads out
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ExportFailed(f"{target.parent} is in the way: a folder is needed there", hint=_MOVE) from None
    if target.is_dir() and not target.is_symlink():
        raise ExportFailed(f"{target} is in the way: it is a folder", hint=_MOVE)
    there = os.path.lexists(target)
    done: Literal["written", "replaced", "unchanged"] = "replaced" if there else "written"
    with content(store, one.ref) as wanted:
        written.add(str(path), wanted.digest)
        if there and _holds(target, wanted.size, wanted.digest):
            done = "unchanged"
        else:
            with replacing(target) as file:
                while chunk := wanted.stream.read(_CHUNK_BYTES):
                    file.write(chunk)
    return Export(
        path=target, ref=one.ref, content_type=wanted.content_type, size=wanted.size, node=one.node, done=done
    )


def _holds(target: Path, size: int, digest: str) -> bool:
    """True if the file holds the body already. Then it is left untouched, so that file watchers do not
    wake.
    """
    if target.is_symlink() or not target.is_file():
        return False
    return target.stat().st_size == size and digest_of(target) == digest
