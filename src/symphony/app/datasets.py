"""Writes artifacts as a data set: a row for each, with its text and where it came from. Blocking."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import msgspec

from symphony.app import spelling
from symphony.app.contents import content
from symphony.app.searching import Searching
from symphony.commons import moments
from symphony.commons.errors import SymphonyError
from symphony.commons.filesystem import replacing
from symphony.pit.artifacts.bodies.filenames import extension
from symphony.ports.artifacts import ArtifactMissing, ArtifactRecord, ArtifactStore
from symphony.ports.search import Hit, SearchRequest
from symphony.ports.values import ArtifactRef

DatasetFormat: TypeAlias = Literal["jsonl", "parquet"]
INLINE_BYTES: Final = 1 << 20
"""A text of at most so many bytes is in its row; a larger one is a file beside."""
_VERSIONS_MAX: Final = 100
_CHUNK_BYTES: Final = 1 << 20
_CONTROLS: Final = frozenset(range(32)) - frozenset(b"\t\n\r\f\x1b")
_encode = msgspec.json.Encoder().encode


class DatasetVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version that an artifact is."""

    name: str
    number: int
    tags: Sequence[str] = ()
    note: str = ""


class DatasetRow(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact. `text` is its whole text; `file` the path of its content, relative to the data set.

    Neither is set if the content is no short text and files were not wanted.
    """

    digest: str
    size: int
    content_type: str
    created_at: str
    name: str | None = None
    version: int | None = None
    tags: Sequence[str] = ()
    versions: Sequence[DatasetVersion] = ()
    quality: float | None = None
    ratings: Sequence[Mapping[str, spelling.JSON]] = ()
    run_id: str | None = None
    node: str | None = None
    operator: str | None = None
    model: str | None = None
    provenance: Sequence[Mapping[str, spelling.JSON]] = ()
    text: str | None = None
    file: str | None = None


class DatasetWritten(msgspec.Struct, kw_only=True):
    """How many rows were written, how many of them have their text, how many files lie beside."""

    rows: int = 0
    texts: int = 0
    files: int = 0
    gone: int = 0
    """Artifacts that were deleted meanwhile."""


class DatasetExporter:
    """Writes what a search finds, the oldest first: the same artifacts always give the same bytes."""

    def __init__(self, store: ArtifactStore, searching: Searching) -> None:
        self._store, self._searching = store, searching

    def export(
        self,
        request: SearchRequest,
        target: Path | BinaryIO,
        *,
        form: DatasetFormat = "jsonl",
        inline_bytes: int = INLINE_BYTES,
        progress: Callable[[int], None] = lambda _: None,
    ) -> DatasetWritten:
        """Write all that `request` finds to `target`, as a whole or not at all; its limit does not count.

        Contents that are no text of at most `inline_bytes` are written as files into a folder beside, which
        has the name of `target` and `.files`; into a stream they are not written. Raises QueryInvalid,
        ArtifactCorrupt, IoFailed, and SymphonyError `not-supported` for Parquet without its library.
        """
        write = writer_of(form)
        found = self._searching.all_of(request)
        written = DatasetWritten()
        beside = target.with_name(f"{target.name}.files") if isinstance(target, Path) else None
        place = replacing(target) if isinstance(target, Path) else nullcontext(target)
        with place as stream:
            write(self._rows(found, beside, inline_bytes, written, progress), stream)
        return written

    def _rows(
        self,
        found: Iterator[Hit],
        beside: Path | None,
        inline_bytes: int,
        written: DatasetWritten,
        progress: Callable[[int], None],
    ) -> Iterator[DatasetRow]:
        for hit in found:
            try:
                text, file = self._content(hit.record, beside, inline_bytes)
            except ArtifactMissing:
                written.gone += 1
                continue
            written.rows += 1
            written.texts += text is not None
            written.files += file is not None
            progress(written.rows)
            yield self._row(hit, text, file)

    def _row(self, hit: Hit, text: str | None, file: str | None) -> DatasetRow:
        record = hit.record
        versions = self._store.versions_of(record.digest, limit=_VERSIONS_MAX)
        newest = versions[0] if versions else None
        made = next((one for one in record.provenance if one.node), None)  # the first; not an output
        return DatasetRow(
            digest=record.digest, size=record.size, content_type=record.content_type,
            created_at=moments.iso(record.created_at),
            name=None if newest is None else newest.name,
            version=None if newest is None else newest.number,
            tags=sorted({tag for one in versions for tag in one.tags}),
            versions=[
                DatasetVersion(name=one.name, number=one.number, tags=one.tags, note=one.note)
                for one in versions
            ],
            quality=hit.quality.score,
            ratings=[
                {"score": one.score, "by": one.by, "note": one.note, "at": moments.iso(one.at)}
                for one in record.ratings
            ],
            run_id=None if made is None else made.run_id, node=None if made is None else made.node,
            operator=None if made is None else made.operator, model=None if made is None else made.model,
            provenance=[spelling.provenance(one) for one in record.provenance],
            text=text, file=file,
        )  # fmt: skip

    def _content(
        self, record: ArtifactRecord, beside: Path | None, inline_bytes: int
    ) -> tuple[str | None, str | None]:
        """Return the text of an artifact, or where its content was written."""
        ref = ArtifactRef(
            digest=record.digest, size=record.size, content_type=record.content_type, encoding=""
        )
        with content(self._store, ref) as found:
            body = b""
            if found.size <= inline_bytes:
                body = found.stream.read()
                if (text := text_in(body)) is not None:
                    return text, None
            if beside is None:
                return None, None
            file = beside / f"{record.digest}{extension(found.content_type)}"
            beside.mkdir(exist_ok=True)
            with replacing(file) as stream:
                stream.write(body)
                shutil.copyfileobj(found.stream, stream, _CHUNK_BYTES)
        return None, f"{beside.name}/{file.name}"


def text_in(body: bytes) -> str | None:
    """Return what bytes say if they are text in UTF-8 without control characters."""
    if not _CONTROLS.isdisjoint(body):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def writer_of(form: DatasetFormat) -> Callable[[Iterator[DatasetRow], BinaryIO], None]:
    """Return what writes rows. Raises SymphonyError `not-supported`."""
    if form == "jsonl":
        return write_lines
    if find_spec("pyarrow") is None:
        from symphony.commons import installation

        raise SymphonyError(
            "data sets in Parquet need pyarrow, which is not installed",
            code="not-supported",
            hint=installation.adding("parquet"),
        )
    from symphony.pit.stale.adapters import parquet

    return lambda rows, stream: parquet.write(map(flat, rows), stream)


def write_lines(rows: Iterator[DatasetRow], stream: BinaryIO) -> None:
    """Write a line of JSON for each row."""
    stream.writelines(_encode(row) + b"\n" for row in rows)


def flat(row: DatasetRow) -> dict[str, object]:
    """Return a row as Parquet has it: provenance, versions and ratings are JSON."""
    plain = msgspec.structs.asdict(row)
    for key in ("versions", "ratings", "provenance"):
        plain[key] = _encode(plain[key]).decode()
    return plain
