"""Remembers prepared workflows by their content, for further runs of the same workflow."""

import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from symphony.app.preparing import PreparedWorkflow
from symphony.commons.filesystem import open_regular
from symphony.pit.tracker.store.documents import recorded_form
from symphony.workflow.model import Workflow

ENTRIES_MAX: Final = 64
BYTES_MAX: Final = 1 << 20
"""The size limits of one document, and of all remembered documents together."""
Content: TypeAlias = tuple[str, str, bytes]
"""The real path behind all links, the path as given, and the content."""


class Remembered:
    """The workflows of one `Symphony` that were made ready last.

    One that refers to other files is made ready each time: they may have changed. So is one with lists
    and maps of its own, which an operator might change. Nothing is kept of what is seen but once: a
    process with one run reads its file once, and writes its document once.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Content, PreparedWorkflow] = OrderedDict()
        self.size = 0
        """Bytes of the documents that are remembered."""
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()
        self.made = 0
        """How many were made ready so far."""

    def __len__(self) -> int:
        return len(self._known)

    def get(
        self, workflow: Workflow | Path | str, make: Callable[[Workflow | Path | str], PreparedWorkflow]
    ) -> PreparedWorkflow:
        """Return the workflow made ready, by `make` unless it is known. Raises what `make` does."""
        content = _content(workflow) if self._seen_before(workflow) else None
        if content is not None and (found := self._known.get(content)) is not None:
            self._known.move_to_end(content)
            return found
        self.made += 1
        ready = make(workflow)
        alone = not ready.children.documents and ready.loaded
        fit = content is not None and alone and not _could_be_changed(ready)
        if content is not None and fit and _content(workflow) == content:  # unless changed meanwhile
            self._keep(content, ready)
        return ready

    def _seen_before(self, workflow: Workflow | Path | str) -> bool:
        """True if something like it may have been made ready before. A quick check."""
        if isinstance(workflow, Workflow):
            mark = (workflow.name, len(workflow.nodes))
        else:
            mark = (os.fspath(workflow), -1)
        seen = mark in self._seen
        self._seen[mark] = None
        self._seen.move_to_end(mark)
        while len(self._seen) > ENTRIES_MAX:
            self._seen.popitem(last=False)
        return seen

    def _keep(self, content: Content, ready: PreparedWorkflow) -> None:
        self._known[content] = ready
        self.size += len(content[-1])
        while len(self._known) > ENTRIES_MAX or self.size > BYTES_MAX:
            oldest, _ = self._known.popitem(last=False)
            self.size -= len(oldest[-1])


def _could_be_changed(ready: PreparedWorkflow) -> bool:
    """True if it contains lists or maps that reach operators directly."""
    defaults = (spec.default for spec in ready.workflow.inputs.values())
    return ready.holds_values or any(isinstance(one, list | dict) for one in defaults)


def _content(workflow: Workflow | Path | str) -> Content | None:
    """Return the content of a workflow; None if its file is too large or unreadable, which preparing it
    reports.
    """
    if isinstance(workflow, Workflow):
        body = recorded_form(workflow)
        return (str(Path.cwd()), "", body) if len(body) <= BYTES_MAX else None
    try:
        with open_regular(Path(workflow)) as file:
            body = file.read(BYTES_MAX + 1)
    except (OSError, ValueError):
        return None
    if len(body) > BYTES_MAX:
        return None
    return os.path.realpath(workflow), os.path.abspath(workflow), body  # noqa: PTH100  (as they are said)
