"""Operators on files and folders: `fs.*`."""

import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypedDict

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import read_bounded, within, write_atomic
from symphony.commons.lines import line_number
from symphony.kit.encodings import encoding_named
from symphony.kit.errors import GitFailed, GitMissing, InputRefused, NotARepository, OutputTooLarge, Stopped
from symphony.kit.git_listing import Listing, files_below
from symphony.kit.globbing import matcher
from symphony.sdk import Context, Glob, operator

FILES_MAX = 200_000
TEXT_BYTES_MAX = 16 * 1024 * 1024
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages"})


class FileItem(TypedDict):
    """One file: its absolute path, and its name relative to the root with `/`."""

    path: str
    name: str


class Unlistable(TypedDict):
    """A path that could not be listed, and why."""

    name: str
    message: str


class GlobResult(TypedDict):
    """The output of `fs.glob`."""

    paths: list[Path]
    items: list[FileItem]
    problems: list[Unlistable]


class Written(TypedDict):
    """The output of `fs.write`."""

    path: Path
    size: int
    digest: str


@operator("fs.glob", version="1.0.0", read=True)
def glob(
    root: Path,
    context: Context,
    patterns: list[Annotated[str, Glob()]] = ["**/*"],  # noqa: B006
    exclude: list[Annotated[str, Glob()]] = [],  # noqa: B006
    everything: bool = False,
    gitignore: bool = False,
) -> GlobResult:
    """List the matching regular files below a folder, sorted by name.

    Hidden names, node_modules, __pycache__, site-packages and virtual environments are skipped unless
    `everything` is set. Links to folders are not followed; a link to a file counts if it leads to a file
    below the root. Unreadable folders and names that are not UTF-8 are reported in `problems` and do not fail
    the node. The node fails if more than 200,000 files match.

    root: the folder
    patterns: globs for names relative to the root: * ? [a-z] [!a-z], ** for any number of folders,
        and bash's braces: {a,b/c}, {1..9}; a backslash makes the next character stand for itself
    exclude: globs of files or whole folders to leave out
    everything: also list what is otherwise skipped
    gitignore: leave out what git ignores; submodules and nested repositories are included. It has no effect
        outside a repository; a repository that git refuses to read is reported in `problems`
    paths: absolute paths
    items: the same files as maps of `path` (absolute) and `name` (relative to the root)
    problems: maps of `name` and `message`
    """
    base = Path(os.path.abspath(context.cwd / root))  # noqa: PTH100  (keeps links in it as they are)
    if not base.is_dir():
        what = "is not a folder" if base.exists() else "is not there"
        raise InputRefused(f"input root: {base} {what}", hint="give a folder that exists")
    wanted, unwanted = matcher(patterns), matcher(exclude, subtree=True)
    walk = _Walk(base=os.fspath(base), real=os.path.realpath(base), everything=everything)
    names: list[str] = []
    for count, name in enumerate(walk.git_files() if gitignore else walk.files()):
        if count % 1000 == 0 and context.cancelled():
            raise Stopped("fs.glob was cancelled")
        if wanted is not None and wanted.fullmatch(name) and not (unwanted and unwanted.fullmatch(name)):
            names.append(name)
        if len(names) > FILES_MAX:
            raise OutputTooLarge(
                f"more than {FILES_MAX} files match below {base}", hint="narrow the patterns"
            )
    names.sort()
    return GlobResult(
        paths=[base / name for name in names],
        items=[FileItem(path=os.path.join(walk.base, name), name=name) for name in names],  # noqa: PTH118
        problems=sorted(walk.problems, key=lambda problem: problem["name"]),
    )


@operator("fs.read", version="1.0.0", pure=True, output="text")
def read(path: Path, context: Context, encoding: str = "utf-8", max_bytes: int = TEXT_BYTES_MAX) -> str:
    """Read a whole text file.

    The bytes are decoded as they are. Line ends are kept, and so is a byte order mark (use `utf-8-sig` to
    drop it). The node fails if the file is not a regular file, is too large, or does not have the encoding.

    path: the file
    encoding: one that Python knows
    max_bytes: the largest size accepted
    text: the content
    """
    file, codec = context.cwd / path, encoding_named(encoding)
    body = read_bounded(file, max_bytes)
    try:
        return body.decode(codec)
    except UnicodeDecodeError as error:
        line = line_number(body, error.start)
        raise InputRefused(
            f"{file}:{line} is not {error.encoding}: {error.reason} (byte {error.start})",
            hint="say the file's encoding, for instance latin-1",
        ) from error


@operator("fs.write", version="1.0.0", idempotent=True)
def write(
    path: str,
    context: Context,
    text: str | None = None,
    data: bytes | None = None,
    parents: bool = True,
    existing: Literal["replace", "keep", "fail"] = "replace",
) -> Written:
    """Write a file durably and atomically: readers see the old file or the whole new one.

    A relative path must stay below the caller's directory, even through links; an absolute path may lead
    anywhere. A link at the path is followed. Writing the same again changes nothing.

    path: where to write
    text: what to write, as UTF-8
    data: what to write, as bytes; give this or `text`
    parents: make missing folders
    existing: what to do if the file exists: replace it, keep it, or fail unless it already has the same
        content

    Returns:
        path: the absolute path
        size: bytes in the file
        digest: SHA-256 of the content that was given
    """
    if (text is None) == (data is None):
        raise InputRefused("fs.write takes either text or data", hint="give one of the two inputs")
    body = _utf8(text) if data is None else data
    target = destination(path, context)
    written = Written(path=target, size=len(body), digest=hashlib.sha256(body).hexdigest())
    if existing != "replace" and target.exists():
        if existing == "fail" and not _holds(target, body):
            raise InputRefused(
                f"{target} exists already and holds something else", hint="choose another path"
            )
        return written
    if parents:
        make_parents(target)
    write_atomic(target, body)
    return written


def destination(path: str, context: Context) -> Path:
    """Return where an operator may write `path`. Relative paths must stay below the caller's directory.

    Links are followed. Raises PathEscapes, and InputRefused for a folder, a device, a pipe or a socket.
    """
    given = Path(path)
    target = Path(os.path.realpath(given)) if given.is_absolute() else within(context.cwd, given)
    if target.is_dir():
        raise InputRefused(f"input path: {target} is a folder", hint="give the path of a file")
    if target.exists() and not target.is_file():
        raise InputRefused(f"input path: {target} is not a regular file", hint="give the path of a file")
    return target


def make_parents(target: Path) -> None:
    """Create the missing folders above `target`. Raises IoFailed."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IoFailed.of(error, f"make the folder {target.parent}") from error


def _utf8(text: str | None) -> bytes:
    try:
        return (text or "").encode()
    except UnicodeEncodeError as error:
        raise InputRefused(
            f"input text: {error.reason} at character {error.start}", hint="use `data`"
        ) from error


def _holds(target: Path, body: bytes) -> bool:
    return target.stat().st_size == len(body) and read_bounded(target, len(body)) == body


@dataclass(slots=True)
class _Walk:
    """Walks the names of files below `base`, in no order. `real` is `base` with all links resolved."""

    base: str
    real: str
    everything: bool
    problems: list[Unlistable] = field(default_factory=list)

    def files(self, start: str = "") -> Iterator[str]:
        """Yield the files below the folder `start` that are not skipped."""
        folders = [start]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(os.path.join(self.base, folder)) as listing:  # noqa: PTH118
                    entries = list(listing)
            except OSError as error:
                self._report(folder or ".", error.strerror or "cannot be read")
                continue
            if folder and not self.everything and any(entry.name == "pyvenv.cfg" for entry in entries):
                continue
            for entry in entries:
                name = f"{folder}/{entry.name}" if folder else entry.name
                if self._passed_over(entry.name):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    folders.append(name)
                elif self._readable(name) and self._is_file(name):
                    yield name

    def git_files(self) -> Iterator[str]:
        """Yield the files that git tracks or would add; all files in places that git knows nothing about."""
        try:
            listing = files_below(Path(self.base), self._looked_into)
        except (NotARepository, GitMissing):
            listing = Listing(plain=[""])
        except GitFailed as error:
            listing = Listing(
                plain=[""], problems=[(".", f"{error.message}; what it ignores is listed, too")]
            )
        for name in listing.names:
            if self._looked_into(name) and self._readable(name) and self._is_file(name):
                yield name
        for folder in listing.plain:
            yield from self.files(folder)
        for name, message in listing.problems:
            self._report(name, message)

    def _looked_into(self, name: str) -> bool:
        return not any(map(self._passed_over, name.split("/")))

    def _passed_over(self, name: str) -> bool:
        return not self.everything and (name.startswith(".") or name in _PASSED_OVER)

    def _readable(self, name: str) -> bool:
        try:
            name.encode()
        except UnicodeEncodeError:
            self._report(name, _why_unnameable(name))
            return False
        return True

    def _is_file(self, name: str) -> bool:
        path = os.path.join(self.base, name)  # noqa: PTH118
        try:
            found = os.lstat(path)
            if stat.S_ISLNK(found.st_mode):
                if not os.path.realpath(path, strict=True).startswith(self.real.rstrip("/") + "/"):
                    return False
                found = os.stat(path)  # noqa: PTH116
        except FileNotFoundError:
            return False  # removed since it was listed, or a broken link
        except OSError as error:
            self._report(name, error.strerror or "cannot be read")
            return False
        return stat.S_ISREG(found.st_mode)

    def _report(self, name: str, message: str) -> None:
        shown = os.fsencode(name).decode("utf-8", "replace")
        self.problems.append(Unlistable(name=shown, message=message))


def _why_unnameable(name: str) -> str:
    """Say why the text `name`, which the system gave, stands for no Unicode text."""
    try:
        os.fsencode(name).decode()
    except UnicodeDecodeError:
        return "its name is not UTF-8"
    encoding = sys.getfilesystemencoding()
    return f"its name is UTF-8, and this process takes names of files as {encoding}: set PYTHONUTF8=1"
