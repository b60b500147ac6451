"""Names of files for artifacts: safe on every system, with extensions that programs know. Pure.

An artifact's name is whatever a workflow says: `repo-report`, `reports/2026.html`, `../../etc/passwd`.
"""

import re
from collections.abc import Iterable
from mimetypes import MimeTypes
from pathlib import PurePosixPath
from typing import Final

JSON_TYPE: Final = "application/json"
_EXTENSIONS: Final = {
    "application/gzip": ".gz", JSON_TYPE: ".json", "application/jsonl": ".jsonl",
    "application/octet-stream": "", "application/pdf": ".pdf", "application/toml": ".toml",
    "application/x-ndjson": ".jsonl", "application/x-yaml": ".yaml", "application/xhtml+xml": ".xhtml",
    "application/xml": ".xml", "application/yaml": ".yaml", "application/zip": ".zip",
    "audio/mpeg": ".mp3", "audio/wav": ".wav", "image/gif": ".gif", "image/jpeg": ".jpg",
    "image/png": ".png", "image/svg+xml": ".svg", "image/webp": ".webp", "text/calendar": ".ics",
    "text/css": ".css", "text/csv": ".csv", "text/html": ".html", "text/javascript": ".js",
    "text/markdown": ".md", "text/plain": ".txt", "text/tab-separated-values": ".tsv", "text/xml": ".xml",
    "text/yaml": ".yaml", "video/mp4": ".mp4",
}  # fmt: skip
_TYPES: Final = {
    **{suffix: kind for kind, suffix in reversed(_EXTENSIONS.items()) if suffix},
    ".yml": "application/yaml", ".htm": "text/html", ".jpeg": "image/jpeg", ".log": "text/plain",
    ".mjs": "text/javascript", ".xml": "application/xml", ".yaml": "application/yaml",
}  # fmt: skip
_COMPRESSED: Final = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_ANY: Final = frozenset({"application/octet-stream", "text/plain"})
"""Types that say so little that a name's own extension tells more."""
_KNOWN: Final = MimeTypes()  # without the system's files: names are the same on every machine
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,9}")
_UNSAFE: Final = re.compile('[\x00-\x1f\x7f-\x9f<>:"|?*\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]+')
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_BYTES_MAX: Final = 200
"""The limit for one part of a path. Most file systems take 255, and callers add prefixes or suffixes."""


def extension(content_type: str) -> str:
    """The extension of a type, such as `.md`; empty for one that says nothing."""
    kind = content_type.partition(";")[0].strip().lower()
    if (known := _EXTENSIONS.get(kind)) is not None:
        return known
    for ending, suffix in (("+json", ".json"), ("+xml", ".xml"), ("+yaml", ".yaml"), ("+zip", ".zip")):
        if kind.endswith(ending):
            return suffix
    return _KNOWN.guess_extension(kind) or (".txt" if kind.startswith("text/") else "")


def type_of(*names: str) -> str:
    """Return the content type that the first of these names of a file tells, by its extension.

    `application/octet-stream` if none of them tells any.
    """
    for name in names:
        kind, encoding = _KNOWN.guess_type(
            f"x{PurePosixPath(name).suffix}" if "." in name else "", strict=False
        )
        if encoding is not None:
            return _COMPRESSED.get(encoding, "application/octet-stream")
        if (found := _TYPES.get(PurePosixPath(name).suffix.lower(), kind)) is not None:
            return found
    return "application/octet-stream"


def file_name(name: str, content_type: str) -> PurePosixPath:
    """Return a relative path, always inside its folder, for the artifact of that name and type.

    Slashes make folders. An extension is added unless the name has one that programs know.
    """
    parts = [part for one in re.split(r"[/\\]", name) if (part := _safe(one)) not in ("", ".", "..")]
    *folders, last = parts or ["artifact"]
    suffix = extension(content_type)
    if suffix and not _has_extension(last, content_type):
        last = _cut(last, _BYTES_MAX - len(suffix)) + suffix
    return PurePosixPath(*folders, last)


def told_apart(path: PurePosixPath, mark: str, taken: Iterable[str]) -> PurePosixPath:
    """`path` with `mark` behind its stem, and a number where that is `taken`, too: `page-3.md`, `page-2.md`.

    What is taken is in small letters, as `key` gives it.
    """
    used = set(taken)
    marks = ([mark] if mark else []) + [f"{mark}-{number}" for number in range(2, len(used) + 3)]
    for one in marks:
        stem = _cut(path.stem, _BYTES_MAX - len(path.suffix) - len(one))
        found = path.with_name(f"{stem}{one}{path.suffix}")
        if key(found) not in used:
            return found
    raise AssertionError("one more number than there are names is free")


def key(path: PurePosixPath) -> str:
    """Return a key that is equal for paths that differ only in case."""
    return str(path).casefold()


def _has_extension(name: str, content_type: str) -> bool:
    suffix = PurePosixPath(name).suffix
    if not _SUFFIX.fullmatch(suffix):
        return False
    kind = content_type.partition(";")[0].strip().lower()
    known = suffix.lower() in _EXTENSIONS.values() or _KNOWN.guess_type(f"x{suffix}")[0] is not None
    return known or kind in _ANY


def _safe(part: str) -> str:
    """One part of a path: no control characters, none that a system keeps for itself, not too long."""
    part = _UNSAFE.sub("_", part).strip().rstrip(". ")
    if _DEVICES.fullmatch(part):
        part = f"_{part}"
    if len(part.encode()) <= _BYTES_MAX:
        return part
    found = _SUFFIX.search(part[-12:])
    suffix = found[0] if found is not None and part.endswith(found[0]) else ""
    return _cut(part.removesuffix(suffix), _BYTES_MAX - len(suffix)) + suffix


def _cut(text: str, most: int) -> str:
    """Return the longest beginning of `text` that takes at most `most` bytes."""
    return text.encode()[: max(0, most)].decode("utf-8", "ignore")
