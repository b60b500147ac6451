"""Atomic writes, paths kept inside a folder, and bounded reads.

Blocking: call from a thread where the event loop must not wait.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.lines import line_number
from symphony.commons.unicode import escaped, sound

_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}
_CHUNK_BYTES = 1 << 20
_NAME_TRIES = 100


class PathEscapes(SymphonyError):
    """A path leads out of the folder that it must stay in, perhaps through a symbolic link."""

    code = "path-escapes"


class FileTooLarge(SymphonyError):
    """A file has more bytes than allowed; what was read is dropped."""

    code = "file-too-large"


def write_atomic(path: Path, body: bytes | str, *, mode: int | None = None, new: bool = False) -> None:
    """Make `path` hold `body`, durably and in one step: readers see the old file or the new one.

    After a power cut the file is one of the two, whole. Text is written as UTF-8. `mode` are
    permission bits; without it an existing file keeps its own and a new one gets the usual. A
    symbolic link at `path` is replaced, not followed; a folder, a device, a pipe or a socket stays, and is
    an error. `new`: whatever is at `path` stays, and is an error, also if it came there meanwhile. Raises
    IoFailed, leaving nothing behind.
    """
    with replacing(path, mode=mode, new=new) as stream:
        stream.write(body.encode() if isinstance(body, str) else body)


@contextmanager
def replacing(path: Path, *, mode: int | None = None, new: bool = False) -> Iterator[BinaryIO]:
    """Replace `path` as `write_atomic` does, with a body that arrives piece by piece. `path` changes if
    the block succeeds.
    """
    temporary: Path | None = None
    try:
        found = _mode_of(path)
        kept = found if mode is None else mode
        number, temporary = _create_beside(path)
        with os.fdopen(number, "wb") as stream:
            yield stream
            stream.flush()
            if kept is not None and sys.platform != "win32":
                os.fchmod(number, kept)
            os.fsync(number)
        if new:
            _link(temporary, path)
        else:
            temporary.replace(path)
            temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise IoFailed.of(error, f"write {path}") from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink()


def _link(temporary: Path, path: Path) -> None:
    """Give `temporary` the name `path` as well. Raises FileExistsError if that is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links: this is the best it can do
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from None
        temporary.replace(path)


def _mode_of(path: Path) -> int | None:
    """Return the mode of the file that would be replaced; None without one. Raises OSError for what
    must stay.
    """
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISLNK(found.st_mode):
        return None
    if not stat.S_ISREG(found.st_mode):
        raise FileExistsError(errno.EEXIST, "it is not a regular file", str(path))
    return stat.S_IMODE(found.st_mode)


def _create_beside(path: Path) -> tuple[int, Path]:
    """Return a new file in the same folder, so that renaming never crosses a file system.

    Not `tempfile`: its files are private whatever the umask says. The name does not repeat the
    target's, which may already be as long as a name can be.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    for _ in range(_NAME_TRIES):
        temporary = path.parent / f".symphony-{os.urandom(8).hex()}.tmp"
        with suppress(FileExistsError):
            return os.open(temporary, flags, 0o666), temporary
    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path.parent))


def sync_directory(folder: Path) -> None:
    """Make the names in `folder` durable, where the system can. Raises OSError."""
    if sys.platform == "win32":
        return
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(number)


def private_directory(folder: Path) -> Path:
    """Return `folder`, made if need be, as its parents are, for the owner's eyes only. Raises IoFailed."""
    try:
        make_private(folder)
    except OSError as error:
        raise IoFailed.of(error, f"make the folder {folder}") from error
    return folder


def make_private(folder: Path) -> None:
    """Make `folder` and the parents that it lacks, each with mode 0700. Raises OSError."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


def release_lock(number: int) -> None:
    """Unlock an open file that was locked as a whole (`flock`), and close it.

    Closing alone would not do: a process that was forked off meanwhile shares the open file, and its lock.
    """
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):  # other code may have closed it
            fcntl.flock(number, fcntl.LOCK_UN)
    os.close(number)


def within(root: Path, path: Path | str) -> Path:
    """Return `path`, relative to `root` or absolute, with every symbolic link followed.

    Nothing need exist at it. Raises PathEscapes if it does not lie in `root` (which it may equal), or
    is not a path at all; IoFailed if links go in circles. What is checked is the state of now: where
    others may swap links afterwards, open the result with `O_NOFOLLOW`.
    """
    if "\0" in str(path):
        raise PathEscapes("a path cannot hold a null character", details={"root": str(root)})
    try:
        base = root.resolve()
        found = (base / path).resolve()
    except (OSError, RuntimeError) as error:  # RuntimeError: a circle of links, before Python 3.13
        reason = getattr(error, "strerror", None) or "links go in circles"
        raise IoFailed(f"cannot follow {path}: {reason}", details={"path": str(path)}) from error
    if not found.is_relative_to(base):
        raise PathEscapes(
            f"{path} lies outside {root}",
            details={"path": str(path), "root": str(root)},
            hint="give a path inside that folder; symbolic links out of it are followed, and refused",
        )
    return found


def read_bounded(path: Path, limit_bytes: int) -> bytes:
    """Return all of a regular file, at most `limit_bytes`, whatever size it claims to have.

    Files that grow while being read, and files of /proc, whose size says nothing, are read to their end
    or to the limit. Raises FileTooLarge; IoFailed for what cannot be read and for what is not a regular
    file: a pipe without a writer would never answer.
    """
    try:
        with open_regular(path) as stream:
            return _read_to_limit(stream, path, limit_bytes)
    except OSError as error:
        raise IoFailed.of(error, f"read {path}") from error


def read_text_bounded(path: Path, limit_bytes: int) -> str:
    """Read a file as `read_bounded` does, as UTF-8, without a leading byte order mark. Raises IoFailed
    if it is not UTF-8.
    """
    body = read_bounded(path, limit_bytes)
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = line_number(body, error.start)
        raise IoFailed(
            f"cannot read {path}: line {line} is not UTF-8 text",
            details={"path": str(path), "line": line},
            hint="save the file as UTF-8",
        ) from None


def in_utf8(path: Path, what: str) -> Path:
    """Return `path`, of `what`, if its name is UTF-8, as records are. Raises IoFailed."""
    text = str(path)
    if not text.isascii() and sound(text) != text:
        raise IoFailed(
            f"{what} {escaped(text)} has a name that is not UTF-8, which cannot be recorded",
            details={"path": escaped(text)},
            hint="rename it; `convmv` does so for whole trees",
        )
    return path


def open_regular(path: Path) -> FileIO:
    """Return the file at `path`, unbuffered. Raises OSError, also for a pipe, which would make it wait."""
    flags = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    # Without O_NONBLOCK, opening a pipe waits for its writer.
    number = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    kind = os.fstat(number).st_mode
    if not stat.S_ISREG(kind):
        os.close(number)
        code = errno.EISDIR if stat.S_ISDIR(kind) else errno.EINVAL
        raise OSError(code, "it is a folder" if stat.S_ISDIR(kind) else "it is not a regular file", str(path))
    return os.fdopen(number, "rb", buffering=0)


def _read_to_limit(stream: BinaryIO, path: Path, limit_bytes: int) -> bytes:
    pieces: list[bytes] = []
    left = limit_bytes + 1
    while left > 0:
        piece = stream.read(min(left, _CHUNK_BYTES))
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        left -= len(piece)
    raise FileTooLarge(
        f"{path} has more than {limit_bytes:,} bytes",
        details={"path": str(path), "limit_bytes": limit_bytes},
    )
