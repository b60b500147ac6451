"""What is to run: a workflow made ready, its inputs, where it was called. Values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from symphony.pit.tracker.core.plan import Plan
from symphony.pit.tracker.work import Work
from symphony.ports.values import Value
from symphony.workflow.model import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to run: the workflow made ready, its inputs, where it was called."""

    run_id: str
    workflow: Workflow
    plan: Plan
    works: Sequence[Work]
    inputs: Mapping[str, Value]
    environment: Mapping[str, str]
    cwd: Path
    base: Path
    started_at: float
    limit: int = 64
