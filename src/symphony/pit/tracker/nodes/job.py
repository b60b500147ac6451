"""A job: a prepared workflow, its inputs, and where it was called. Values only."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.store.source_files import SourceFiles
from symphony.ports.values import Value
from symphony.workflow.model import Workflow


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A prepared workflow, its inputs, and where it was called."""

    run_id: str
    graph: WorkGraph
    inputs: Mapping[str, Value]
    environment: Mapping[str, str]
    cwd: Path
    base: Path
    started_at: float
    limit: int = 64
    sources: SourceFiles | None = None
    """Where nodes are defined in their files."""
    afresh: tuple[str, ...] = ()
    """Steps that run, with all steps after them, even if the cache has results."""

    @property
    def workflow(self) -> Workflow:
        """Return the workflow itself."""
        return self.graph.workflow

    @property
    def plan(self) -> Plan:
        """The plan of the workflow."""
        return self.graph.plan
