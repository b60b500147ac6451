"""Digests of the files that a node's inputs name: a cached result depends on their contents."""

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from symphony.commons.time import SystemClock
from symphony.pit.artifacts.cache.content import SETTLED_S, FileState, state_of
from symphony.pit.tracker.nodes.work import CallWork, OperatorWork
from symphony.ports.values import StoredValue, Value
from symphony.sdk.fingerprints import imports_unchanged, is_own, may_read_environment
from symphony.sdk.paths import Find, PathsUnknown, path_finder


class FilesRead:
    """The files that a key is made of, in their state before they were read."""

    def __init__(self, began_s: float | None = None) -> None:
        """`began_s`: when the first file is read, in seconds since the epoch; None: when it is noted."""
        self._began_s = began_s
        self._files: dict[Path, FileState | None] = {}

    def note(self, path: Path) -> None:
        """Note a file that is about to be read."""
        if self._began_s is None:
            self._began_s = SystemClock().now_s()
        self._files[path] = _state(path)

    def lasting(self) -> bool:
        """True if they are the same files, last changed well before the first was read.

        If not, only their content can show whether they changed, because times of files are coarse.
        """
        if self._began_s is None:
            return True
        settled_ns = (self._began_s - SETTLED_S) * 1e9
        return all(
            state is not None and max(state.mtime_ns, state.ctime_ns) < settled_ns and _state(path) == state
            for path, state in self._files.items()
        )

    def written_since(self, moment_s: float) -> str:
        """Return a file that is gone or was changed after `moment_s` (epoch seconds); else empty."""
        for path, state in self._files.items():
            if state is None or max(state.mtime_ns, state.ctime_ns) > moment_s * 1e9:
                return str(path)
        return ""


def _state(path: Path) -> FileState | None:
    try:
        return state_of(path.stat())
    except (OSError, ValueError):
        return None


def contents_read(
    work: CallWork,
    inputs: Mapping[str, StoredValue],
    cwd: Path,
    load: Callable[[StoredValue], Value],
    content: Callable[[Path], str | None],
    seen: FilesRead,
) -> dict[str, list[str]] | None:
    """Return, by input, digests of the files that paths in `inputs` name; defaults of inputs count too.

    Only for work that is a function of its inputs and of such files: a model, or a pure operator. `load`
    returns the value behind a reference, `content` a digest; `seen` notes the files. None if what is read
    cannot be known: the type does not say where the paths are, or a path does not name a regular file.
    """
    finders = _finders(work)
    ports = work.input_ports or {}
    found: dict[str, list[str]] = {}
    for name, find in finders.items():
        default = ports[name].default if name in ports else None
        value = inputs.get(name, None if default is msgspec.UNSET else default)
        try:
            paths = list(dict.fromkeys(find(load(value))))
        except PathsUnknown:
            return None
        digests = [_digest(path, cwd, content, seen) for path in paths]
        if None in digests:
            return None
        if digests:
            found[name] = [digest for digest in digests if digest is not None]
    return found


def reads_files(work: CallWork) -> bool:
    """True if the inputs of the work may contain paths."""
    return bool(_finders(work))


def surroundings(
    work: CallWork, cwd: Path, base: Path, environment: Mapping[str, str]
) -> dict[str, str] | None:
    """Return the folders that a result may depend on; None if it may depend on listed environment variables.

    Operators that get a Context see the folders. Operators of the kit use them only to find files to read.
    """
    operator = work.operator if isinstance(work, OperatorWork) else None
    if operator is None or is_own(operator.function):
        return {}
    if operator.context_name is None:
        return {":cwd": str(cwd)} if _finders(work) else {}
    if environment and may_read_environment(operator.function):
        return None
    return {":cwd": str(cwd), ":base": str(base)}


def lasting(work: CallWork, seen: FilesRead) -> bool:
    """True if times of files suffice to tell that all that the node reads is as it was."""
    return (not isinstance(work, OperatorWork) or work.operator.reads is None) and seen.lasting()


def same_code(work: CallWork) -> bool:
    """True if a worker, should the node have run in one, imported what this process has imported."""
    operator = work.operator if isinstance(work, OperatorWork) else None
    if operator is None or not (operator.cpu or work.timeout_s is not None):
        return True
    return imports_unchanged(operator.function)


def _finders(work: CallWork) -> Mapping[str, Find]:
    operator = work.operator if isinstance(work, OperatorWork) else None
    if operator is not None and operator.info.effect != "pure":
        return {}  # its `reads` reports what it reads
    if operator is not None and operator.paths is not None:
        return operator.paths
    finders = {name: path_finder(port.type) for name, port in (work.input_ports or {}).items()}
    return {name: find for name, find in finders.items() if find is not None}


def _digest(path: str, cwd: Path, content: Callable[[Path], str | None], seen: FilesRead) -> str | None:
    """Return a digest of the file that `path` names, both for the caller and in the process's folder."""
    seen.note(cwd / path)
    digest = content(cwd / path)
    try:
        here = Path.cwd()
    except OSError:  # the folder is gone: relative paths cannot be opened
        return digest
    if digest is None or here == cwd or Path(path).is_absolute():
        return digest
    seen.note(here / path)
    return f"{digest}+{content(here / path)}"
