"""The record of an arbiter: what it was told and what it decided, as lines of JSON that can be replayed."""

import itertools
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import Final, TypeAlias

import msgspec

from symphony.commons.errors import SymphonyError
from symphony.pit.arbitration.core.decisions import ArbiterDecision, ArbiterInput, ClaimGranted, ClaimRefused
from symphony.pit.arbitration.core.replaying import ArbiterStart, replay

RECORD_BYTES_MAX: Final = 256 << 20
"""A record ends when it is this large."""
KEPT: Final = 8
"""How many records of earlier processes stay."""
RecordLine: TypeAlias = ArbiterStart | ArbiterInput | ArbiterDecision

logger = logging.getLogger(__name__)


class RecordDamaged(SymphonyError):
    """The file is no record of an arbiter, or a line of it cannot be read."""

    code = "arbiter-record"


class ReplayedRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a replay. `differs` is the first decision that came out differently, in words."""

    inputs: int
    decisions: int
    differs: str | None = None


class ArbiterRecord:
    """Writes lines to a new file in `folder`; nothing is made before the first. Failing to write ends it.

    What was written is there after a kill.
    """

    def __init__(self, folder: Path, *, bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._folder, self._left = folder, bytes_max
        self._file: FileIO | None = None
        self._encode = msgspec.json.Encoder().encode

    def add(self, line: RecordLine) -> None:
        """Write one line."""
        if self._left <= 0:
            return
        body = self._encode(line) + b"\n"
        self._left -= len(body)
        try:
            if self._file is None:
                self._file = self._opened()
            self._file.write(body)
            if self._left <= 0:
                logger.warning("the record of the arbiter in %s is full, and ends", self._folder)
                self.close()
        except OSError as error:
            self._left = 0
            logger.warning("the arbiter in %s is recorded no more: %s", self._folder, error.strerror)

    def close(self) -> None:
        """Write no more."""
        self._left = 0
        if self._file is not None:
            with suppress(OSError):
                self._file.close()

    def _opened(self) -> FileIO:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        earlier = sorted(self._folder.glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        for path in earlier[: max(0, len(earlier) - KEPT + 1)]:
            path.unlink(missing_ok=True)
        for number in itertools.count(1):
            with suppress(FileExistsError):
                path = self._folder / f"{os.getpid()}-{number}.jsonl"
                return FileIO(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w")
        raise AssertionError


def replay_record(path: Path) -> ReplayedRecord:
    """Tell a new arbiter what the record says, and compare its decisions. Raises RecordDamaged, OSError.

    A last line that a kill cut off does not count, nor do decisions that it kept from being written.
    """
    lines = list(_lines(path))
    if not lines or not isinstance(lines[0], ArbiterStart):
        raise RecordDamaged(f"{path} does not begin as a record of an arbiter does")
    recorded = [one for one in lines if isinstance(one, ClaimGranted | ClaimRefused)]
    inputs = [one for one in lines[1:] if not isinstance(one, ArbiterStart | ClaimGranted | ClaimRefused)]
    decided = replay(lines[0], inputs)
    return ReplayedRecord(
        inputs=len(inputs), decisions=len(recorded), differs=_first_difference(recorded, decided)
    )


def _lines(path: Path) -> Iterator[RecordLine]:
    decoder = msgspec.json.Decoder(RecordLine)
    whole = path.read_bytes()
    lines = whole.split(b"\n")[:-1]  # what is behind the last newline was cut off
    for number, line in enumerate(lines, start=1):
        try:
            yield decoder.decode(line)
        except msgspec.DecodeError as error:
            raise RecordDamaged(f"{path}, line {number}: {error}") from error


def _first_difference(recorded: Sequence[ArbiterDecision], decided: Sequence[ArbiterDecision]) -> str | None:
    for number, (was, now) in enumerate(zip(recorded, decided, strict=False), start=1):
        if was != now:
            return f"decision {number} was {was}, and is {now}"
    if len(recorded) > len(decided):
        return f"{len(recorded)} decisions were recorded, and only {len(decided)} are made"
    return None
