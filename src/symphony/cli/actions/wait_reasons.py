"""Why the nodes of a run wait, as the arbiter knows it now. The arbiter is asked only if one waits."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from symphony.app import Symphony
from symphony.ports.insight import queued_now
from symphony.ports.runs import RunStatus

if TYPE_CHECKING:
    from symphony.app.spelling import JSON
    from symphony.ports.insight import Overview
    from symphony.ports.runs import RunResult


class WaitReasons:
    """Why the nodes of a run wait now: the journal has what was known when they were queued."""

    def __init__(self, symphony: Symphony, run_id: str, status: RunStatus) -> None:
        """Nothing is asked before something that waits is shown, and of a run that goes on."""
        self._symphony, self._run_id = symphony, run_id
        self._known: Mapping[str, str] | None = None if status is RunStatus.RUNNING else {}

    def overview(self, found: "Overview") -> "Overview":
        """Return it with the reasons of now."""
        if all(line.queued_for is None for line in found.lines):
            return found
        lines = [
            line
            if line.queued_for is None
            else msgspec.structs.replace(line, queued_for=self._now(line.queued_for))
            for line in found.lines
        ]
        return msgspec.structs.replace(found, lines=lines)

    def result(self, found: "RunResult") -> "RunResult":
        """Return it with the reasons of now."""
        fresh = {
            name: msgspec.structs.replace(node, queued=self._now(node.queued))
            for name, node in found.nodes.items()
            if node.queued is not None
        }
        return msgspec.structs.replace(found, nodes={**found.nodes, **fresh}) if fresh else found

    def document(self, found: "dict[str, JSON]") -> "dict[str, JSON]":
        """Put the reasons of now into a document of the run."""
        nodes = found.get("nodes")
        for node in nodes.values() if isinstance(nodes, dict) else ():
            if isinstance(node, dict) and isinstance(recorded := node.get("queued"), str):
                node["queued"] = self._now(recorded)
        return found

    def _now(self, recorded: str) -> str:
        if self._known is None:
            from symphony.cli.actions.sharing import waits_of

            self._known = waits_of(self._symphony, self._run_id)
        return queued_now(recorded, self._known)
