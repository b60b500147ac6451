"""Delivers the outputs of a run: shown to people, one of them raw, or as files in a folder."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import msgspec

from symphony.app import spelling
from symphony.cli.console import output, writing
from symphony.cli.console.failures import BadUsage
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunResult, RunStatus
from symphony.ports.values import ArtifactRef, StoredValue
from symphony.workflow.problems import did_you_mean

if TYPE_CHECKING:
    from symphony.app import Symphony
    from symphony.app.exporting import Export
    from symphony.ports.artifacts import ArtifactStore
    from symphony.workflow.model import Workflow

_FILES_MAX: Final = 20
_COPIED_BYTES_MAX: Final = 256 << 20
"""The largest output that is shown; larger ones are named by their digests."""


class Delivery(msgspec.Struct, frozen=True):
    """`output`: the name of the one that is printed raw; `folder`: where files go. Neither by default.

    `overwrite`: files replace those that Symphony did not write, too.
    """

    output: str | None = None
    folder: Path | None = None
    overwrite: bool = False
    made: Sequence[Path] = ()
    """The folders that were made for the files, the innermost first."""

    def ready(self, symphony: "Symphony", workflow: "Workflow", *, as_json: bool) -> "Delivery":
        """Itself, once it can be done: the output exists, the folder is there, no file is in the way.

        Call it before anything runs. Raises BadUsage, SymphonyError `unknown-output` and `export-failed`,
        OSError.
        """
        if self.output is not None:
            if as_json:
                raise BadUsage("--output and --json are two formats", hint="give one of them")
            require_output(self.output, workflow.outputs)
        if self.folder is not None:
            from symphony.app.exporting import foreseen, ready_folder, require_free

            made = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
            ready_folder(self.folder)
            if not self.overwrite:
                require_free(symphony.artifacts, self.folder, foreseen(workflow, symphony.catalog))
            return msgspec.structs.replace(self, made=made)
        if self.overwrite:
            raise BadUsage("--overwrite goes with --output-dir", hint="name the folder: --output-dir FOLDER")
        return self

    def nothing_written(self, status: RunStatus) -> None:
        """Take away the folders that were made for no file; say why there was none if the run succeeded."""
        with suppress(OSError):  # such as one that the run wrote into
            for folder in self.made:
                folder.rmdir()
        if status is RunStatus.SUCCEEDED:
            output.note("no files to write: no node declares an artifact:, and no output is one")

    def ready_again(self, symphony: "Symphony", run_id: str, *, as_json: bool) -> "Delivery":
        """`ready` for a run that has begun: its workflow is the one that it recorded."""
        if self == NOTHING:
            return self
        from symphony.workflow import loads

        return self.ready(symphony, loads(symphony.runs.meta(run_id).workflow, "json"), as_json=as_json)


NOTHING: Final = Delivery()
"""Outputs are shown, and nothing is written."""


def require_output(name: str, known: Iterable[str]) -> None:
    """Raises SymphonyError `unknown-output` if `name` is not one of `known`."""
    names = list(known)
    if name not in names:
        told = f"the outputs are {', '.join(names[:20])}" if names else "add it under outputs:"
        hint = did_you_mean(name, names, told)
        raise SymphonyError(f"the workflow has no output {name[:200]!r}", code="unknown-output", hint=hint)


def say_output(store: "ArtifactStore", run: RunResult, name: str) -> None:
    """One output as it is: text with a newline at its end, bytes untouched, anything else as JSON.

    Raises BadUsage for bytes to a terminal, SymphonyError `no-outputs`, and as an artifact store.
    """
    if run.status is not RunStatus.SUCCEEDED:
        raise SymphonyError(
            f"the run has no outputs: it is {run.status}",
            code="no-outputs",
            hint="a run that has succeeded has some",
        )
    value = run.outputs.get(name)
    if isinstance(value, ArtifactRef):
        from symphony.app.contents import content, is_text

        with content(store, value) as wanted:
            _say_stream(wanted.stream, run, name, text=is_text(value))
    elif isinstance(value, bytes):
        _say_stream(BytesIO(value), run, name, text=False)
    elif isinstance(value, str):
        _say_stream(BytesIO(value.encode()), run, name, text=True)
    else:
        output.say_json(spelling.spelled(value))


class _Last:
    """A stream that remembers the last byte that was read of it."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self.last = stream, b""

    def read(self, size: int = -1, /) -> bytes:
        """Return what comes next."""
        found = self._stream.read(size)
        self.last = found[-1:] or self.last
        return found


def _say_stream(stream: BinaryIO, run: RunResult, name: str, *, text: bool) -> None:
    last = _Last(stream)
    try:
        writing.deliver_stream(last, None, binary=False if text else None)
    except BadUsage as error:
        error.hint = f"symphony runs show {run.label} --output {name} > FILE"
        raise
    if text and last.last != b"\n":
        output.say_bytes(b"\n")


def files_document(exports: Sequence["Export"]) -> list[spelling.JSON]:
    """Return the files as JSON."""
    return [
        {"path": str(one.path), "node": one.node or None, "content_type": one.content_type,
         "size": one.size, "$artifact": one.ref.digest}
        for one in exports
    ]  # fmt: skip


def note_files(exports: Sequence["Export"]) -> None:
    """Say which files were written, and what was there before."""
    for one in exports[:_FILES_MAX]:
        done = {"written": "wrote", "replaced": "replaced", "unchanged": "unchanged:"}[one.done]
        output.note(f"{done} {output.shown(str(one.path))}")
    if len(exports) > _FILES_MAX:
        output.note(f"… and {output.count(len(exports) - _FILES_MAX, 'more file')}")


def told(value: StoredValue, exports: Sequence["Export"]) -> Path | None:
    """Return the file that an output was written to, if it was."""
    if not isinstance(value, ArtifactRef):
        return None
    paths = (one.path for one in exports if (one.ref.digest, one.ref.name) == (value.digest, value.name))
    return next(paths, None)


def copied(symphony: "Symphony", name: str, ref: ArtifactRef) -> Path | None:
    """Return a file in the home with what is handed out of an output called `name`; None if there can
    be none.
    """
    if symphony.home is None or ref.size > _COPIED_BYTES_MAX:
        return None
    from symphony.app.exporting import copied

    try:
        return copied(symphony.artifacts, ref, symphony.home, name)
    except (SymphonyError, OSError):
        return None


def is_looked_at() -> bool:
    """True if stdout is a terminal, so that long outputs are cut."""
    return output.is_terminal(sys.stdout)
