"""`unix:///path`: a socket file that only its owner can reach, and whose peers are asked who they are."""

import asyncio
import errno
import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import private_directory
from symphony.ipc.transports.config import TransportConfig
from symphony.ipc.transports.connection import Connection, Link, Peer
from symphony.ipc.transports.ends import Dial, Listener
from symphony.ipc.transports.errors import AddressInUse, ConnectFailed, PeerRefused, TransportUnsupported

_BACKLOG = 1024
_BUSY_S = 0.005
_SOCKET_MODE = 0o600
_MAC_LOCAL_PEERCRED = 1
_MAC_LOCAL_PEERPID = 2
_MAC_XUCRED = struct.Struct("IIh16I")


async def connect(path: Path, config: TransportConfig) -> Connection:
    """Raises ConnectFailed if nobody listens there, PeerRefused if it is another user's."""
    number = await dialled(path, config.timeout_s)
    dial = Dial(config, same_user)
    await asyncio.get_running_loop().create_unix_connection(dial.protocol, sock=number)
    return await dial.opened()


async def listen(path: Path, listener: Listener) -> None:
    """Let others of this user connect to `path`.

    Raises AddressInUse if somebody listens there, IoFailed if the socket cannot be made.
    """
    bound = Bound(path)
    try:
        server = await asyncio.get_running_loop().create_unix_server(
            listener.protocol, sock=bound.socket, backlog=_BACKLOG
        )
    except BaseException:  # cancelled, too, when it listens already
        asyncio.get_running_loop().remove_reader(bound.socket)
        bound.socket.close()
        bound.release()
        raise

    async def stop() -> None:
        bound.release()
        server.close()

    listener.when_closed(stop)


async def dialled(path: Path, timeout_s: float) -> socket.socket:
    """Return a connected socket. Raises ConnectFailed."""
    _need_unix_sockets()
    dialling = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dialling.setblocking(False)
    try:
        async with asyncio.timeout(timeout_s):
            # A full queue of the listener is EAGAIN and nothing to wait for (unlike with TCP).
            while (status := dialling.connect_ex(str(path))) == errno.EAGAIN:  # noqa: ASYNC110  no event
                await asyncio.sleep(_BUSY_S)
        if status != 0:
            raise OSError(status, os.strerror(status))
    except BaseException as error:
        dialling.close()
        if isinstance(error, TimeoutError):
            raise ConnectFailed(f"nobody at {path} took the connection within {timeout_s:g} s") from None
        if isinstance(error, OSError):
            raise _not_reached(path, error) from error
        raise
    return dialling


def _not_reached(path: Path, error: OSError) -> ConnectFailed:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return ConnectFailed(f"nobody listens at {path}", hint="start the other side first")
    return ConnectFailed(
        f"cannot connect to {path}: {error.strerror or error}", hint=_length_hint(path, error)
    )


def _length_hint(path: Path, error: OSError) -> str | None:
    too_long = error.errno in (None, errno.ENAMETOOLONG)
    return f"the path has {len(os.fsencode(path))} bytes and sockets allow about 100" if too_long else None


class Bound:
    """A socket bound to a path, which nobody else can take while this process lives.

    A lock on a file beside it, which vanishes with its process, decides whose the path is: so a
    socket file left by a process that was killed is replaced, and a live one never is, even when
    two processes start at once.
    """

    def __init__(self, path: Path) -> None:
        """Raises AddressInUse, IoFailed."""
        _need_unix_sockets()
        self._path = path
        folder = _own_folder(path.parent)
        self._lock = _locked(folder / f"{path.name}.lock", path)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.socket.setblocking(False)
            _clear(path)
            self.socket.bind(str(path))
            path.chmod(_SOCKET_MODE)
            self._made = _identity(path)
        except BaseException as error:
            self.socket.close()
            os.close(self._lock)
            if isinstance(error, OSError):
                hint = _length_hint(path, error)
                raise IoFailed.of(error, f"make the socket {path}", hint=hint) from error
            raise

    def release(self) -> None:
        """Remove the socket file, if it is still ours, and let others have the path."""
        with suppress(OSError):
            if _identity(self._path) == self._made:
                self._path.unlink()
        os.close(self._lock)


def _own_folder(folder: Path) -> Path:
    """Return `folder`, made if need be. Raises IoFailed if others may look into it."""
    private_directory(folder)
    try:
        found = folder.stat()
    except OSError as error:
        raise IoFailed.of(error, f"look at {folder}") from error
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise IoFailed(
            f"the folder {folder} is not private: a socket in it could be reached or replaced by others",
            details={"path": str(folder), "mode": oct(stat.S_IMODE(found.st_mode))},
            hint=f"chmod 700 {folder}, or put the socket into a folder that does not exist yet",
        )
    return folder


def _locked(lock: Path, path: Path) -> int:
    import fcntl

    try:
        number = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise IoFailed.of(error, f"make the lock {lock}") from error
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(number)
        if isinstance(error, BlockingIOError):
            raise _in_use(path) from None
        raise IoFailed.of(error, f"lock {lock}") from error
    return number


def _clear(path: Path) -> None:
    """Remove a socket file that nobody listens at. Raises AddressInUse for one in use, OSError."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise AddressInUse(f"{path} exists and is not a socket", hint="remove it, or take another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        # One that is live but too busy to answer says EAGAIN.
        if probe.connect_ex(str(path)) != errno.ECONNREFUSED:
            raise _in_use(path)
    path.unlink(missing_ok=True)


def _in_use(path: Path) -> AddressInUse:
    return AddressInUse(f"somebody listens at {path} already", hint="end that process, or take another path")


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def same_user(link: Link) -> Peer:
    """Return the peer, as the operating system names it. Raises PeerRefused for another user, except root."""
    peer = peer_of(link.get_extra_info("socket"))
    if peer.uid is not None and peer.uid not in (os.geteuid(), 0):
        raise PeerRefused(f"user {peer.uid} may not connect to user {os.geteuid()}")
    return peer


def peer_of(found: object) -> Peer:
    """Process and user at the other end of a Unix socket, where this system tells."""
    option = getattr(found, "getsockopt", None)
    if option is None:
        return Peer()
    if sys.platform == "darwin":
        uid = _MAC_XUCRED.unpack(option(0, _MAC_LOCAL_PEERCRED, _MAC_XUCRED.size))[1]
        (pid,) = struct.unpack("i", option(0, _MAC_LOCAL_PEERPID, 4))
        return Peer(pid, uid)
    if hasattr(socket, "SO_PEERCRED"):
        pid, uid, _ = struct.unpack("iII", option(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return Peer(pid, uid)
    return Peer()


def _need_unix_sockets() -> None:
    if not hasattr(socket, "AF_UNIX"):
        raise TransportUnsupported("this system has no Unix sockets", hint="use pipe://NAME")
