"""The editing seam: buffers that another process holds, addressed by id."""

from pathlib import Path
from typing import NewType, Protocol

import msgspec

from symphony.commons.errors import SymphonyError

BufferId = NewType("BufferId", str)
"""The id of an open buffer, such as `view-id-1`. It is valid only in its own editor process."""


class TextEdit(msgspec.Struct, frozen=True, kw_only=True):
    """Replace `start` to `end` (excluded) with `text`.

    Offsets count UTF-8 bytes from the start of the buffer and lie between characters. `revision`
    is the one that the offsets belong to; without it, the newest.
    """

    start: int
    end: int
    text: str
    revision: int | None = None


class BufferUnknown(SymphonyError):
    """No open buffer has this id: it was closed, or its editor process is gone."""

    code = "buffer-unknown"


class EditInvalid(SymphonyError):
    """The offsets lie outside the buffer or within a character, or the revision is too old."""

    code = "edit-invalid"


class EditorUnavailable(SymphonyError):
    """The editor process is not there and could not be started again."""

    code = "editor-unavailable"


class TextEditingPort(Protocol):
    """An editor. Every method raises EditorUnavailable if it cannot be reached."""

    async def open_file(self, path: Path) -> BufferId:
        """Return a new buffer with the file's content; empty if there is no such file yet.

        Raises IoFailed if it cannot be read or is not UTF-8.
        """
        ...

    async def edit_text(self, buffer_id: BufferId, edit: TextEdit) -> int:
        """Return the revision that the edit made. Raises BufferUnknown, EditInvalid."""
        ...

    async def get_buffer_content(self, buffer_id: BufferId) -> str:
        """Return the newest content. Raises BufferUnknown."""
        ...
